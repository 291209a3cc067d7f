# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# nginx: pages of 20 KB, included by a page and deflated, each asked for by ab over a connection of its
# own. Its workers' figures alone.
mkdir -p "$work/pages" "$work/body"
seq 1 4000 | sed 's/$/ is a number/' | head -c 20000 >"$work/pages/part.html"
echo '<!--#include virtual="/part.html" --> <!--#include virtual="/part.html" -->' \
    >"$work/pages/page.html"
user=
[ "$(id -u)" -ne 0 ] || user='user nobody nogroup;'
cat >"$work/nginx.conf" <<END
$user
daemon off;
worker_processes 2;
pid $work/nginx.pid;
error_log $work/nginx.log;
events { worker_connections 512; }
http {
    access_log off;
    types { text/html html; }
    client_body_temp_path $work/body;
    proxy_temp_path $work/body;
    fastcgi_temp_path $work/body;
    uwsgi_temp_path $work/body;
    scgi_temp_path $work/body;
    gzip on;
    gzip_http_version 1.0;
    ssi on;
    server { listen 127.0.0.1:$port; root $work/pages; }
}
END
serve "$(PATH=$PATH:/usr/sbin command -v nginx)" -p "$work" -c "$work/nginx.conf"
until_served ab -q -n 1 "http://127.0.0.1:$port/page.html"
begin
ab -q -n "${1:-20000}" -c 100 -H 'Accept-Encoding: gzip' "http://127.0.0.1:$port/page.html" \
    >"$work/ab" 2>&1 || exit 1
grep -q 'Failed requests: *0$' "$work/ab" || exit 1
# Deflated, or it would be 40,000 bytes long.
[ "$(sed -n 's/^Document Length: *\([0-9]*\).*/\1/p' "$work/ab")" -lt 20000 ] || exit 1
# shellcheck disable=SC2046 # a list
rest $(pgrep -P "$server")
