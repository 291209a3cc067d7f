#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Views of a running process for the program hakmem, from the JSON of `hakmem stat`.

    live.py top HAKMEM PID [--once] [--interval SECONDS]   a view for a terminal
    live.py map HAKMEM PID [--json]                        a picture of the slabs, as SVG

Both run HAKMEM, which finds the page and trusts nothing in it. Only ANSI sequences that every
terminal knows are written, and none when the output is no terminal."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True    # not into the folder where it is installed

from pictures import Stop, figure_bytes, svg, tell, text    # noqa: E402  (beside this script)

CLASSES, PEERS, SHARDS, KEYS = 12, 8, 32, 8    # lines of a view
BARS = " ▏▎▍▌▋▊▉█"
CLEAR, HOME, BOLD, PLAIN = "\x1b[2J", "\x1b[H", "\x1b[1m", "\x1b[m"
USAGE = {"top": "hakmem top PID [--once] [--interval SECONDS]\n",
         "map": "hakmem map PID [--json]\n"}


def ask(tool, process, *more):
    """The statistics of the process. HAKMEM has said what is wrong, if anything is."""
    done = subprocess.run([tool, "stat", process, "--json", *more], stdout=subprocess.PIPE,
                          check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise Stop("stat printed no JSON")


# ------------------------------------------------------------------ numbers

def count(number):
    """At most 6 letters."""
    value, unit = float(number), 0
    while value >= 9999.5 and unit < 5:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f}{('', 'k', 'M', 'G', 'T', 'P')[unit]}"


def bar(part, whole, width):
    """A bar of `width` letters, filled in proportion."""
    eighths = round(8 * width * part / whole) if whole > 0 else 0
    eighths = min(max(eighths, 1 if part > 0 else 0), 8 * width)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (BARS[rest] if rest else "")).ljust(width)


class Rates:
    """What was counted since the statistics before, for each second; before that, so far."""

    def __init__(self, now, before):
        self.seconds = (now["collected_ns"] - before["collected_ns"]) / 1e9 if before else 0
        self.before = before

    def of(self, number, number_before):
        return (number - number_before) / self.seconds if self.seconds > 0 else number

    def unit(self):
        return "/s" if self.seconds > 0 else ""

    def total(self, now, name):
        was = self.before["total"]["counters"][name] if self.seconds > 0 else 0
        return self.of(now["total"]["counters"][name], was)


# ------------------------------------------------------------------ the view for a terminal

def head_lines(now, rates, process):
    facts = " ".join(f"{name}={value}" for name, value in now["facts"].items())
    figures = now["process"]
    yield f"{BOLD}{now['title']}  process {process}{PLAIN}  {facts}"
    yield (f"live {figure_bytes(figures['live'])}  resident at most "
           f"{figure_bytes(figures['resident'])}  retained {figure_bytes(figures['retained'])}  "
           f"whales {figures['whales']} ({figure_bytes(figures['whale_bytes'])})  "
           f"{now['age_ns'] / 1e9:.1f} s old")
    unit = rates.unit()
    total = now["total"]["counters"]
    before = rates.before["process"] if rates.seconds > 0 else {}
    faults = rates.of(figures["minor_faults"], before.get("minor_faults", 0))
    yield (f"refilled {count(rates.total(now, 'refill_objects'))}{unit}  back "
           f"{count(rates.total(now, 'back_objects'))}{unit} ({total['back_remote']}% remote)  purged "
           f"{figure_bytes(rates.total(now, 'bytes_purged'))}{unit}  unmapped "
           f"{figure_bytes(rates.total(now, 'bytes_unmapped'))}{unit}  faults "
           f"{count(faults)}{unit}")
    yield (f"fronts: threads {figures['thread_fronts']} hold "
           f"{figure_bytes(figures['in_thread_fronts'])}, CPUs "
           f"{figure_bytes(figures['in_cpu_fronts'])}, shared "
           f"{figure_bytes(figures['in_shared_fronts'])}; interrupted "
           f"{count(rates.total(now, 'front_interrupted'))}{unit}; grace periods "
           f"{count(figures['grace_begun'])}")


