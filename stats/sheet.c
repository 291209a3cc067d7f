/* SPDX-License-Identifier: MIT */
/* Sheets: names, sums, what follows from other figures. One thread a sheet. */
#include "stats/sheet.h"

const struct hak_counter_info hak_figure_infos[HAK_FIGURE_COUNT] = {
#define FIGURE(name, unit, kind, sentence) {#name, unit, sentence, HAK_COUNTER_##kind},
#include "stats/figures.def"
};

const struct hak_counter_info hak_class_figure_infos[HAK_CLASS_FIGURE_COUNT] = {
#define CLASS_FIGURE(name, unit, kind, sentence) {#name, unit, sentence, HAK_COUNTER_##kind},
#include "stats/figures.def"
};

const struct hak_counter_info hak_process_figure_infos[HAK_PROCESS_FIGURE_COUNT] = {
#define PROCESS_FIGURE(name, unit, kind, sentence) {#name, unit, sentence, HAK_COUNTER_##kind},
#include "stats/figures.def"
};

void hak_sheet_put_text(char *field, size_t size, const char *text)
{
    size_t length = 0;
    for (; length + 1 < size && text[length] != '\0'; length++)
        field[length] = text[length];
    for (; length < size; length++)
        field[length] = '\0';
}

void hak_sheet_put_fact(struct hak_sheet_head *head, const char *name, const char *text)
{
    for (unsigned i = 0; text != NULL && i < HAK_SHEET_FACTS; i++) {
        if (head->facts[i].name[0] != '\0')
            continue;
        hak_sheet_put_text(head->facts[i].name, HAK_SHEET_NAME, name);
        hak_sheet_put_text(head->facts[i].text, HAK_SHEET_TEXT, text);
        return;
    }
}

/* ---- sequences: Lamport's, as in the kernel's seqcount --------------------------------------- */

