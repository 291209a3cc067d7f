/* SPDX-License-Identifier: MIT */
/* A plug-in for qemu-x86_64 that makes up a machine of many cores (machine.h), and says at the end
 * what was counted there, as JSON:
 *
 *     qemu-x86_64 -plugin machine.so,cores=64,use=8,out=FILE PROGRAM
 */
#define _GNU_SOURCE
#include "qemu_plugin.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine.h"

int qemu_plugin_version = 1;

#define ROW(name, value) [PARAMETER_##name] = value,
double parameters[PARAMETERS_COUNT] = {PARAMETERS(ROW)};
#undef ROW
#define ROW(name, value) [PARAMETER_##name] = #name,
static const char *const parameter_names[PARAMETERS_COUNT] = {PARAMETERS(ROW)};
#undef ROW

bool is_on;
int cores_count;
static uint64_t costs[PARAMETERS_COUNT];
static uint64_t guest_base;
static char out[4096];

/* A block of guest code as QEMU translated it. */
struct block {
    uint64_t address;
    uint64_t length;
    uint64_t ticks;
    uint64_t executions; /* while counting */
    enum owner owner;
    struct block *next;
};
static struct block *blocks;
static struct instruction *instructions;

void fail(const char *why)
{
    fprintf(stderr, "machine: %s\n", why);
    _exit(3);
}

uint64_t cost(enum parameter which)
{
    return costs[which];
}

void *guest(uint64_t address)
{
    return (void *)(uintptr_t)(address + guest_base);
}

int node_of(int core)
{
    return core / (int)parameters[PARAMETER_node];
}

struct counts *counts_of(struct thread *thread, enum owner owner)
{
    static struct counts nobodys;
    return thread->counts ? &cores[thread->core].counts[owner] : &nobodys;
}

/* ---- what QEMU tells ------------------------------------------------------------------------ */

/* In the thread that calls clone(2): the child has not begun. */
static void on_thread(uint64_t id, unsigned vcpu)
{
    (void)id;
    if (vcpu >= THREADS_MAX)
        fail("too many threads");
    if (!is_on)
        return;
    struct thread *parent = thread_running();
    thread_born(&threads[vcpu], parent);
    threads[vcpu].cleared_at_end = parent->arguments[3];
}

static void on_block(unsigned vcpu, void *data)
{
    struct thread *thread = &threads[vcpu];
    struct block *block = data;
    if (!is_on)
        return;
    if (!thread->arrived)
        turn_await(thread);
    thread->clock += block->ticks;
    if (thread->counts) {
        struct counts *counts = counts_of(thread, block->owner);
        counts->instructions += block->length;
        counts->ticks += block->ticks;
        block->executions++;
    }
    if (turn_is_over(thread))
        turn_pass(thread, READY);
}

static void on_access(unsigned vcpu, uint32_t info, uint64_t address, void *data)
{
    struct thread *thread = &threads[vcpu];
    struct instruction *by = data;
    if (!is_on)
        return;
    bool stores = qemu_plugin_mem_is_store(info);
    bool writes = stores || by->is_atomic; /* which gets the line for itself, whatever it finds */
    if (by->is_atomic && stores) {
        struct counts *counts = counts_of(thread, by->owner);
        counts->atomics++;
        counts->ticks += cost(PARAMETER_atomic);
        thread->clock += cost(PARAMETER_atomic);
    }
    uint64_t last = address + ((uint64_t)1 << qemu_plugin_mem_size_shift(info)) - 1;
    line_access(thread, by, address, writes);
    if (address / LINE_BYTES != last / LINE_BYTES)
        line_access(thread, by, last, writes);
}

/* A lock prefix, or an exchange with memory, which needs none. */
static bool is_atomic(const uint8_t *code, size_t size)
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf2, 0xf3};
    size_t i = 0;
    while (i < size && (code[i] >> 4 == 4 || memchr(prefixes, code[i], sizeof prefixes) != NULL))
        i++;
    if (i < size && code[i] == 0xf0)
        return true;
    return i + 1 < size && (code[i] == 0x86 || code[i] == 0x87) && code[i + 1] < 0xc0;
}

static bool is_pause(const uint8_t *code, size_t size)
{
    return size == 2 && code[0] == 0xf3 && code[1] == 0x90;
}

static void *zeroed(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL)
        fail("no memory");
    return memory;
}

static void watch(struct qemu_plugin_insn *insn, struct block *block)
{
    const uint8_t *code = qemu_plugin_insn_data(insn);
    size_t size = qemu_plugin_insn_size(insn);
    struct instruction *instruction = zeroed(sizeof *instruction);
    instruction->address = qemu_plugin_insn_vaddr(insn);
    instruction->owner = block->owner;
    instruction->is_atomic = is_atomic(code, size);
    instruction->next = instructions;
    instructions = instruction;
    if (is_pause(code, size))
        block->ticks += cost(PARAMETER_pause);
    qemu_plugin_register_vcpu_mem_cb(insn, on_access, QEMU_READS_NO_REGISTERS,
                                     QEMU_LOADS_AND_STORES, instruction);
}

