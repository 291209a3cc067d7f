#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tables and flame graphs for `hakmem profile`, from heap profiles in gperftools' text format.

    profile.py FILE [--live|--total] [--objects] [--by shard|node|heap] [--top N]
               [--folded] [--svg OUT] [--diff BASE]

FILE is what HAKMEM_PROFILE_FILE names, what hakmem_profile_dump() wrote, or what another program
wrote in that format. Nothing in it is trusted: a line that is not understood is counted and left out,
and sizes are bounded. Names come from addr2line (binutils), as far as files and symbols are there;
without it frames are told as FILE+OFFSET. All from one file at once, since each start of addr2line
reads all of its tables.
"""

import os
import re
import struct
import subprocess
import sys
from html import escape

FILE_BYTES = 256 << 20
ROWS = 1 << 20
DEPTH = 128
WIDTH, ROW = 1200, 17      # of a picture
LEAST = 0.3                # pixels of a box
USAGE = ("hakmem profile PID|FILE [--raw] [--live|--total] [--objects] [--by shard|node|heap]\n"
         "    [--top N] [--folded] [--svg OUT] [--diff BASE]\n")

HEAD = re.compile(r"heap profile:\s*(\d+):\s*(\d+)\s*\[\s*(\d+):\s*(\d+)\]\s*@\s*(\S+)")
STACK = re.compile(r"(\d+):\s*(\d+)\s*\[\s*(\d+):\s*(\d+)\]\s*@((?:\s+0x[0-9a-f]+)*)\s*$")
PLACE = re.compile(r"# shard (\d+) node (-?\d+) sampled (\d+)(?: heap (\d+))?$")
MAPPED = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ \d+\s*(.*)$")

# An allocator linked into the program itself stands in its own stacks.
OURS = re.compile(r"hak_\w+|hakmem_\w+|operator new.*|(re|c|m|v|pv)alloc|posix_memalign|"
                  r"memalign|aligned_alloc|reallocarray|serve\w*|malloc_\w+|calloc_slow|resize\w*|move")
INNERMOST = 12    # frames that may be such


class Stop(Exception):
    """The profile cannot be used; its text says why."""


class Row:
    __slots__ = ("figures", "stack", "place")

    def __init__(self, figures, stack, place):
        self.figures = figures    # live objects, live bytes, total objects, total bytes
        self.stack = stack        # addresses, innermost first
        self.place = place        # (shard, node, heap); heap 0: the default one


class Profile:
    def __init__(self, path):
        self.path = path
        self.rows, self.mappings, self.left_out, self.head = [], [], 0, None
        try:
            with open(path, "rb") as file:
                text = file.read(FILE_BYTES + 1)
        except OSError as error:
            raise Stop("%s: %s" % (path, error.strerror))
        if len(text) > FILE_BYTES:
            raise Stop("%s: more than %d MiB" % (path, FILE_BYTES >> 20))
        lines = iter(text.decode("ascii", "replace").splitlines())
        self.head = HEAD.match(next(lines, ""))
        if self.head is None:
            raise Stop("%s: no heap profile: it does not begin with 'heap profile:'" % path)
        if self.head[5] != "heapprofile":
            raise Stop("%s: a profile of kind %s; allowed: heapprofile, whose figures need no "
                       "correction" % (path, printable(self.head[5])))
        self.read(lines)

    def read(self, lines):
        place = (0, -1, 0)
        for line in lines:
            if line.startswith("MAPPED_LIBRARIES:"):
                break
            told = PLACE.match(line)
            found = STACK.match(line.strip())
            if told:
                place = (int(told[1][:9]), int(told[2][:9]), int((told[4] or "0")[:9]))
            elif found and len(self.rows) < ROWS:
                stack = [int(at, 16) for at in found[5].split()[:DEPTH]]
                if all(at < 1 << 64 for at in stack):
                    figures = [min(int(found[i][:19]), 1 << 62) for i in range(1, 5)]
                    self.rows.append(Row(figures, stack, place))
            elif line.strip() and not line.startswith("#"):
                self.left_out += 1
        for line in lines:
            found = MAPPED.match(line)
            if found and found[5].startswith("/"):
                self.mappings.append((int(found[1], 16), int(found[2], 16), int(found[4], 16),
                                      found[5]))


def printable(text):
    return re.sub(r"[^\x20-\x7e]", "?", text)


# ------------------------------------------------------------------ names

def segments(path):
    """(offset, bytes, address) of what an ELF file of 64 bits has loaded."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if len(head) < 64 or head[:5] != b"\x7fELF\x02":
                return []
            offset, = struct.unpack_from("<Q", head, 32)
            size, count = struct.unpack_from("<HH", head, 54)
            file.seek(offset)
            table = file.read(size * count)
    except OSError:
        return []
    found = []
    for i in range(count):
        if len(table) < (i + 1) * size or size < 56:
            break
        kind, _, at, address, _, length = struct.unpack_from("<IIQQQQ", table, i * size)
        if kind == 1:
            found.append((at, length, address))
    return found


