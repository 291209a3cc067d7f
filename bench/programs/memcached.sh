# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# memcached: values of 50 bytes to 8 KiB set and asked for over a hundred connections that come and
# go, and flushed. It has items in slabs of its own; the rest is connections and their buffers.
serve memcached -u "$(id -un)" -U 0 -s "$work/memcached.sock" -a 0777 -m 128 -t 4 -c 512
until_served test -S "$work/memcached.sock"
begin
python3 - "$work/memcached.sock" "${1:-400}" <<'PYTHON' || exit 1
import random
import socket
import sys

CONNECTIONS, BATCH = 100, 200
path, rounds = sys.argv[1], int(sys.argv[2])
payload = b"x" * 8192
chance = random.Random(1)


def connect():
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection, connection.makefile("rb")


def converse(connection, answers):
    """Sets values and asks for some, whose answers must be whole."""
    words = []
    for _ in range(BATCH):
        size = chance.randint(50, 8192) if chance.random() < 0.1 else chance.randint(50, 400)
        words.append(b"set %d 0 0 %d noreply\r\n%s\r\n"
                     % (chance.randrange(200000), size, payload[:size]))
    words.append(b"get " + b" ".join(b"%d" % chance.randrange(200000) for _ in range(50)) + b"\r\n")
    connection.sendall(b"".join(words))
    while (line := answers.readline()) != b"END\r\n":
        if not line.startswith(b"VALUE "):
            sys.exit(f"memcached answers {line[:80]!r}")
        size = int(line.split()[3])
        if answers.read(size + 2) != payload[:size] + b"\r\n":
            sys.exit("memcached answers another value")


connections = [connect() for _ in range(CONNECTIONS)]
for turn in range(rounds):
    for index in chance.sample(range(CONNECTIONS), 10):
        converse(*connections[index])
    old = turn % CONNECTIONS
    for part in connections[old]:
        part.close()
    connections[old] = connect()
connection, answers = connections[0]
connection.sendall(b"flush_all\r\n")
if answers.readline() != b"OK\r\n":
    sys.exit("memcached does not flush")
PYTHON
rest "$server"
