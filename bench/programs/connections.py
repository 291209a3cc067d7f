#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""connections.py SOCKET N SERVER: N connections to MariaDB, two queries each; then all rest, open.

The server asks for no password (--skip-grant-tables), so a greeting, a login and a query are three
kinds of packets: three bytes of length, a number, and what is in it.
"""

import resource
import socket
import struct
import sys

QUERIES = [b"select count(*), max(table_name) from information_schema.tables",
           b"select repeat('word ', 20000) as a order by a"]
PROTOCOL_41, SECURE_CONNECTION = 0x200, 0x8000
END, ERROR = 0xfe, 0xff


def receive(link, length):
    data = b""
    while len(data) < length:
        part = link.recv(length - len(data))
        if not part:
            sys.exit("connections.py: the server hung up")
        data += part
    return data


def packet(link):
    head = receive(link, 4)
    body = receive(link, int.from_bytes(head[:3], "little"))
    if body and body[0] == ERROR:
        sys.exit(f"connections.py: {body[3:].decode(errors='replace')}")
    return body


def send(link, number, body):
    link.sendall(len(body).to_bytes(3, "little") + bytes([number]) + body)


def connect(path):
    link = socket.socket(socket.AF_UNIX)
    link.connect(path)
    packet(link)
    login = struct.pack("<IIB23x", PROTOCOL_41 | SECURE_CONNECTION, 1 << 24, 33)
    send(link, 1, login + b"root\0\0")
    packet(link)
    return link


def ask(link, query):
    send(link, 0, b"\x03" + query)
    ends = 0
    while ends < 2:   # that of the columns, that of the rows
        body = packet(link)
        ends += body[0] == END and len(body) < 9


def main():
    path, connections, server = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    links = [connect(path) for _ in range(connections)]
    for link in links:
        for query in QUERIES:
            ask(link, query)
    print("rest", server, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
