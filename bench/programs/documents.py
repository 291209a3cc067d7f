# SPDX-License-Identifier: MIT
"""Documents made, written as JSON, read again and thrown away; run with PYTHONMALLOC=malloc."""
import json
import os
import sys

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5


def document(number):
    return {"id": number, "name": f"name {number}" * 3, "tags": [f"tag{i}" for i in range(8)],
            "values": [number * i / 7 for i in range(20)],
            "nested": {str(i): {"left": i, "right": [None, True, i]} for i in range(6)}}


def work():
    total = 0
    for turn in range(ROUNDS):
        text = json.dumps([document(turn * 1000000 + i) for i in range(12000)])
        total += sum(len(entry["values"]) for entry in json.loads(text))
    return total


assert work() == ROUNDS * 12000 * 20
print("rest", os.getpid(), flush=True)
sys.stdin.read()
