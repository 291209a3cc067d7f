/* SPDX-License-Identifier: MIT */
/* What the plug-in uses of QEMU's interface for plug-ins, version 1, as QEMU 7.2 has it: Debian's
 * qemu-user brings no header. The functions lie in QEMU itself, which resolves them when it loads
 * the plug-in. `id` names the plug-in, `vcpu` a thread of the guest. */
#ifndef HAK_QEMU_PLUGIN_H
#define HAK_QEMU_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QEMU_CALLED __attribute__((visibility("default")))

enum {
    QEMU_READS_NO_REGISTERS = 0,
    QEMU_LOADS_AND_STORES = 3,
};

struct qemu_plugin_tb;   /* a block of guest code */
struct qemu_plugin_insn; /* an instruction of it */

typedef void qemu_on_vcpu(uint64_t id, unsigned vcpu);
typedef void qemu_on_translation(uint64_t id, struct qemu_plugin_tb *block);
typedef void qemu_on_execution(unsigned vcpu, void *data);
typedef void qemu_on_access(unsigned vcpu, uint32_t info, uint64_t address, void *data);
typedef void qemu_on_call(uint64_t id, unsigned vcpu, int64_t number, uint64_t a1, uint64_t a2,
                          uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7,
                          uint64_t a8);
typedef void qemu_on_return(uint64_t id, unsigned vcpu, int64_t number, int64_t result);

void qemu_plugin_register_vcpu_init_cb(uint64_t id, qemu_on_vcpu *function);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, qemu_on_translation *function);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, qemu_on_execution *function,
                                          int flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *instruction,
                                      qemu_on_access *function, int flags, int kinds, void *data);
void qemu_plugin_register_vcpu_syscall_cb(uint64_t id, qemu_on_call *function);
void qemu_plugin_register_vcpu_syscall_ret_cb(uint64_t id, qemu_on_return *function);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *instruction);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *instruction);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *instruction);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *instruction);
unsigned qemu_plugin_mem_size_shift(uint32_t info);
bool qemu_plugin_mem_is_store(uint32_t info);
uint64_t qemu_plugin_start_code(void); /* of the program, as opposed to its libraries */
uint64_t qemu_plugin_end_code(void);

/* What QEMU looks for in the plug-in. */
extern QEMU_CALLED int qemu_plugin_version;
QEMU_CALLED int qemu_plugin_install(uint64_t id, const void *machine, int count, char **arguments);

#endif
