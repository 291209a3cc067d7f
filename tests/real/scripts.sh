# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# bash, perl, node and python's ctypes: short scripts that build, sort and match strings, fork,
# start threads. What is not installed is noted and left out.

scripts_missing()
{
    command -v bash >/dev/null || echo "bash is not installed"
}

scripts_probe()
{
    probes bash
    under bash -c ':' || return 1
    if command -v perl >/dev/null; then
        probes bash perl
        under perl -e 1 || return 1
    fi
    if command -v node >/dev/null; then
        probes bash perl node
        under node -e 0
    fi
}

scripts_bash()
{
    # shellcheck disable=SC2016 # the script is bash's, not ours
    under bash -c '
        declare -A words
        for ((i = 0; i < 20000; i++)); do
            words[word$((i * 7919 % 10007))]+="$i,"
            list+=("element $i")
        done
        echo "${#words[@]} ${#list[@]} ${words[word77]}"
        text=$(printf "%s\n" "${list[@]}" | sort -r | head -n 3)
        echo "$text"
        for ((i = 0; i < 50; i++)); do
            (x="${list[*]:i:200}"; echo "${#x} ${x//element/e}") | wc -c
        done
        [[ ${list[*]} =~ element\ 77[0-9] ]] && echo "${BASH_REMATCH[0]}"
    '
}

scripts_perl()
{
    # shellcheck disable=SC2016 # the script is perl's, not ours
    under perl -e '
        my (%seen, @list);
        for my $i (1 .. 200000) {
            my $key = "key " . ($i * 7919 % 50021);
            $seen{$key} .= "$i;";
            push @list, $key if $i % 3 == 0;
        }
        my @sorted = sort { length($seen{$a}) <=> length($seen{$b}) or $a cmp $b } keys %seen;
        print scalar(@sorted), " $sorted[0] $sorted[-1] ", scalar(@list), "\n";
        my $text = join " ", @list[0 .. 20000];
        my $count = () = $text =~ /key (\d)(\d*)\1\b/g;
        (my $changed = $text) =~ s/(\d+)/$1 * 2/ge;
        print "$count ", length($changed), " ", unpack("%32C*", $changed), "\n";
        for my $n (1 .. 5) {
            my $child = fork // die;
            if (!$child) { my @copy = map { $_ x 3 } @list; exit(@copy == @list ? $n : 99) }
            waitpid $child, 0;
            print $? >> 8, "\n";
        }'
}

scripts_node()
{
    # shellcheck disable=SC2016 # the script is node's, not ours
    under node -e '
        const crypto = require("crypto"), zlib = require("zlib");
        const { Worker } = require("worker_threads");
        const row = (_, i) => ({ id: i, name: "row " + i * 7919 % 10007 });
        const text = JSON.stringify(Array.from({ length: 100000 }, row));
        const order = (a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.id - b.id;
        const back = JSON.parse(text).sort(order);
        console.log(text.length, back[4711].name, back[99999].id);
        const packed = zlib.gzipSync(Buffer.from(text));
        console.log(zlib.gunzipSync(packed).length);
        console.log(crypto.createHash("sha256").update(text).digest("hex"));
        const buffers = [];
        for (let i = 0; i < 3000; i++) {
            buffers.push(Buffer.alloc(i * 37, i));
            if (i % 3) buffers[i - 1] = null;
        }
        console.log(buffers.reduce((sum, b) => sum + (b ? b.length : 0), 0));
        let left = 4, total = 0;
        for (let i = 0; i < 4; i++) {
            const worker = new Worker(`
                const { parentPort } = require("worker_threads");
                const list = [];
                for (let i = 0; i < 50000; i++) list.push(Buffer.alloc(100, i).toString("hex"));
                parentPort.postMessage(list.join("").length);`, { eval: true });
            worker.on("message", n => { total += n; if (--left === 0) console.log(total); });
        }'
}

# The library as ctypes loads it: never preloaded, its malloc beside libc's.
scripts_ctypes()
{
    python3 - "$preload" <<'PYTHON'
import ctypes, os, sys, threading
library = ctypes.CDLL(sys.argv[1])
library.malloc.restype = ctypes.c_void_p
library.malloc.argtypes = [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
def use():
    kept = []
    for size in [1, 100, 1000, 5000, 40000, 300000, 5000000] * 8:
        address = library.malloc(size)
        assert address
        ctypes.memset(address, size % 251, size)
        kept.append((address, size))
    for address, size in kept:
        assert ctypes.string_at(address, size) == bytes([size % 251]) * size
        library.free(address)
use()
threads = [threading.Thread(target=use) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
if os.fork() == 0:
    use()
    os._exit(7)
print("ctypes", os.wait()[1] >> 8)
PYTHON
}

scripts_run()
{
    scripts_bash || return 1
    if command -v perl >/dev/null; then
        scripts_perl || return 1
    else
        note "perl is not installed"
    fi
    if command -v node >/dev/null; then
        scripts_node || return 1
    else
        note "node is not installed"
    fi
    if command -v python3 >/dev/null && python3 -c 'import ctypes'; then
        scripts_ctypes
    else
        note "python3 with ctypes is not installed"
    fi
}
