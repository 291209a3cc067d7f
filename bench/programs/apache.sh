# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# apache with deflate, asked for a page of 700 KB by ab. All its processes' figures together.
mkdir -p "$work/pages"
seq 1 100000 | sed 's/$/ is a number/' | head -c 700000 >"$work/pages/page.txt"
modules=$(dirname "$(find /usr/lib -name mod_deflate.so 2>/dev/null | head -n 1)")
cat >"$work/apache.conf" <<END
ServerName localhost
ServerRoot $work
PidFile $work/apache.pid
Listen 127.0.0.1:$port
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule filter_module $modules/mod_filter.so
LoadModule mime_module $modules/mod_mime.so
LoadModule deflate_module $modules/mod_deflate.so
TypesConfig /dev/null
AddType text/plain .txt
AddOutputFilterByType DEFLATE text/plain
DocumentRoot $work/pages
ErrorLog $work/apache.log
User nobody
Group nogroup
END
serve "$(PATH=$PATH:/usr/sbin command -v apache2)" -D FOREGROUND -f "$work/apache.conf"
until_served ab -q -n 1 "http://127.0.0.1:$port/page.txt"
begin
ab -q -n "${1:-150}" -c 8 -H 'Accept-Encoding: gzip' "http://127.0.0.1:$port/page.txt" >"$work/ab" 2>&1 ||
    exit 1
grep -q 'Failed requests: *0$' "$work/ab" || exit 1
# shellcheck disable=SC2046 # a list
rest "$server" $(pgrep -P "$server")