class Names:
    """Names of the frames of profiles."""

    def __init__(self, profiles):
        self.names = {}
        wanted = {}
        for profile in profiles:
            mappings = sorted(profile.mappings)
            for row in profile.rows:
                for i, at in enumerate(row.stack):
                    self.want(wanted, mappings, at)
        for path, addresses in wanted.items():
            self.ask(path, addresses)

    def want(self, wanted, mappings, at):
        if at in self.names:
            return
        call = at - 1    # a return address: the call lies before it
        low, high = 0, len(mappings)
        while low < high:
            middle = (low + high) // 2
            if mappings[middle][1] <= call:
                low = middle + 1
            else:
                high = middle
        if low == len(mappings) or mappings[low][0] > call:
            self.names[at] = ["0x%x" % at]
            return
        begin, _, offset, path = mappings[low]
        position = call - begin + offset
        self.names[at] = ["%s+0x%x" % (printable(os.path.basename(path)), position)]
        wanted.setdefault(path, []).append((at, position))

    def ask(self, path, addresses):
        loaded = segments(path)
        lines, asked = [], []
        for at, position in addresses:
            for offset, length, address in loaded:
                if offset <= position < offset + length:
                    lines.append("0x%x" % (position - offset + address))
                    asked.append(at)
                    break
        if not asked:
            return
        try:
            result = subprocess.run(["addr2line", "-a", "-f", "-i", "-C", "-e", path],
                                    input="\n".join(lines) + "\n", capture_output=True,
                                    text=True, errors="replace", timeout=120)
        except (OSError, subprocess.TimeoutExpired):
            return
        groups = []
        for line in result.stdout.splitlines():
            if line.startswith("0x") and re.fullmatch(r"0x[0-9a-f]+", line):
                groups.append([])
            elif groups:
                groups[-1].append(line)
        for at, group in zip(asked, groups):
            known = [printable(name) for name in group[0::2] if name != "??"]
            if known:
                self.names[at] = known

    def of(self, row):
        """Innermost first, without the allocator's own."""
        names = [name for at in row.stack for name in self.names[at]]
        ours = [i for i, name in enumerate(names[:INNERMOST]) if OURS.fullmatch(name)]
        is_inside = ours and ours[0] == 0
        first = 0
        while is_inside and first in ours and first < len(names) - 1:
            first += 1
        return names[first:] or ["(no stack)"]


# ------------------------------------------------------------------ what is shown

def stacks(profile, names, options):
    """Figures by named stack, outermost first."""
    result = {}
    for row in profile.rows:
        value = row.figures[options.figure]
        if value == 0:
            continue
        stack = tuple(reversed(names.of(row)))
        if options.by == "shard":
            stack = ("shard %d" % row.place[0],) + stack
        elif options.by == "node":
            stack = ("node %d" % row.place[1],) + stack
        elif options.by == "heap":
            stack = ("heap %d" % row.place[2] if row.place[2] else "default heap",) + stack
        result[stack] = result.get(stack, 0) + value
    return result


def subtract(now, before):
    result = dict(now)
    for stack, value in before.items():
        result[stack] = result.get(stack, 0) - value
    return {stack: value for stack, value in result.items() if value != 0}


def amount(value, options):
    if options.figure in (0, 2):
        return "%d" % value
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if abs(value) >= unit:
            return "%.1f %s" % (value / unit, name)
    return "%d B" % value


def print_table(found, options):
    total = sum(found.values())
    whole = sum(abs(value) for value in found.values()) or 1
    what = ["live objects", "live bytes", "objects ever allocated", "bytes ever allocated"]
    print("%s%s: %s in %d stacks" % ("difference of " if options.diff else "",
                                     what[options.figure], amount(total, options), len(found)))
    order = sorted(found, key=lambda stack: (-abs(found[stack]), stack))
    for stack in order[:options.top]:
        print("%12s %5.1f%%  %s" % (amount(found[stack], options), 100 * found[stack] / whole,
                                    stack[-1]))
        for name in list(reversed(stack[:-1]))[:options.depth]:
            print(" " * 22 + "from " + name)
    if len(order) > options.top:
        rest = sum(found[stack] for stack in order[options.top:])
        print("%12s %5.1f%%  %d more stacks" % (amount(rest, options), 100 * rest / whole,
                                                len(order) - options.top))


