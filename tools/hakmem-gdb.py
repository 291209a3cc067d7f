# SPDX-License-Identifier: MIT
"""Commands for gdb: what the library's heap holds, in a stopped process or a core dump.

    hakmem heap          bytes, and what each size class has
    hakmem shards        what each shard has
    hakmem of ADDRESS    whose it is: an object of a slab, live or free; a run; a whale; nobody's

gdb loads this by itself where it is installed beside the library for that (share/gdb/auto-load);
else: source hakmem-gdb.py. It needs the library's debug information (the -dbgsym package, or a build
with -g). It reads memory and calls nothing, so it works on what has crashed. A process that is
stopped in the midst of a change may show one object too many or too few.
"""

import gdb

WORD_ROOM_BITS = 16        # of a chain: tiers/object.h
UNIT_SHIFT = 12            # of a run: tiers/large_segment.h
PAGE_SHIFT = 16            # tiers/page_map.h, as the next two
LEAF_SHIFT = 32
HEADER_SHIFT = 21
REGION_PAGES = 32
OWN, OWN_ALONE, OWN_LARGE = 64, 72, 73    # enum hak_page_kind
CHAINS_MOST = 1 << 20      # steps over lists that may be damaged


def value(name):
    """A variable of the library's, from wherever the process is stopped."""
    symbol = gdb.lookup_global_symbol(name) or gdb.lookup_static_symbol(name)
    if symbol is None:
        raise gdb.GdbError("no %s: no hakmem in this process, or no debug information for it" % name)
    return symbol.value()


def size_text(count):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 10240 or unit == "GiB":
            return "%d %s" % (count, unit)
        count //= 1024


def plural(count, word):
    return "%d %s%s" % (count, word, "" if count == 1 else "s")


def shards():
    """The shards, by id. They have consecutive ids from 1 on."""
    table = value("hak_shards")
    last = table.type.range()[1]
    for number in range(1, last + 1):
        if int(table[number]) == 0:
            return
        yield table[number].dereference()


def caches_of(shard):
    """The caches of runs: the shard's own, and those of its CPUs."""
    yield shard["large"]
    for lane in range(1, int(shard["lane_end"]) + 1):
        if int(shard["lanes"][lane]) != 0:
            yield shard["lanes"][lane]["large"]


def class_table():
    classes = value("hak_classes")
    return [classes[i] for i in range(classes.type.range()[1] + 1)]


def bin_of(shard, class_id):
    pool = shard["tiny"] if class_id <= int(shard["tiny"]["last_class"]) else shard["mid"]
    return pool["bins"][class_id - int(pool["first_class"])]


def listed(first, link):
    """What a list holds, up to a bound: the process may have crashed for a reason."""
    count = 0
    while int(first) != 0 and count < CHAINS_MOST:
        yield first.dereference()
        first = first[link]
        count += 1


def thread_fronts():
    return listed(value("fronts")["active"], "next")


def cpu_fronts():
    fronts = value("hak_cpu_fronts")
    base, kind = int(fronts["base"]), gdb.lookup_type("struct hak_front").pointer()
    for cpu in range(int(fronts["ids"]) if base != 0 else 0):
        yield cpu, gdb.Value(base + (cpu << 12)).cast(kind).dereference()


# ---------------------------------------------------------------------------- chains


def word_at(address):
    data = gdb.selected_inferior().read_memory(address, 8)
    return int.from_bytes(bytes(data), "little")


def chain(word, secret, most):
    """The objects of a chain, until its end or a link that is none."""
    while word >> WORD_ROOM_BITS != 0 and most != 0:
        top = word >> WORD_ROOM_BITS
        yield top
        try:
            below = word_at(top) ^ secret
        except gdb.MemoryError:
            return
        if (below - word - 1) & 0xfffff != 0:
            return
        word, most = below, most - 1


def in_front(front, class_id, address, secret, most):
    return any(address in chain(int(front[name][class_id]["word"]), secret, most)
               for name in ("loaded", "spare", "foreign"))


def looks_free(address):
    """Whether the first word is a link (hak_link_is_likely): of live objects one in 4096 by chance."""
    return (word_at(address) ^ int(value("hak_link_secret"))) & 0xfffff <= 256


def at_hand(class_id, address):
    """Whose front an object lies free in, or None."""
    secret, most = int(value("hak_link_secret")), int(class_table()[class_id]["bundle"])
    for front in thread_fronts():
        if in_front(front, class_id, address, secret, most):
            return "in the front of thread %d (in the order of their first calls)" % front["sequence"]
    for cpu, front in cpu_fronts():
        if in_front(front, class_id, address, secret, most):
            return "in the front of CPU %d" % cpu
    return None