def shard_lines(now):
    shards = sorted(now["shards"], key=lambda shard: -shard["figures"]["mapped"])
    most = max((shard["figures"]["resident"] for shard in shards), default=0)
    yield ""
    yield (f"{BOLD}shard node cpus       mapped resident     live   fronts transfer    inbox "
           f"retained{PLAIN}")
    for shard in shards[:SHARDS]:
        figures = shard["figures"]
        cells = "".join(f"{figure_bytes(figures[name]):>9}" for name in
                        ("resident", "live", "in_fronts", "in_transfer_cache", "in_inbox",
                         "retained"))
        where = "retired" if shard["retired"] else shard.get("cpus", "all")
        yield (f"{shard['id']:5} {shard['node']:4} {where[:9]:9} "
               f"{figure_bytes(figures['mapped']):>7}{cells} "
               f"{bar(figures['resident'], most, 12)}")
    if len(shards) > SHARDS:
        yield f"  and {len(shards) - SHARDS} more shards: hakmem stat has them"


def class_lines(now, rates):
    was = {row["class"]: row for row in rates.before["total"]["classes"]} if rates.before else {}
    rows = []
    for row in now["total"]["classes"]:
        old = was.get(row["class"], {}) if rates.seconds > 0 else {}
        rows.append((rates.of(row["refilled"], old.get("refilled", 0)),
                     rates.of(row["flushed"], old.get("flushed", 0)), row))
    rows.sort(key=lambda item: (-(item[0] + item[1]), -item[2]["live"] * item[2]["size"]))
    yield ""
    yield (f"{BOLD}hot classes  refilled{rates.unit():2} flushed{rates.unit():2}     live  bytes "
           f"used  fronts transfer  inbox  slabs{PLAIN}")
    for refilled, flushed, row in rows[:CLASSES]:
        yield (f"{row['size']:11} {count(refilled):>10} {count(flushed):>9} "
               f"{count(row['live']):>8} {figure_bytes(row['live'] * row['size']):>6} "
               f"{row['live_percent']:3}% {count(row['in_fronts']):>7} "
               f"{count(row['in_transfer_cache']):>8} {count(row['in_inbox']):>6} "
               f"{count(row['slabs']):>6}")


def traffic_of(statistics):
    """(from, to) -> objects: freed or taken by `to`, of `from`'s."""
    pairs = {}
    for shard in statistics["shards"]:
        for peer in shard["traffic"]:
            objects = peer["posted"] + peer["adopted"] + peer["stolen"]
            pairs[peer["shard"], shard["id"]] = pairs.get((peer["shard"], shard["id"]), 0) + objects
    return pairs


def traffic_lines(now, rates):
    pairs = traffic_of(now)
    was = traffic_of(rates.before) if rates.seconds > 0 else {}
    moved = {pair: rates.of(objects, was.get(pair, 0)) for pair, objects in pairs.items()}
    sums = {}
    for (home, user), objects in moved.items():
        for shard in (home, user):
            if shard >= 0:
                sums[shard] = sums.get(shard, 0) + objects
    names = sorted(sorted(sums, key=lambda shard: -sums[shard])[:PEERS])
    if not names:
        return
    yield ""
    yield (f"{BOLD}objects of (rows) used by other shards (columns): posted home, adopted, stolen"
           f"{rates.unit()}{PLAIN}")
    yield "      " + "".join(f"{name:>7}" for name in names)
    for home in names:
        cells = "".join(f"{count(moved[home, user]) if (home, user) in moved else '.':>7}"
                        for user in names)
        yield f"{home:6}{cells}"


def learner_lines(now):
    keys = [(shard["id"], key) for shard in now["shards"] for key in shard["learner"]]
    if not keys:
        return
    keys.sort(key=lambda item: -item[1]["bytes"])
    yield ""
    yield f"{BOLD}learner: shard   size     arm  state     freed matches switches{PLAIN}"
    for shard, key in keys[:KEYS]:
        yield (f"{shard:14} {key['key']:>6} {key['arm']:>9} {key['state']:>6} "
               f"{figure_bytes(key['bytes']):>7} {key['matches']:7} {key['switches']:8}")


def view(now, before, process):
    rates = Rates(now, before)
    for part in (head_lines(now, rates, process), shard_lines(now), class_lines(now, rates),
                 traffic_lines(now, rates), learner_lines(now)):
        yield from part


def letters_of(line, width):
    """The line cut to this many visible letters."""
    shown, out, place = 0, [], 0
    while place < len(line):
        if line[place] == "\x1b":
            end = line.index("m", place) + 1
            out.append(line[place:end])
            place = end
            continue
        if shown < width:
            out.append(line[place])
            shown += 1
        place += 1
    return "".join(out)