def print_folded(found):
    for stack in sorted(found):
        print(";".join(name.replace(";", ":") for name in stack), found[stack])


class Node:
    __slots__ = ("value", "children")

    def __init__(self):
        self.value, self.children = 0, {}


def tree_of(found):
    root = Node()
    for stack, value in found.items():
        root.value += abs(value)
        node = root
        for name in stack:
            node = node.children.setdefault(name, Node())
            node.value += abs(value)
    return root


def colour(name):
    seed = sum(ord(letter) * (i + 7) for i, letter in enumerate(name))
    return "hsl(%d,%d%%,%d%%)" % (18 + seed % 38, 70 + seed % 17, 60 + seed % 13)


def draw(found, options):
    root = tree_of(found)
    boxes, deepest = [], 0
    work = [(root, 0.0, 0, None)]
    scale = WIDTH / root.value if root.value else 0
    while work:
        node, left, level, name = work.pop()
        width = node.value * scale
        if width < LEAST:
            continue
        deepest = max(deepest, level)
        if name is not None:
            boxes.append((left, width, level, name, node.value))
        for child in sorted(node.children):
            work.append((node.children[child], left, level + 1, child))
            left += node.children[child].value * scale
    height = (deepest + 3) * ROW
    what = ["live objects", "live bytes", "objects allocated", "bytes allocated"][options.figure]
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="monospace" '
           'font-size="11">' % (WIDTH, height),
           '<rect width="100%" height="100%" fill="white"/>',
           '<text x="4" y="13">%s: %s</text>' % (what, amount(sum(found.values()), options))]
    for left, width, level, name, value in boxes:
        top = height - (level + 1) * ROW
        out.append('<g><title>%s: %s, %.1f%%</title><rect x="%.1f" y="%d" width="%.1f" height="%d" '
                   'fill="%s" stroke="white" stroke-width="0.5"/>'
                   % (escape(name), amount(value, options), 100 * value / root.value, left, top,
                      width, ROW - 1, colour(name)))
        letters = int(width / 6.7)
        if letters >= 3:
            shown = name if len(name) <= letters else name[:letters - 2] + ".."
            out.append('<text x="%.1f" y="%d">%s</text>' % (left + 2, top + 12, escape(shown)))
        out.append("</g>")
    out.append("</svg>\n")
    return "\n".join(out)


# ------------------------------------------------------------------ the command

class Options:
    def __init__(self, arguments):
        self.file = self.svg = self.diff = self.by = None
        self.folded, self.live, self.objects, self.top, self.depth = False, True, False, 10, 12
        values = iter(arguments)
        for argument in values:
            if argument in ("--live", "--total"):
                self.live = argument == "--live"
            elif argument == "--objects":
                self.objects = True
            elif argument == "--folded":
                self.folded = True
            elif argument in ("--svg", "--diff", "--by", "--top"):
                self.take(argument, next(values, None))
            elif argument.startswith("--") or self.file is not None:
                usage("profile takes no such argument: " + argument)
            else:
                self.file = argument
        if self.file is None:
            usage("profile needs a process or a file")
        self.figure = (0 if self.objects else 1) + (0 if self.live else 2)

    def take(self, argument, value):
        if value is None:
            usage(argument + " needs a value")
        if argument == "--by" and value not in ("shard", "node", "heap"):
            usage("--by %s; allowed: shard, node, heap" % value)
        if argument == "--top":
            if not re.fullmatch("[0-9]{1,6}", value) or int(value) == 0:
                usage("--top %s; allowed: 1..999999" % value)
            value = int(value)
        setattr(self, argument[2:], value)


def usage(what):
    print("hakmem: %s\n%s" % (printable(what), USAGE), end="", file=sys.stderr)
    sys.exit(2)


def show(options):
    profile = Profile(options.file)
    base = Profile(options.diff) if options.diff else None
    for each in (profile, base):
        if each is not None and each.left_out:
            print("hakmem: %s: %d lines not understood, left out" % (each.path, each.left_out),
                  file=sys.stderr)
    names = Names([profile] + ([base] if base else []))
    found = stacks(profile, names, options)
    if base:
        found = subtract(found, stacks(base, names, options))
    if options.svg:
        with open(options.svg, "w") as file:
            file.write(draw(found, options))
    elif options.folded:
        print_folded(found)
    else:
        print_table(found, options)


def main(arguments):
    try:
        show(Options(arguments))
        sys.stdout.flush()
    except Stop as stop:
        print("hakmem: %s" % printable(str(stop)), file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        print("hakmem: %s" % error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