# ---------------------------------------------------------------------------- addresses


class Page:
    """What the page map says of an address."""

    def __init__(self, address):
        pages = value("hak_page_map")
        self.class_id = self.offset = self.home = 0
        self.leaf = 0
        if address < 0 or address >> LEAF_SHIFT > pages["root"].type.range()[1]:
            return
        distance = int(pages["root"][address >> LEAF_SHIFT])
        if distance == 0:
            return
        self.leaf = (int(pages["nothing"].address) + distance) & (1 << 64) - 1
        data = gdb.selected_inferior().read_memory(
            self.leaf + 4 * (address >> PAGE_SHIFT & 0xffff), 4)
        entry = int.from_bytes(bytes(data), "little")
        self.class_id, self.offset, self.home = entry & 0xff, entry >> 8 & 0xff, entry >> 16

    def header(self, address, kind):
        leaf = gdb.Value(self.leaf).cast(gdb.lookup_type("struct hak_page_leaf").pointer())
        pointer = leaf["header"][(address & 0xffffffff) >> HEADER_SHIFT]
        return pointer.cast(gdb.lookup_type(kind).pointer())


def bit(words, index):
    return int(words[index // 64]) >> index % 64 & 1


def is_free(slab, index):
    """By its bit, or since its kernel pages went back (tiers/slab.h)."""
    if bit(slab["words"], index):
        return True
    size, page = int(slab["size"]), 4096
    first, last = index * size // page, ((index + 1) * size - 1) // page
    return any(bit(slab["holes"]["words"], hole) for hole in range(first, last + 1))


def tell_slab(address, page):
    region = page.header(address, "struct hak_region")
    begin = (address >> PAGE_SHIFT) % REGION_PAGES - page.offset
    if int(region) == 0 or begin <= 0:
        return "a page of a slab that is being made or unmapped"
    slab = region["slabs"][begin]
    size, base = int(slab["size"]), int(slab["base"])
    if size == 0:
        return "a page of a slab that is being made"
    index = (address - base) // size
    where = "class of %s, slab at 0x%x of shard %d" % (size_text(size), base, page.home)
    if index >= int(slab["capacity"]):
        return "the unused end of a slab: " + where
    inside = address - base - index * size
    text = "object at 0x%x" % (address - inside)
    if inside != 0:
        text += ", of which this is byte %d" % inside
    if is_free(slab, index):
        return "%s: free in its slab; %s" % (text, where)
    hand = at_hand(page.class_id, address - inside)
    if hand is not None:
        state = "free, " + hand
    elif looks_free(address - inside):
        state = "free by its first word: in a transfer cache, an inbox or a bundle on its way"
    else:
        state = "live"
    return "%s: %s; %s" % (text, state, where)


def tell_large(address, page):
    segment = page.header(address, "struct hak_large_segment")
    if int(segment) == 0:
        return "a page of a segment that is being made or unmapped"
    used, inner = (int(gdb.parse_and_eval(name)) for name in ("HAK_UNIT_USED", "HAK_UNIT_INNER"))
    base = int(segment["base"])
    unit = (address - base) >> UNIT_SHIFT
    while unit > 0 and int(segment["unit"][unit]["kind"]) == inner:
        unit -= 1
    begin = base + (unit << UNIT_SHIFT)
    size = int(segment["unit"][unit]["number"]) << UNIT_SHIFT
    if int(segment["unit"][unit]["kind"]) != used:
        return "free memory between runs, of shard %d" % page.home
    text = "run of %s at 0x%x: live" % (size_text(size), begin)
    return text + ("" if address == begin else ", of which this is byte %d" % (address - begin))


def tell_whale(address, page):
    second = Page((address >> PAGE_SHIFT) + 1 << PAGE_SHIFT)
    number = page.home | second.home << 16
    whales = value("default_heap")["whales"]
    chunk, first = 0, 1 << 6
    at = number + first
    chunk = at.bit_length() - 7
    whale = whales["chunks"][chunk][at - (first << chunk)]
    state = "live" if whale["is_live"] else "freed, and kept for the next request"
    return "whale of %s at 0x%x: %s" % (size_text(int(whale["size"])), int(whale["address"]), state)


def inside_whale(address):
    whales = value("default_heap")["whales"]
    for number in range(int(whales["count"])):
        at = number + 64
        chunk = at.bit_length() - 7
        whale = whales["chunks"][chunk][at - (64 << chunk)]
        begin = int(whale["address"])
        if begin != 0 and begin <= address < begin + int(whale["size"]):
            return "whale of %s at 0x%x, of which this is byte %d" % (
                size_text(int(whale["size"])), begin, address - begin)
    return None


def tell(address):
    page = Page(address)
    if page.class_id != 0:
        return tell_slab(address, page)
    kinds = {int(gdb.parse_and_eval("HAK_PAGE_" + name)): name
             for name in ("FOREIGN", "LARGE", "WHALE", "RESERVED", "SIDE", "EMPTY")}
    kind = kinds.get(page.offset)
    if kind == "LARGE":
        return tell_large(address, page)
    if kind == "WHALE":
        return tell_whale(address, page)
    if kind == "RESERVED":
        return "memory of the library's that no object has now"
    if kind == "SIDE":
        return "of an object that was allocated while another thread forked"
    if kind == "EMPTY":
        return "an address without memory, which malloc(0) returns"
    if page.offset >= OWN:
        return "of a heap that the program made (hakmem_heap_create)"
    return inside_whale(address) or "not of hakmem's heap"


# ---------------------------------------------------------------------------- commands


class Hakmem(gdb.Command):
    """What hakmem's heap holds: hakmem heap, hakmem shards, hakmem of ADDRESS."""

    def __init__(self):
        super().__init__("hakmem", gdb.COMMAND_DATA, prefix=True)


class Of(gdb.Command):
    """hakmem of ADDRESS: whose memory it is, and whether the object there is live or free."""

    def __init__(self):
        super().__init__("hakmem of", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("hakmem of ADDRESS: an expression")
        address = int(gdb.parse_and_eval("(unsigned long)(%s)" % argument))
        try:
            print("0x%x: %s" % (address, tell(address)))
        except gdb.MemoryError as error:
            raise gdb.GdbError("hakmem of: not in this core dump, whose filter left it out "
                               "(core(5), coredump_filter): %s" % error)


class Shards(gdb.Command):
    """hakmem shards: what each shard has."""

    def __init__(self):
        super().__init__("hakmem shards", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        in_force = int(value("default_heap")["map"]["count"])
        print("%5s %5s %8s %12s %12s %12s  %s"
              % ("shard", "node", "regions", "in slabs", "in runs", "unused", ""))
        for shard in shards():
            pools = [shard[name]["space"] for name in ("tiny", "mid")]
            caches = list(caches_of(shard))
            print("%5d %5s %8d %12s %12s %12s  %s" % (
                shard["id"], int(shard["source"]["node"]) if int(shard["source"]["node"]) >= 0 else "-",
                sum(int(pool["all"]["count"]) for pool in pools),
                size_text(sum(int(pool["used_bytes"]) for pool in pools)),
                size_text(sum(int(cache["used_units"]) for cache in caches) << UNIT_SHIFT),
                size_text(sum(int(pool["dirty_bytes"]) for pool in pools) +
                          (sum(int(cache["dirty_units"]) for cache in caches) << UNIT_SHIFT)),
                "" if int(shard["id"]) <= in_force else "retired"))


class Heap(gdb.Command):
    """hakmem heap: bytes, and what each size class has."""

    def __init__(self):
        super().__init__("hakmem heap", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        every = list(shards())
        slabs = sum(int(shard[name]["space"]["used_bytes"]) for shard in every
                    for name in ("tiny", "mid"))
        runs = sum(int(cache["used_units"]) for shard in every for cache in caches_of(shard))
        whales = value("default_heap")["whales"]
        print("%s, %s of threads" % (plural(len(every), "shard"),
                                    plural(sum(1 for _ in thread_fronts()), "front")))
        print("%s in slabs, %s in runs, %s in whales" % (
            size_text(slabs), size_text(runs << UNIT_SHIFT), size_text(int(whales["used_bytes"]))))
        print("%8s %8s %10s %10s" % ("class", "slabs", "objects", "free"))
        for class_id, row in enumerate(class_table()):
            bins = [bin_of(shard, class_id) for shard in every] if class_id != 0 else []
            count = sum(int(each["slabs"]) for each in bins)
            if count == 0:
                continue
            objects = count * int(row["capacity"])
            free = sum(int(each["free_objects"]) for each in bins)
            print("%8d %8d %10d %10d" % (row["size"], count, objects, free))


Hakmem()
Of()
Shards()
Heap()