void hak_sheet_begin(uint64_t *sequence)
{
    /* relaxed: one thread writes. release: the fence keeps what is written after it behind the odd
     * number; pairs with the fence in copy_part (published.c) */
    __atomic_store_n(sequence, *sequence | 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

void hak_sheet_end(uint64_t *sequence)
{
    /* release: what was written is there when the even number is seen; read by another process */
    __atomic_store_n(sequence, (*sequence | 1) + 1, __ATOMIC_RELEASE);
}

/* ---- figures that follow from others -------------------------------------------------------- */

static uint64_t less(uint64_t all, uint64_t part)
{
    return all > part ? all - part : 0;
}

static void derive_class(const struct hak_sheet_class *class, uint64_t *figures)
{
    figures[HAK_CLASS_FIGURE_LIVE] =
        less(figures[HAK_CLASS_FIGURE_TAKEN], figures[HAK_CLASS_FIGURE_IN_FRONTS] +
                                                  figures[HAK_CLASS_FIGURE_IN_TRANSFER_CACHE] +
                                                  figures[HAK_CLASS_FIGURE_IN_INBOX]);
    figures[HAK_CLASS_FIGURE_RESIDENT] =
        less(figures[HAK_CLASS_FIGURE_SLABS] * class->slab_bytes, figures[HAK_CLASS_FIGURE_HOLES]);
    uint64_t resident = figures[HAK_CLASS_FIGURE_RESIDENT];
    double live = (double)figures[HAK_CLASS_FIGURE_LIVE] * class->size;
    double percent = resident != 0 ? live * 100 / (double)resident + 0.5 : 0;
    figures[HAK_CLASS_FIGURE_LIVE_PERCENT] = percent < 100 ? (uint64_t)percent : 100;
}

void hak_sheet_derive(const struct hak_sheet_head *head, struct hak_sheet_shard *shard)
{
    static const struct {
        enum hak_figure of_shard;
        enum hak_class_figure of_class;
    } sums[] = {
        {HAK_FIGURE_TAKEN, HAK_CLASS_FIGURE_TAKEN},
        {HAK_FIGURE_FREE, HAK_CLASS_FIGURE_FREE},
        {HAK_FIGURE_IN_FRONTS, HAK_CLASS_FIGURE_IN_FRONTS},
        {HAK_FIGURE_IN_TRANSFER_CACHE, HAK_CLASS_FIGURE_IN_TRANSFER_CACHE},
        {HAK_FIGURE_IN_INBOX, HAK_CLASS_FIGURE_IN_INBOX},
    };
    uint64_t live = 0, slabs = 0, holes = 0;
    for (unsigned i = 0; i < HAK_ARRAY_LENGTH(sums); i++)
        shard->figures[sums[i].of_shard] = 0;
    for (unsigned id = 1; id < head->class_count && id < HAK_SHEET_CLASSES; id++) {
        const struct hak_sheet_class *class = &head->classes[id];
        uint64_t *figures = shard->classes[id];
        derive_class(class, figures);
        for (unsigned i = 0; i < HAK_ARRAY_LENGTH(sums); i++)
            shard->figures[sums[i].of_shard] += figures[sums[i].of_class] * class->size;
        live += figures[HAK_CLASS_FIGURE_LIVE] * class->size;
        slabs += figures[HAK_CLASS_FIGURE_SLABS] * class->slab_bytes;
        holes += figures[HAK_CLASS_FIGURE_HOLES];
    }
    shard->figures[HAK_FIGURE_SLABS] = slabs;
    shard->figures[HAK_FIGURE_HOLES] = holes;
    shard->figures[HAK_FIGURE_LIVE] = live + shard->figures[HAK_FIGURE_RUNS];
    shard->figures[HAK_FIGURE_RESIDENT] =
        less(slabs, holes) + shard->figures[HAK_FIGURE_RUNS] + shard->figures[HAK_FIGURE_RETAINED];
}

static void add(struct hak_sheet_shard *total, const struct hak_sheet_shard *shard)
{
    for (unsigned i = 0; i < HAK_FIGURE_COUNT; i++)
        total->figures[i] += shard->figures[i];
    hak_snapshot_merge(&total->counters, &shard->counters);
    for (unsigned id = 0; id < HAK_SHEET_CLASSES; id++)
        for (unsigned i = 0; i < HAK_CLASS_FIGURE_COUNT; i++)
            total->classes[id][i] += shard->classes[id][i];
    for (unsigned key = 0; key < HAK_SHEET_KEYS; key++) {
        total->keys[key].matches += shard->keys[key].matches;
        total->keys[key].switches += shard->keys[key].switches;
        total->keys[key].bytes += shard->keys[key].bytes;
    }
}

void hak_sheet_total(const struct hak_sheet *sheet, struct hak_sheet_shard *total)
{
    *total = (struct hak_sheet_shard){.node = -1};
    for (unsigned i = 0; i < sheet->head.shard_count; i++)
        add(total, &sheet->shards[i]);
    hak_sheet_derive(&sheet->head, total);
}

void hak_sheet_derive_process(struct hak_sheet_head *head, const struct hak_sheet_shard *total)
{
    uint64_t *figures = head->figures;
    uint64_t whales = figures[HAK_PROCESS_FIGURE_WHALE_BYTES];
    uint64_t kept = figures[HAK_PROCESS_FIGURE_WHALES_KEPT];
    uint64_t maps = total->counters.value[HAK_COUNTER_WHALE_MAPS];
    figures[HAK_PROCESS_FIGURE_LIVE] = total->figures[HAK_FIGURE_LIVE] + whales;
    figures[HAK_PROCESS_FIGURE_RESIDENT] = total->figures[HAK_FIGURE_RESIDENT] + whales + kept;
    figures[HAK_PROCESS_FIGURE_RETAINED] = total->figures[HAK_FIGURE_RETAINED] + kept;
    figures[HAK_PROCESS_FIGURE_WHALES] =
        less(maps, total->counters.value[HAK_COUNTER_WHALE_UNMAPS]);
}