def put_view(lines, is_terminal, is_moving):
    if not is_terminal:
        lines = [line.replace(BOLD, "").replace(PLAIN, "") for line in lines]
        sys.stdout.write("\n".join(lines) + "\n")
    else:
        size = shutil.get_terminal_size()
        height = size.lines - 1 if is_moving else len(lines)
        lines = [letters_of(line, size.columns) for line in lines[:height]]
        sys.stdout.write((CLEAR + HOME if is_moving else "") + "\n".join(lines) + "\n")
    sys.stdout.flush()


def top(tool, process, once, interval):
    is_terminal = sys.stdout.isatty()
    before = None
    while True:
        now = ask(tool, process)
        put_view(list(view(now, before, process)), is_terminal, not once)
        if once:
            return
        if before is None or now["collected_ns"] != before["collected_ns"]:
            before = now
        time.sleep(interval)


# ------------------------------------------------------------------ the map
#
# A column for each shard, wide enough for its regions: each region is a row of its 31 pages of
# 64 KiB. A slab is a box over its pages, filled from the left as far as its objects are taken, in
# the colour of its size; free pages are white. Below is the heat map: how many objects of each
# shard were used by each other one.

CELL, ROW, ROWS, PAGES, EDGE, TOP, HEAT = 12, 13, 64, 31, 16, 92, 26
HEAT_MOST = 32
MAP_STYLE = (".region{fill:#fff;stroke:#999}.slab{stroke:#666;stroke-width:.6;fill-opacity:.22}"
             ".used{stroke:none}.dirty{fill:#bbb}.head{font-weight:bold}"
             ".note{font-size:12px;fill:#444}.id{font-size:11px;text-anchor:middle}"
             ".end{text-anchor:end}.cell{stroke:#ccc}")


def colour_of(size):
    """From blue for the smallest to red for the largest."""
    place = max(0, min(size.bit_length() - 4, 12))
    return f"hsl({230 - place * 19},70%,45%)"


def put_region(region, sizes, x, y):
    yield (f'<g><title>{region["address"]}: shard {region["shard"]}, node {region["node"]}, '
           f'{len(region["slabs"])} slabs, {region["free"]} pages free, {region["dirty"]} of them '
           f'dirty</title>')
    yield f'<rect class="region" x="{x}" y="{y}" width="{PAGES * CELL}" height="{ROW - 2}"/>'
    for slab in region["slabs"]:
        size = sizes.get(slab["class"], 0)
        left, width = x + (slab["page"] - 1) * CELL, slab["pages"] * CELL
        fill = colour_of(size)
        yield (f'<rect class="slab" x="{left}" y="{y}" width="{width}" height="{ROW - 2}" '
               f'fill="{fill}"><title>{size} bytes, {slab["used"]}% taken</title></rect>')
        yield (f'<rect class="used" x="{left}" y="{y}" width="{width * slab["used"] / 100:.1f}" '
               f'height="{ROW - 2}" fill="{fill}"/>')
    yield "</g>"


