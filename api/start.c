/* SPDX-License-Identifier: MIT */
/* The order in which the library starts.
 *
 *   stage 1   the first call (wake.c): one shard
 *   stage 2   our constructor: options, the machine, the shards (placing.c); fork handlers; the key
 *             whose destructor gives back a thread's front (threads.c)
 *   thread    its first call makes its front (threads.c)
 */
#include <stdbool.h>

#include "api/background.h"
#include "api/counted.h"
#include "api/fork.h"
#include "api/inform.h"
#include "api/learning.h"
#include "api/machine.h"
#include "api/misuse.h"
#include "api/options.h"
#include "api/placing.h"
#include "api/profiler.h"
#include "api/publish.h"
#include "api/threads.h"
#include "api/wake.h"
#include "front/front_cpu.h"
#include "heap/heap.h"
#include "os/apart.h"
#include "os/section.h"
#include "shard/grace.h"
#include "tiers/region.h"

/* The settings are read without a lock, field by field; each is valid by itself at any time. */
static void obey_options(struct hak_heap *heap)
{
    heap->settings_store.decay_ns = hak_options.decay_ns;
    if (hak_options.retain_bytes != HAK_SIZE_AUTO)
        hak_heap_set_retain(heap, hak_options.retain_bytes);
    else
        hak_heap_set_retain_by_cpus(heap);
    heap->settings_store.remote =
        hak_options.remote == HAK_REMOTE_CHOICE_HOME ? HAK_REMOTE_HOME : HAK_REMOTE_ADOPT;
    hak_region_set_huge(hak_options.huge == HAK_HUGE_CHOICE_LEARN
                            ? HAK_HUGE_DEFAULT
                            : (enum hak_os_huge)hak_options.huge);
    if (hak_options.aslr == HAK_ASLR_CHOICE_NO)
        hak_apart_start(HAK_APART_ALIKE); /* again, if the first call came before libc's start */
    hak_region_set_hugetlb(hak_options.hugetlb == HAK_HUGETLB_CHOICE_YES);
    hak_learning_start(heap);
}

__attribute__((constructor)) static void second_stage(void)
{
    hak_start();
    hak_grace_start();
    hak_options_start();
    hak_misuse_start();
    hak_profiler_start();
    hak_counted_start();
    struct hak_heap *heap = hak_heap_default();
    bool is_inside = hak_section_enter_late();
    obey_options(heap);
    if (is_inside)
        hak_section_leave();
    hak_placing_allow();
    hak_machine_start();
    hak_cpu_fronts_prepare();
    if (!hak_placing_may_wait())
        hak_thread_place_shards_and_wait();
    hak_threads_start();
    if (hak_misuse_is_checked())
        hak_thread_drop_own_front(); /* made by the first call, before options were read */
    hak_fork_start();
    hak_inform_start();
    hak_publish_start();
    if (hak_options.background == HAK_BACKGROUND_CHOICE_YES)
        hak_background_start();
}

/* At exit: prints statistics if asked for. The allocator goes on, since other code runs after
 * this. */
__attribute__((destructor)) static void at_exit(void)
{
    hak_inform_exit();
    hak_profiler_exit();
    if (hak_section_enter_late()) {
        hak_learning_exit(hak_heap_default());
        hak_section_leave();
    }
    hak_threads_end();
}
