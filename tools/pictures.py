#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reports and pictures for the program hakmem, from the JSON that the library writes.

    pictures.py learn LOG [--json] [--svg FILE]   a log of HAKMEM_LEARN_LOG
    pictures.py topo HAKMEM                       the machine, as that program describes it

A truncated or malformed line changes nothing: each line is parsed whole before any of it counts.
Memory is bounded for any log: keys beyond the limit are counted and left out, only the last
switches are kept, and the points of a picture are thinned by half. Times are ms since the program's
start, costs are ns.
"""

import json
import re
import subprocess
import sys

ARMS = 16             # of a header
NAME = 23             # letters of a name
KEYS = 4096           # shards times keys
SHARDS = 4096         # as many as the library builds
POINTS = 512          # of a key's curves: a panel has fewer pixels
SWITCHES = 16         # of a key, the last ones
LINE_BYTES = 16384
TOLD = 8              # malformed lines that are reported one by one
ROWS = 40             # of a table for people
STATES = ["learn", "frozen", "canary", "pinned", "other"]
WHYS = ["miss", "use", "idle", "excess", "decay", "other"]

USAGE = "hakmem learn LOG [--json] [--svg FILE]\n"


class Fault(Exception):
    """What is wrong with a line."""


class Stop(Exception):
    """The log cannot be used; its text says why."""


def tell(text):
    print("hakmem: " + text, file=sys.stderr)


# ------------------------------------------------------------------ values of a line

def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 9e18


def natural(line, name, fault, default=None):
    """A non-negative number: costs, times, bytes."""
    value = line.get(name, default)
    if not is_number(value) or value < 0:
        raise Fault(fault)
    return int(value + 0.5) if isinstance(value, float) else value


def text_of(value):
    """A name that needs no quoting anywhere, or None."""
    is_name = isinstance(value, str) and 0 < len(value) <= NAME
    return value if is_name and re.fullmatch(r'[^\x00-\x1f"&<>\\\x7f-\U0010ffff]+', value) else None


def numbers(line, name, arms, fault, is_valid):
    values = line.get(name)
    if not isinstance(values, list) or len(values) != arms:
        raise Fault(fault)
    if not all(is_number(value) and is_valid(value) for value in values):
        raise Fault(fault)
    return values


def shard_of(line):
    shard = natural(line, "shard", 'no number of a "shard"')
    if shard >= SHARDS:
        raise Fault('no number of a "shard"')
    return shard


# ------------------------------------------------------------------ the replay

class Key:
    """What was decided for one size bucket or call site of a shard, and what it cost."""

    def __init__(self, shard, name, match, arms):
        self.shard, self.name = shard, name
        self.matches = self.bytes = self.samples = self.paid = 0
        self.cost = [0] * arms
        self.rating = [0] * arms
        self.ms = match["t"]
        self.state_ms = [0] * len(STATES)
        self.arm_ms = [0] * arms
        self.state, self.arm = match["state"], match["played"]
        self.switches, self.changed = 0, []
        self.points, self.stride, self.newest = [], 1, None

    def best(self):
        return self.cost.index(min(self.cost))

    def regret(self):
        return self.paid - min(self.cost)

    def let_pass(self, ms, arm):
        """Adds the time that `arm` was in force."""
        if ms > self.ms:
            self.state_ms[self.state] += ms - self.ms
            self.arm_ms[arm] += ms - self.ms
            self.ms = ms

    def switch(self, ms, arm, why):
        self.switches += 1
        self.changed = self.changed[-(SWITCHES - 1):] + [(ms, self.arm, arm, why)]
        self.arm = arm

    def take(self, match):
        self.matches += 1
        self.let_pass(match["t"], match["played"])
        if match["played"] != self.arm:
            self.switch(match["t"], match["played"], "unsaid")
        if match["next"] != match["played"]:
            self.switch(match["t"], match["next"], match["why"])
        self.state = match["state"]
        self.bytes += match["bytes"]
        self.samples += match["samples"]
        self.paid += match["paid"]
        self.cost = [sum(pair) for pair in zip(self.cost, match["costs"])]
        self.rating = match["ratings"]

    def note_point(self, match):
        """Keeps the points of the stride, and the newest point."""
        point = (self.ms, self.regret(), match["ratings"], match["played"], match["state"])
        self.newest = None
        if (self.matches - 1) % self.stride != 0:
            self.newest = point
            return
        self.points.append(point)
        if len(self.points) == POINTS:
            self.points = self.points[::2]
            self.stride *= 2

    def finish(self, ms):
        self.let_pass(ms, self.arm)
        if self.newest is not None:
            self.points.append(self.newest)


class Kept:
    """What a shard kept, from its events."""

    def __init__(self):
        self.retains = self.decays = self.purged = 0
        self.retain_from = self.retain_to = self.decay_from_ms = self.decay_to_ms = 0
        self.why = [0] * len(WHYS)

    def retain(self, line):
        fault = 'a "retain" without numbers "from" and "to"'
        before, after = natural(line, "from", fault), natural(line, "to", fault)
        purged = natural(line, "purged", fault, 0)
        if self.retains == 0:
            self.retain_from = before
        self.retains += 1
        self.retain_to = after
        why = line.get("why")
        self.why[WHYS.index(why) if why in WHYS else -1] += 1
        self.purged += purged

    def decay(self, line):
        fault = 'a "decay" without numbers "from_ms" and "to_ms"'
        before, after = natural(line, "from_ms", fault), natural(line, "to_ms", fault)
        if self.decays == 0:
            self.decay_from_ms = before
        self.decays += 1
        self.decay_to_ms = after


class Replay:
    def __init__(self, file, wants_points):
        self.file, self.wants_points = file, wants_points
        self.mode, self.price_ns, self.arms = "", 0, []
        self.lines = self.matches = self.events = 0
        self.ignored = self.malformed = self.left_out = self.ms = 0
        self.is_cut = False
        self.by_name, self.kept = {}, {}
        self.keys = []

    def read(self):
        with open(self.file, "rb") as file:
            goes_on = True
            while goes_on:
                raw, is_whole = self.read_line(file)
                if not raw:
                    break
                self.lines += 1
                goes_on = self.take_line(raw.strip(b" \t\r\n"), is_whole)
        if not self.arms:
            raise Stop(f"{self.file}: empty: no log of HAKMEM_LEARN_LOG")
        self.finish()

    @staticmethod
    def read_line(file):
        """A line, and whether it is complete. A line that is too long becomes "too long"."""
        raw = piece = file.readline(LINE_BYTES)
        while len(piece) == LINE_BYTES and not piece.endswith(b"\n"):
            raw = b"too long"
            piece = file.readline(LINE_BYTES)
        return raw, piece.endswith(b"\n")

    def take_line(self, raw, is_whole):
        """Whether the log continues after the line."""
        if not raw:
            return True
        try:
            line = self.parse(raw)
        except Fault as fault:
            if not self.arms:
                raise Stop(f"{self.file}:{self.lines}: not a log of HAKMEM_LEARN_LOG: no header")
            self.note_fault(fault, is_whole)
            return True
        if "hakmem_learn" in line:
            if self.arms:
                tell(f"{self.file}:{self.lines}: another log begins here, and is left out")
                return False
            self.read_header(line)
            return True
        if not self.arms:
            raise Stop(f"{self.file}:{self.lines}: not a log of HAKMEM_LEARN_LOG: no header")
        try:
            self.replay_line(line)
        except Fault as fault:
            self.note_fault(fault, True)
        return True

    @staticmethod
    def parse(raw):
        try:
            line = json.loads(raw.decode("utf-8"))
        except (ValueError, RecursionError):
            line = None
        if not isinstance(line, dict):
            raise Fault("no JSON object")
        return line

    def note_fault(self, fault, is_whole):
        if not is_whole:
            self.is_cut = True
            return
        self.malformed += 1
        if self.malformed <= TOLD:
            tell(f"{self.file}:{self.lines}: {fault}")

    def read_header(self, line):
        where = f"{self.file}:{self.lines}: "
        if line["hakmem_learn"] != 1:
            raise Stop(where + "a log of another format than 1")
        arms = line.get("arms")
        self.mode = text_of(line.get("mode"))
        if self.mode is None:
            raise Stop(where + 'the header\'s "mode" is no name')
        if not isinstance(arms, list) or not arms:
            raise Stop(where + 'the header has no "arms"')
        if len(arms) > ARMS:
            raise Stop(where + "the header has more arms than this tool has room for")
        if not all(text_of(arm) for arm in arms):
            raise Stop(where + 'the header\'s "arms" are no names')
        try:
            self.price_ns = natural(line, "price_ns", 'the header\'s "price_ns" is no number', 0)
        except Fault as fault:
            raise Stop(where + str(fault))
        self.arms = arms

    def replay_line(self, line):
        if "event" in line:
            self.replay_event(line)
        elif "key" in line and "played" in line:
            self.replay_match(self.match_of(line))
        else:
            self.ignored += 1

    def replay_event(self, line):
        act = {"retain": Kept.retain, "decay": Kept.decay}.get(line["event"])
        if act is None:
            self.ignored += 1
            return
        ms, shard = natural(line, "t", 'no time "t"'), shard_of(line)
        act(self.kept.setdefault(shard, Kept()), line)
        self.events += 1
        self.ms = max(self.ms, ms)

    def arm_of(self, line, name):
        value = line.get(name)
        if value not in self.arms:
            raise Fault(f'"{name}" is no arm of the header')
        return self.arms.index(value)

    def match_of(self, line):
        match = {"t": natural(line, "t", 'no time "t"'), "shard": shard_of(line)}
        match["key"] = text_of(line["key"])
        if match["key"] is None:
            raise Fault('the "key" is no name')
        match["played"] = self.arm_of(line, "played")
        match["next"] = self.arm_of(line, "next") if "next" in line else match["played"]
        match["paid"] = natural(line, "paid", 'no number "paid"')
        for name in "bytes", "samples":
            match[name] = natural(line, name, '"bytes" or "samples" is no number', 0)
        match["costs"] = numbers(line, "costs", len(self.arms),
                                 '"costs" are not a number for each arm', lambda cost: cost >= 0)
        match["ratings"] = numbers(line, "ratings", len(self.arms),
                                   '"ratings" are not a number for each arm',
                                   lambda rating: abs(rating) <= 1e9)
        match["why"] = text_of(line.get("why")) or "unsaid"
        state = line.get("state")
        match["state"] = STATES.index(state) if state in STATES else len(STATES) - 1
        return match

    def replay_match(self, match):
        self.matches += 1
        self.ms = max(self.ms, match["t"])
        name = match["shard"], match["key"]
        key = self.by_name.get(name)
        if key is None:
            if len(self.by_name) == KEYS:
                self.left_out += 1
                return
            key = self.by_name[name] = Key(*name, match, len(self.arms))
        key.take(match)
        if self.wants_points:
            key.note_point(match)

    def finish(self):
        self.keys = sorted(self.by_name.values(), key=lambda key: (-key.bytes, key.shard, key.name))
        for key in self.keys:
            key.finish(self.ms)
        if self.malformed > TOLD:
            tell(f"{self.file}: {self.malformed} malformed lines in all")
        if self.left_out:
            tell(f"{self.file}: no room for the keys of {self.left_out} matches")

    def sums(self):
        """The cost paid, the cost of each arm, and the cost of the best arm for each key."""
        costs = [sum(key.cost[arm] for key in self.keys) for arm in range(len(self.arms))]
        return sum(key.paid for key in self.keys), costs, sum(min(key.cost) for key in self.keys)


# ------------------------------------------------------------------ figures for people

def figure_ns(nanoseconds):
    value, unit = float(nanoseconds), 0
    while abs(value) >= 999.5 and unit < 3:
        value, unit = value / 1000, unit + 1
    decimals = 0 if unit == 0 or abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:.{decimals}f} {('ns', 'us', 'ms', 's')[unit]}"


def figure_bytes(size):
    value, unit = float(size), 0
    while value >= 1023.5 and unit < 5:
        value, unit = value / 1024, unit + 1
    return f"{value:.{1 if unit > 0 and value < 9.95 else 0}f}{('', 'K', 'M', 'G', 'T', 'P')[unit]}"


def percent(difference, of):
    return f"{100 * difference / of:+.1f}%" if of > 0 else "-"


def share(part, whole):
    return f"{100 * part / whole:.0f}%" if part > 0 and whole > 0 else "-"


# ------------------------------------------------------------------ tables

def rest(count, what):
    return [f"  and {count - ROWS} more {what}: --json has them"] if count > ROWS else []


def head_lines(replay):
    yield (f"{replay.file}: mode {replay.mode}, {replay.matches} matches of {len(replay.keys)} "
           f"keys in {replay.ms / 1000:.1f} s")
    yield f"costs are CPU time; a MiB kept unused for a second counts {figure_ns(replay.price_ns)}"
    if replay.malformed:
        yield f"{replay.malformed} malformed lines are left out"
    if replay.is_cut:
        yield "the last line is cut off, and left out"
    if replay.ignored:
        yield f"{replay.ignored} lines of unknown kinds are left out"
    if replay.left_out:
        yield f"{replay.left_out} matches are left out for want of room"


def key_lines(replay):
    yield ""
    yield (f"shard {'key':13} matches  bytes  learn frozen canary pinned  in force switches"
           f"      paid   regret  of best")
    for key in replay.keys[:ROWS]:
        in_states = " ".join(f"{share(key.state_ms[i], sum(key.state_ms)):>{5 if i == 0 else 6}}"
                             for i in range(len(STATES) - 1))
        yield (f"{key.shard:5} {key.name:13} {key.matches:7} {figure_bytes(key.bytes):>6}  "
               f"{in_states}  {replay.arms[key.arm]:8} {key.switches:8}  {figure_ns(key.paid):>8} "
               f"{figure_ns(key.regret()):>8} {percent(key.regret(), key.paid - key.regret()):>8}")
    yield from rest(len(replay.keys), "keys")


def arm_lines(replay):
    yield ""
    yield "what each arm would have cost, alone, and its last rating (* least cost)"
    yield f"shard {'key':13}" + "".join(f" {arm:>15} " for arm in replay.arms)
    for key in replay.keys[:ROWS]:
        cells = (f" {figure_ns(cost):>9} {rating:5.0f}{'*' if arm == key.best() else ' '}"
                 for arm, (cost, rating) in enumerate(zip(key.cost, key.rating)))
        yield f"{key.shard:5} {key.name:13}" + "".join(cells)
    yield from rest(len(replay.keys), "keys")


def switch_lines(replay):
    yield ""
    yield f"switches, the last {SWITCHES} of each key at most"
    rows = [f"{key.shard:5} {key.name:13} {ms / 1000:9.3f} s  {replay.arms[before]} -> "
            f"{replay.arms[after]}, {why}"
            for key in replay.keys for ms, before, after, why in key.changed]
    yield from rows[:ROWS] or ["  none"]
    yield from rest(len(rows), "switches")


def kept_lines(replay):
    rows = []
    for shard, kept in sorted(replay.kept.items()):
        parts = []
        if kept.retains:
            why = "".join(f" {count} {name}" for count, name in zip(kept.why, WHYS) if count)
            parts.append(f" retain {figure_bytes(kept.retain_from)} -> "
                         f"{figure_bytes(kept.retain_to)} by{why}, "
                         f"purged {figure_bytes(kept.purged)}")
        if kept.decays:
            parts.append(f" decay {kept.decay_from_ms} -> {kept.decay_to_ms} ms in {kept.decays}")
        rows.append(f"{shard:5}" + ";".join(parts))
    if rows:
        yield from ["", "what the shards kept"] + rows[:ROWS]
    yield from rest(len(rows), "shards")


def total_lines(replay):
    paid, costs, best = replay.sums()
    least = costs.index(min(costs))

    def row(what, cost, of):
        return f"{what:36} {cost:>9} {figure_ns(of[0]):>9} {percent(*of):>8}"
    yield ""
    yield f"{'all keys':36} {'cost':>9} {'regret':>9} {'of best':>8}"
    yield row("the learner", figure_ns(paid), (paid - best, best))
    for arm, cost in enumerate(costs):
        yield row(f"{replay.arms[arm]} for everything{' *' if arm == least else ''}",
                  figure_ns(cost), (cost - best, best))
    yield row("the best arm for each key", figure_ns(best), (0, best))
    yield row("the learner, against *", "", (paid - costs[least], costs[least]))


def as_text(replay):
    parts = [head_lines, key_lines, arm_lines, switch_lines, kept_lines, total_lines]
    if not replay.keys:
        parts = [head_lines, kept_lines]
    return "".join(line + "\n" for part in parts for line in part(replay))


# ------------------------------------------------------------------ JSON, one line for each key

def regret_of(replay, paid, costs):
    best = min(costs)
    ratio = float(f"{100 * (paid - best) / best:.3f}") if best > 0 else None
    return {"paid": paid, "costs": costs, "best": replay.arms[costs.index(best)],
            "regret": paid - best, "regret_percent": ratio}


def key_as_json(replay, key):
    return {"shard": key.shard, "key": key.name, "matches": key.matches, "bytes": key.bytes,
            "samples": key.samples, **regret_of(replay, key.paid, key.cost),
            "state_ms": dict(zip(STATES, key.state_ms)), "arm_ms": key.arm_ms,
            "ratings": [int(rating) if rating == int(rating) else rating for rating in key.rating],
            "state": STATES[key.state], "in_force": replay.arms[key.arm], "switches": key.switches,
            "last_switches": [{"t": ms, "from": replay.arms[before], "to": replay.arms[after],
                               "why": why} for ms, before, after, why in key.changed]}


def kept_as_json(shard, kept):
    return {"shard": shard, "retains": kept.retains, "retain_from": kept.retain_from,
            "retain_to": kept.retain_to, "why": dict(zip(WHYS, kept.why)), "purged": kept.purged,
            "decays": kept.decays, "decay_from_ms": kept.decay_from_ms,
            "decay_to_ms": kept.decay_to_ms}


def as_json(replay):
    def put(value):
        # The reader of a line looks for "regret_percent":70.417 and the like: three decimals.
        text = json.dumps(value, separators=(",", ":"))
        return re.sub(r'"regret_percent":(-?[0-9.e+-]+)',
                      lambda found: f'"regret_percent":{float(found[1]):.3f}', text)
    paid, costs, best = replay.sums() if replay.keys else (0, [0] * len(replay.arms), 0)
    head = put({"mode": replay.mode, "price_ns": replay.price_ns, "ms": replay.ms,
                "arms": replay.arms, "lines": replay.lines, "matches": replay.matches,
                "events": replay.events, "ignored": replay.ignored, "malformed": replay.malformed,
                "left_out": replay.left_out, "cut": replay.is_cut})
    keys = ",\n".join(put(key_as_json(replay, key)) for key in replay.keys)
    kept = ",\n".join(put(kept_as_json(*item)) for item in sorted(replay.kept.items()))
    total = put({**regret_of(replay, paid, costs), "best_for_each_key": best,
                 "regret_for_each_key": paid - best})
    return f'{head[:-1]},\n"keys":[{keys}],\n"shards":[{kept}],\n"total":{total}}}\n'


# ------------------------------------------------------------------ the learner's picture
#
# The top shows what was paid, beside what each arm would have cost for everything. Below is a panel
# for each of the keys with the most bytes, all over the same time:
#
#     +------------------------+
#     | __--^^ ratings, a line |   the ground is the state
#     | ^^--__ for each arm    |
#     +------------------------+
#     |  keep   |     free     |   the arm in force
#     +------------------------+
#     |      regret so far     |   paid more than the arm that was the best until then
#     +------------------------+

WIDTH, GAP, PANELS, BAR = 1240, 14, 12, 20
BARS_TOP, BARS_LEFT, BARS_WIDTH, LEGEND_LEFT = 48, 204, 400, 810
LEFT, RIGHT, RATINGS_TOP, RATINGS_HEIGHT = 58, 12, 44, 120
BAND_TOP, BAND_HEIGHT = RATINGS_TOP + RATINGS_HEIGHT + 5, 15
REGRET_TOP, REGRET_HEIGHT = BAND_TOP + BAND_HEIGHT + 7, 52
PANEL_HEIGHT = REGRET_TOP + REGRET_HEIGHT + 26
# Okabe and Ito's colours, which the colour-blind can tell apart, and the text colour on them.
COLOURS = [("#0072b2", "#fff"), ("#e69f00", "#000"), ("#009e73", "#fff"), ("#cc79a7", "#000"),
           ("#d55e00", "#fff"), ("#56b4e9", "#000"), ("#777777", "#fff"), ("#b8a800", "#000")]
GROUNDS = ["#eef6ea", "#dfeaf6", "#fdf0cc", "#e6e6e6", "#f8e1ea"]
LEGEND = ["Percentages: against the best arm for each key.",
          "Each panel is a shard and a key; from above:",
          "ratings of the arms, higher is better;",
          "the arm in force;",
          "regret: what was paid beyond the arm that was best until then.",
          "Ground:"]
STYLE = (".grid{stroke:#888;stroke-opacity:.3;fill:none}.frame{fill:none;stroke:#999}"
         ".line{fill:none;stroke-width:2;stroke-linejoin:round}"
         ".regret{fill:#b22;fill-opacity:.15;stroke:#b22;stroke-width:1.5}"
         ".tick{font-size:11px;fill:#555}.note{font-size:12px;fill:#444}.head{font-weight:bold}"
         ".end{text-anchor:end}.middle{text-anchor:middle}"
         ".name{font-size:11px;text-anchor:middle}.swatch{stroke:#999}")


def colour(arm):
    return COLOURS[arm % len(COLOURS)]


def dashes(arm):
    return "" if arm < len(COLOURS) else ' stroke-dasharray="5 2"'


def text(x, y, content, kind=""):
    kind = f' class="{kind}"' if kind else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}">{content}</text>'


class Scale:
    """From one value to another, with round numbers between; drawn from `start` to `end`."""

    def __init__(self, low, high, parts):
        step = 1.0
        while step * parts < high - low:
            step *= 10
        for divisor in 5, 2:
            if step / divisor * parts >= high - low:
                step /= divisor
                break
        self.step = max(step, 1.0)
        self.low = (low // self.step) * self.step
        self.high = -(-high // self.step) * self.step
        if self.high <= self.low:
            self.high += self.step
        self.start = self.end = 0.0

    def at(self, value):
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def over(self, start, end):
        self.start, self.end = start, end
        return self

    def ticks(self):
        count = min(int((self.high - self.low) / self.step + 1e-9) + 1, 12)
        return [self.low + i * self.step for i in range(count)]


def put_bars(replay):
    paid, costs, best = replay.sums()
    bars = [("the learner", "#222222", "", paid)]
    bars += [(f"{name} everywhere", colour(arm)[0], dashes(arm), costs[arm])
             for arm, name in enumerate(replay.arms)]
    bars.append(("best arm for each key", "#aaaaaa", "", best))
    longest = max(bar[3] for bar in bars)
    for row, (label, fill, dash, cost) in enumerate(bars):
        y = BARS_TOP + row * BAR
        width = BARS_WIDTH * cost / longest if longest else 0
        more = f" ({percent(cost - best, best)})" if cost != best else ""
        yield text(BARS_LEFT - 32, y + 14, label, "end")
        yield f'<path class="line" stroke="{fill}"{dash} d="M{BARS_LEFT - 26} {y + 9.5:.1f}h20"/>'
        yield (f'<rect x="{BARS_LEFT}" y="{y + 2}" width="{width:.1f}" height="{BAR - 5}" '
               f'fill="{fill}"/>')
        yield text(BARS_LEFT + width + 6, y + 14, figure_ns(cost) + more)


def put_legend(replay):
    for row, line in enumerate(LEGEND):
        indent = 12 if 1 < row < len(LEGEND) - 1 else 0
        yield text(LEGEND_LEFT + indent, BARS_TOP + 14 + row * 17, line, "note")
    y = BARS_TOP + 14 + (len(LEGEND) - 1) * 17
    for state, name in enumerate(STATES):
        x = LEGEND_LEFT + 56 + state * 72
        yield (f'<rect class="swatch" x="{x}" y="{y - 10}" width="14" height="12" '
               f'fill="{GROUNDS[state]}"/>')
        yield text(x + 19, y, name, "note")
    if len(replay.keys) > PANELS:
        yield text(LEGEND_LEFT, y + 17,
                   f"{len(replay.keys) - PANELS} keys with less bytes are not shown.", "note")


def put_ratings(replay, key, time, scale, top):
    for point, following in zip(key.points, key.points[1:] + [(replay.ms,)]):
        x = time.at(point[0])
        yield (f'<rect x="{x:.1f}" y="{top:.1f}" width="{time.at(following[0]) - x:.1f}" '
               f'height="{RATINGS_HEIGHT}" fill="{GROUNDS[point[4]]}"/>')
    scale.over(top + RATINGS_HEIGHT, top)
    for value in scale.ticks():
        y = scale.at(value)
        yield f'<path class="grid" d="M{time.start:.1f} {y:.1f}H{time.end:.1f}"/>'
        yield text(time.start - 5, y + 4, f"{value:.0f}", "tick end")
    for arm, name in enumerate(replay.arms):
        points = " ".join(f"{time.at(point[0]):.1f},{scale.at(point[2][arm]):.1f}"
                          for point in key.points)
        yield (f'<polyline class="line" stroke="{colour(arm)[0]}"{dashes(arm)} points="{points}">'
               f'<title>{name}</title></polyline>')


def put_reign(replay, time, top, arm, begin, end):
    """A period in which an arm was in force."""
    name, (fill, ink) = replay.arms[arm], colour(arm)
    x, width = time.at(begin), time.at(end) - time.at(begin)
    yield (f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{BAND_HEIGHT}" '
           f'fill="{fill}"><title>{name}, {begin / 1000:.3f} s to {end / 1000:.3f} s</title></rect>')
    if width > 7 * len(name) + 6:
        yield (f'<text class="name" x="{x + width / 2:.1f}" y="{top + BAND_HEIGHT - 4:.1f}" '
               f'fill="{ink}">{name}</text>')


def put_band(replay, key, time, top):
    if not key.points:
        return
    after = [point[3] for point in key.points[1:]] + [key.arm]    # in force from each point on
    begin = key.points[0][0]
    for i, point in enumerate(key.points[1:], 1):
        if after[i] != after[i - 1]:
            yield from put_reign(replay, time, top, after[i - 1], begin, point[0])
            begin = point[0]
    yield from put_reign(replay, time, top, after[-1], begin, replay.ms)


def round_ns(value):
    unit = 0
    while abs(value) >= 1000 and unit < 3:
        value, unit = value / 1000, unit + 1
    return f"{value:g}" + (("", " ns")[value != 0], " us", " ms", " s")[unit]


def put_regret(key, time, top):
    values = [point[1] for point in key.points] + [0]
    scale = Scale(min(values), max(values), 2).over(top + REGRET_HEIGHT, top)
    for value in scale.ticks():
        if value != 0 and min(values) == max(values):
            continue    # all values are 0: no label for the scale's 1 ns
        y = scale.at(value)
        yield f'<path class="grid" d="M{time.start:.1f} {y:.1f}H{time.end:.1f}"/>'
        yield text(time.start - 5, y + 4, round_ns(value), "tick end")
    if key.points:
        curve = "".join(f"L{time.at(point[0]):.1f} {scale.at(point[1]):.1f}"
                        for point in key.points)
        yield (f'<path class="regret" d="M{time.at(key.points[0][0]):.1f} {scale.at(0):.1f}{curve}'
               f'H{time.end:.1f}V{scale.at(0):.1f}"/>')


def put_panel(replay, key, x, y, width, ratings):
    time = Scale(0, replay.ms, 6).over(x + LEFT, x + width - RIGHT)
    time.high = replay.ms or 1
    yield '<g class="panel">'
    yield text(time.start, y + 18, f"shard {key.shard}, {key.name}", "head")
    yield text(time.start, y + 35,
               f"{key.matches} matches, {figure_bytes(key.bytes)}, paid {figure_ns(key.paid)}, "
               f"regret {figure_ns(key.regret())} "
               f"({percent(key.regret(), key.paid - key.regret())})", "tick")
    yield from put_ratings(replay, key, time, ratings, y + RATINGS_TOP)
    yield from put_band(replay, key, time, y + BAND_TOP)
    yield from put_regret(key, time, y + REGRET_TOP)
    bottom = y + REGRET_TOP + REGRET_HEIGHT
    for value in time.ticks():
        yield f'<path class="grid" d="M{time.at(value):.1f} {bottom:.1f}v4"/>'
        yield text(time.at(value), bottom + 15, f"{value / 1000:g}{' s' if value == 0 else ''}",
                   "tick middle")
    for top, height in (RATINGS_TOP, RATINGS_HEIGHT), (REGRET_TOP, REGRET_HEIGHT):
        yield (f'<rect class="frame" x="{time.start:.1f}" y="{y + top:.1f}" '
               f'width="{time.end - time.start:.1f}" height="{height}"/>')
    yield "</g>"


def svg(width, height, style, parts):
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
           f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="13">')
    yield f"<style>{style}</style>"
    yield f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>'
    yield from parts
    yield "</svg>"


def put_learner(replay, top, columns):
    yield (f'<text class="head" font-size="16" x="{GAP}" y="28">What the learner paid, and what '
           f'each arm would have cost</text>')
    yield text(WIDTH - GAP, 28, f"mode {replay.mode}, {replay.matches} matches of "
               f"{len(replay.keys)} keys in {replay.ms / 1000:.1f} s; a MiB kept for a second "
               f"counts {figure_ns(replay.price_ns)}", "note end")
    yield from put_bars(replay)
    yield from put_legend(replay)
    shown = replay.keys[:PANELS]
    values = [value for key in shown for point in key.points for value in point[2]] or [0]
    ratings = Scale(min(values), max(values), 4)    # one scale for all panels, so that they compare
    for place, key in enumerate(shown):
        yield from put_panel(replay, key, place % columns * WIDTH / columns,
                             top + place // columns * (PANEL_HEIGHT + GAP), WIDTH / columns,
                             ratings)


def as_svg(replay):
    panels = min(len(replay.keys), PANELS)
    columns = 2 if panels == 4 else max(min(panels, 3), 1)
    rows = -(-panels // columns)
    top = BARS_TOP + max(BAR * (len(replay.arms) + 2), 17 * (len(LEGEND) + 1)) + GAP
    height = top + rows * (PANEL_HEIGHT + GAP)
    return "\n".join(svg(WIDTH, height, STYLE, put_learner(replay, top, columns))) + "\n"


# ------------------------------------------------------------------ the machine's picture
#
# Each node is a row, each L3 a box in it, each CPU a square in that, in the colour of its shard; a
# CPU that the process may not use is hollow. An arc leads from each shard to the one that it asks
# first; the full order is below.

CPU_WIDTH, CPU_HEIGHT, CPUS_A_ROW, L3S_A_ROW, SPACE, LINE, ARCS = 34, 30, 8, 4, 8, 20, 256
L3_WIDTH = CPUS_A_ROW * CPU_WIDTH + SPACE
MACHINE_STYLE = (".node{fill:#f4f4f4;stroke:#888}.l3{fill:#fff;stroke:#aaa}.cpu{stroke:#555}"
                 ".id{text-anchor:middle;font-size:11px}"
                 ".asks{fill:none;stroke:#333;stroke-opacity:.5}")


def hue(shard):
    """A hue; neighbours differ by nearly the golden angle."""
    return f"hsl({shard * 137 % 360},65%,75%)"


def box(kind, x, y, width, height):
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="4"/>'


def put_l3(l3, cpus, x, y, spots):
    height = LINE + -(-len(cpus) // CPUS_A_ROW) * CPU_HEIGHT + SPACE
    parts = [box("l3", x, y, L3_WIDTH, height), text(x + SPACE, y + LINE - 5, f"L3 {l3}")]
    for place, cpu in enumerate(cpus):
        left = x + SPACE // 2 + 2 + place % CPUS_A_ROW * CPU_WIDTH
        top = y + LINE + place // CPUS_A_ROW * CPU_HEIGHT
        shard, is_allowed = cpu["shard"], cpu["allowed"]
        if is_allowed:
            spots.setdefault(shard, (left + CPU_WIDTH // 2 - 2, top))
        parts.append(f'<g><title>CPU {cpu["id"]}: '
                     f'{"" if is_allowed else "not allowed; falls to "}shard {shard}</title>'
                     f'<rect class="cpu" x="{left}" y="{top}" width="{CPU_WIDTH - 4}" '
                     f'height="{CPU_HEIGHT - 4}" fill="{hue(shard)}" '
                     f'fill-opacity="{int(is_allowed)}"/>'
                     + text(left + CPU_WIDTH // 2 - 2, top + CPU_HEIGHT // 2 + 2, cpu["id"], "id")
                     + "</g>")
    return height, parts


def put_node(node, cpus, y, spots):
    inside, above, tallest = [], y + LINE + SPACE // 2, 0
    for column, l3 in enumerate(sorted({cpu["l3"] for cpu in cpus})):
        if column and column % L3S_A_ROW == 0:
            above, tallest = above + tallest + SPACE, 0
        height, parts = put_l3(l3, [cpu for cpu in cpus if cpu["l3"] == l3],
                               2 * SPACE + column % L3S_A_ROW * (L3_WIDTH + SPACE), above, spots)
        inside += parts
        tallest = max(tallest, height)
    bottom = above + tallest + SPACE
    title = f'node {node["id"]}' + ("" if node["has_memory"] else ", no memory")
    title += "" if cpus else ", no CPUs"
    width = L3S_A_ROW * (L3_WIDTH + SPACE) + SPACE
    return bottom, [box("node", SPACE, y, width, bottom - y),
                    text(2 * SPACE, y + LINE - 4, title)] + inside


def put_arcs(shards, spots):
    for shard in shards[:ARCS]:
        start = spots.get(shard["shard"])
        end = spots.get(shard["asks"][0]) if shard["asks"] else None
        if start and end:    # shards that share a CPU have one square for all
            yield (f'<path class="asks" d="M{start[0]} {start[1]}Q{(start[0] + end[0]) // 2} '
                   f'{(start[1] + end[1]) // 2 - 14} {end[0]} {end[1]}"><title>shard '
                   f'{shard["shard"]} asks shard {shard["asks"][0]} first</title></path>')


def asked(shard):
    """The shards that a shard asks, in order; long lists are cut: other formats have them all."""
    order = " ".join(str(other) for other in shard["asks"])
    return order if len(order) < 100 else order[:100].rsplit(" ", 1)[0] + " ..."


def put_orders(shards, y):
    for row, shard in enumerate(shards):
        top = y + row * LINE
        yield (f'<rect x="{2 * SPACE}" y="{top - 11}" width="12" height="12" '
               f'fill="{hue(shard["shard"])}"/>')
        asks = f': asks {asked(shard)}' if shard["asks"] else ""
        yield text(4 * SPACE, top, f'shard {shard["shard"]}, CPUs {shard["cpus"]}{asks}')


def machine_as_svg(machine):
    spots, y, parts = {}, 2 * LINE, []
    for node in machine["nodes"]:
        cpus = [cpu for cpu in machine["cpus"] if cpu["node"] == node["id"]]
        y, drawn = put_node(node, cpus, y, spots)
        parts += drawn
        y += SPACE
    shards = machine["shards"]
    title = text(SPACE, LINE, f'{len(shards)} shards by {machine["by"]}, machine from '
                              f'{machine["source"]}')
    parts = [title] + parts + list(put_arcs(shards, spots)) + list(put_orders(shards, y + LINE))
    width = L3S_A_ROW * (L3_WIDTH + SPACE) + 3 * SPACE
    return "\n".join(svg(width, y + LINE * (len(shards) + 1), MACHINE_STYLE, parts)) + "\n"


# ------------------------------------------------------------------ the commands

def refuse(what):
    print(f"hakmem: {what}\n{USAGE}", end="", file=sys.stderr)
    sys.exit(2)


def read_call(arguments):
    log, picture, is_json = None, None, False
    rest_of = iter(arguments)
    for argument in rest_of:
        if argument == "--json":
            is_json = True
        elif argument.startswith("--svg="):
            picture = argument[len("--svg="):]
        elif argument == "--svg":
            picture = next(rest_of, None)
            if picture is None:
                refuse("learn: --svg needs a file")
        elif argument.startswith("-"):
            refuse(f"learn takes no such argument: {argument}")
        elif log is not None:
            refuse(f"learn takes one log, not this too: {argument}")
        else:
            log = argument
    if log is None:
        refuse("learn: no log to read")
    return log, picture, is_json


def write(content, name):
    try:
        if name is None:
            sys.stdout.write(content)
            sys.stdout.flush()
        else:
            with open(name, "w", encoding="ascii", errors="xmlcharrefreplace") as file:
                file.write(content)
        return True
    except OSError as error:
        tell(f"{name or 'standard output'}: {error.strerror}")
        return False


def learn(arguments):
    log, picture, is_json = read_call(arguments)
    replay = Replay(log, picture is not None)
    try:
        replay.read()
    except Stop as why:
        tell(str(why))
        return 1
    except OSError as error:
        tell(f"{log}: {error.strerror}")
        return 1
    is_written = picture is None or write(as_svg(replay), picture)
    is_written &= write(as_json(replay) if is_json else as_text(replay), None)
    return 0 if is_written and replay.malformed == 0 else 1


def topo(arguments):
    if len(arguments) != 1:
        refuse("topo: no program to ask")
    answer = subprocess.run([arguments[0], "topo", "--json"], stdout=subprocess.PIPE, check=False)
    if answer.returncode != 0:
        return 1    # it has printed why
    return 0 if write(machine_as_svg(json.loads(answer.stdout)), None) else 1


def main():
    commands = {"learn": learn, "topo": topo}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        refuse("pictures.py: learn or topo")
    status = commands[sys.argv[1]](sys.argv[2:])
    # The failed write was reported: avoid a second message when the stream is closed.
    try:
        sys.stdout.close()
    except OSError:
        pass
    sys.exit(status)


if __name__ == "__main__":
    main()