def put_shard(shard, regions, sizes, x):
    figures = shard["figures"]
    columns = -(-len(regions) // ROWS) or 1
    where = "retired" if shard["retired"] else f'CPUs {shard.get("cpus", "all")}'
    yield text(x, TOP - 34, f'shard {shard["id"]}, node {shard["node"]}, {where}', "head")
    yield text(x, TOP - 18, f'{figure_bytes(figures["live"])} live, at most '
               f'{figure_bytes(figures["resident"])} resident, {len(regions)} regions of slabs',
               "note")
    yield text(x, TOP - 4, f'runs {figure_bytes(figures["runs"])}, retained '
               f'{figure_bytes(figures["retained"])}', "note")
    for place, region in enumerate(regions):
        column, row = divmod(place, ROWS)
        yield from put_region(region, sizes, x + column * (PAGES * CELL + EDGE),
                              TOP + row * ROW)
    return columns


def put_heat(statistics, y):
    pairs = traffic_of(statistics)
    shards = [shard["id"] for shard in statistics["shards"]][:HEAT_MOST]
    most = max((objects for pair, objects in pairs.items() if pair[0] in shards), default=0)
    yield text(EDGE, y, "Objects of a shard (row) that another (column) sent home, adopted or stole",
               "head")
    left, top_edge = EDGE + 60, y + 30
    for place, shard in enumerate(shards):
        yield text(left + place * HEAT + HEAT / 2, top_edge - 5, shard, "id")
        yield text(left - 6, top_edge + place * HEAT + 17, shard, "note end")
    for row, home in enumerate(shards):
        for column, user in enumerate(shards):
            objects = pairs.get((home, user), 0)
            # by the logarithm: traffic differs by powers of ten
            heat = (objects.bit_length() / most.bit_length()) if objects > 0 else 0
            yield (f'<rect class="cell" x="{left + column * HEAT}" y="{top_edge + row * HEAT}" '
                   f'width="{HEAT - 2}" height="{HEAT - 2}" fill="#c22" fill-opacity="{heat:.2f}">'
                   f'<title>{objects} objects of shard {home}, by shard {user}</title></rect>')
    yield text(left + len(shards) * HEAT + 12, top_edge + 16,
               f"darkest: {count(most)} objects", "note")


def put_map_legend(statistics, width):
    yield (f'<text class="head" font-size="16" x="{EDGE}" y="26">Slabs of '
           f'process {statistics["pid"]}: each row is a region of 2 MiB</text>')
    x = width - 560
    yield text(x, 26, "a box is a slab, filled as far as its objects are taken:", "note")
    for size in (16, 64, 256, 1024, 4096, 16384, 32768):
        yield (f'<rect x="{x}" y="34" width="16" height="11" fill="{colour_of(size)}"/>')
        yield text(x + 20, 44, size, "note")
        x += 72


def put_map(statistics, by_shard, width, heat_top):
    sizes = {row["class"]: row["size"] for row in statistics["total"]["classes"]}
    yield from put_map_legend(statistics, width)
    x = EDGE
    for shard in statistics["shards"]:
        regions = by_shard.get(shard["id"], [])
        if not regions and not shard["figures"]["mapped"]:
            continue
        columns = yield from put_shard(shard, regions, sizes, x)
        x += columns * (PAGES * CELL + EDGE) + EDGE
    yield from put_heat(statistics, heat_top)


def draw_map(statistics):
    by_shard = {}
    for region in sorted(statistics["regions"], key=lambda region: int(region["address"], 16)):
        by_shard.setdefault(region["shard"], []).append(region)
    columns = rows = 0
    for shard in statistics["shards"]:
        regions = by_shard.get(shard["id"], [])
        if regions or shard["figures"]["mapped"]:
            columns += -(-len(regions) // ROWS) or 1
            rows = max(rows, min(len(regions), ROWS))
    width = max(1100, EDGE * 3 + columns * (PAGES * CELL + 2 * EDGE))
    heat_top = TOP + rows * ROW + 40
    heat = min(len(statistics["shards"]), HEAT_MOST)
    height = heat_top + 44 + heat * HEAT
    sys.stdout.write("\n".join(svg(width, height, MAP_STYLE,
                                   put_map(statistics, by_shard, width, heat_top))) + "\n")


# ------------------------------------------------------------------ arguments

def misused(command, argument):
    sys.stderr.write(f"hakmem: {command} takes no such argument: {argument}\n{USAGE[command]}")
    sys.exit(2)


def parse(command, arguments):
    process, flags, interval = None, set(), 2.0
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if command == "top" and argument == "--interval" and rest:
            try:
                interval = float(rest.pop(0))
            except ValueError:
                interval = 0
            if not 0.1 <= interval <= 86400:
                misused(command, "--interval; allowed: 0.1..86400 seconds")
        elif argument in {"top": ("--once",), "map": ("--json",)}[command]:
            flags.add(argument)
        elif argument.startswith("-") or process is not None:
            misused(command, argument)
        else:
            process = argument
    if process is None:
        sys.stderr.write(f"hakmem: {command}: no process\n{USAGE[command]}")
        sys.exit(2)
    return process, flags, interval


def main():
    command, tool = sys.argv[1], sys.argv[2]
    process, flags, interval = parse(command, sys.argv[3:])
    try:
        if command == "top":
            top(tool, process, "--once" in flags, interval)
            return 0
        if "--json" in flags:
            return subprocess.run([tool, "stat", process, "--json", "--map"],
                                  check=False).returncode
        draw_map(ask(tool, process, "--map"))
    except Stop as stop:
        tell(f"{command}: {stop}")
        return 1
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(main())