static void on_translation(uint64_t id, struct qemu_plugin_tb *tb)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(tb);
    uint64_t address = qemu_plugin_tb_vaddr(tb);
    bool is_program = address >= qemu_plugin_start_code() && address < qemu_plugin_end_code();
    struct block *block = zeroed(sizeof *block);
    *block = (struct block){
        address, count, count * cost(PARAMETER_instruction), 0, is_program ? PROGRAM : LIBRARY,
        NULL};
    pthread_mutex_lock(&lock);
    guest_base =
        (uint64_t)(uintptr_t)qemu_plugin_insn_haddr(qemu_plugin_tb_get_insn(tb, 0)) - address;
    block->next = blocks;
    blocks = block;
    for (size_t i = 0; i < count; i++)
        watch(qemu_plugin_tb_get_insn(tb, i), block);
    pthread_mutex_unlock(&lock);
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_READS_NO_REGISTERS, block);
}

/* ---- the report ----------------------------------------------------------------------------- */

static void print_counts(FILE *file, const struct counts *counts)
{
    const char *comma = "";
#define ROW(name) \
    fprintf(file, "%s\"" #name "\": %" PRIu64, comma, counts->name); \
    comma = ", ";
    COUNTS(ROW)
#undef ROW
}

static void print_cores(FILE *file)
{
    const char *comma = "";
    for (int core = 0; core < cores_count; core++) {
        const struct counts *counts = cores[core].counts;
        if (counts[PROGRAM].instructions + counts[LIBRARY].instructions == 0)
            continue;
        fprintf(file, "%s{\"core\": %d, \"operations\": %" PRIu64 ", \"program\": {", comma, core,
                cores[core].operations);
        print_counts(file, &counts[PROGRAM]);
        fprintf(file, "}, \"library\": {");
        print_counts(file, &counts[LIBRARY]);
        fprintf(file, "}}");
        comma = ",\n";
    }
}

/* Where the time is: [address, instructions executed, ticks of misses, misses]. */
static void print_places(FILE *file)
{
    const char *comma = "";
    for (const struct block *block = blocks; block != NULL; block = block->next) {
        if (block->executions == 0)
            continue;
        fprintf(file, "%s[%" PRIu64 ", %" PRIu64 ", 0, 0]", comma, block->address,
                block->executions * block->length);
        comma = ",\n";
    }
    for (const struct instruction *one = instructions; one != NULL; one = one->next) {
        if (one->misses == 0)
            continue;
        fprintf(file, "%s[%" PRIu64 ", 0, %" PRIu64 ", %" PRIu64 "]", comma, one->address,
                one->ticks, one->misses);
        comma = ",\n";
    }
}

/* Which file lies where. */
static void print_maps(FILE *file)
{
    const char *comma = "";
    char line[4200];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        uint64_t from, to, offset;
        const char *path = strchr(line, '/');
        if (path == NULL ||
            sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64, &from, &to, &offset) != 3)
            continue;
        line[strcspn(line, "\n")] = '\0';
        if (strpbrk(path, "\"\\") != NULL)
            continue;
        fprintf(file, "%s[%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", \"%s\"]", comma, from - guest_base,
                to - guest_base, offset, path);
        comma = ",\n";
    }
    if (maps != NULL)
        fclose(maps);
}

void report(void)
{
    FILE *file = out[0] != '\0' ? fopen(out, "w") : stderr;
    if (file == NULL)
        fail("the report cannot be written");
    fprintf(file, "{\"span\": %" PRIu64 ",\n\"cores\": [", span_of_counting());
    print_cores(file);
    fprintf(file, "],\n\"places\": [");
    print_places(file);
    fprintf(file, "],\n\"maps\": [");
    print_maps(file);
    fprintf(file, "]}\n");
    fclose(file);
}

/* ---- the beginning -------------------------------------------------------------------------- */

static void set_parameter(const char *name, const char *value)
{
    if (strcmp(name, "out") == 0) {
        snprintf(out, sizeof out, "%s", value);
        return;
    }
    for (int i = 0; i < PARAMETERS_COUNT; i++)
        if (strcmp(name, parameter_names[i]) == 0) {
            parameters[i] = atof(value);
            return;
        }
    fail("no such parameter");
}

int qemu_plugin_install(uint64_t id, const void *machine, int count, char **arguments)
{
    (void)machine;
    for (int i = 0; i < count; i++) {
        char *value = strchr(arguments[i], '=');
        if (value == NULL)
            fail("parameters are name=value");
        *value = '\0';
        set_parameter(arguments[i], value + 1);
    }
    for (int i = 0; i < PARAMETERS_COUNT; i++)
        costs[i] = (uint64_t)(parameters[i] * TICKS_A_CYCLE + 0.5);
    cores_count = (int)parameters[PARAMETER_cores];
    if (cores_count < 1 || cores_count > CORES_MAX || parameters[PARAMETER_use] > cores_count ||
        parameters[PARAMETER_l3] < 1 || parameters[PARAMETER_node] < parameters[PARAMETER_l3])
        fail("a machine has 1 to 128 cores, at most as many in use, and an L3 is part of a node");
    lines_begin();
    qemu_plugin_register_vcpu_init_cb(id, on_thread);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, call_begins);
    qemu_plugin_register_vcpu_syscall_ret_cb(id, call_returns);
    return 0;
}
