/* SPDX-License-Identifier: MIT */
/* Made from include/hakmem.h by scripts/make-weak: make tables.
 *
 * The public functions as weak references, for programs that are not linked with the library: where
 * it is not preloaded they are NULL. */
#ifndef TESTS_LIB_WEAK_H
#define TESTS_LIB_WEAK_H

#include "hakmem.h"

extern __typeof__(hakmem_malloc) hakmem_malloc __attribute__((weak));
extern __typeof__(hakmem_calloc) hakmem_calloc __attribute__((weak));
extern __typeof__(hakmem_realloc) hakmem_realloc __attribute__((weak));
extern __typeof__(hakmem_reallocarray) hakmem_reallocarray __attribute__((weak));
extern __typeof__(hakmem_aligned_alloc) hakmem_aligned_alloc __attribute__((weak));
extern __typeof__(hakmem_posix_memalign) hakmem_posix_memalign __attribute__((weak));
extern __typeof__(hakmem_free) hakmem_free __attribute__((weak));
extern __typeof__(hakmem_free_sized) hakmem_free_sized __attribute__((weak));
extern __typeof__(hakmem_free_aligned_sized) hakmem_free_aligned_sized __attribute__((weak));
extern __typeof__(hakmem_usable_size) hakmem_usable_size __attribute__((weak));
extern __typeof__(hakmem_good_size) hakmem_good_size __attribute__((weak));
extern __typeof__(hakmem_version) hakmem_version __attribute__((weak));
extern __typeof__(hakmem_shard_count) hakmem_shard_count __attribute__((weak));
extern __typeof__(hakmem_mode) hakmem_mode __attribute__((weak));
extern __typeof__(hakmem_stats_print) hakmem_stats_print __attribute__((weak));
extern __typeof__(hakmem_profile_dump) hakmem_profile_dump __attribute__((weak));
extern __typeof__(hakmem_reshard) hakmem_reshard __attribute__((weak));
extern __typeof__(hakmem_topology_refresh) hakmem_topology_refresh __attribute__((weak));
extern __typeof__(hakmem_topology_print) hakmem_topology_print __attribute__((weak));
extern __typeof__(hakmem_malloc_on_shard) hakmem_malloc_on_shard __attribute__((weak));
extern __typeof__(hakmem_malloc_on_node) hakmem_malloc_on_node __attribute__((weak));
extern __typeof__(hakmem_malloc_interleaved) hakmem_malloc_interleaved __attribute__((weak));
extern __typeof__(hakmem_pin_thread) hakmem_pin_thread __attribute__((weak));
extern __typeof__(hakmem_unpin_thread) hakmem_unpin_thread __attribute__((weak));
extern __typeof__(hakmem_shard_of) hakmem_shard_of __attribute__((weak));
extern __typeof__(hakmem_node_of) hakmem_node_of __attribute__((weak));
extern __typeof__(hakmem_node_resident) hakmem_node_resident __attribute__((weak));
extern __typeof__(hakmem_move) hakmem_move __attribute__((weak));
extern __typeof__(hakmem_move_shard) hakmem_move_shard __attribute__((weak));
extern __typeof__(hakmem_shard_info) hakmem_shard_info __attribute__((weak));
extern __typeof__(hakmem_thread_flush) hakmem_thread_flush __attribute__((weak));
extern __typeof__(hakmem_trim) hakmem_trim __attribute__((weak));
extern __typeof__(hakmem_purge) hakmem_purge __attribute__((weak));
extern __typeof__(hakmem_heap_create) hakmem_heap_create __attribute__((weak));
extern __typeof__(hakmem_heap_destroy) hakmem_heap_destroy __attribute__((weak));
extern __typeof__(hakmem_heap_malloc) hakmem_heap_malloc __attribute__((weak));
extern __typeof__(hakmem_heap_calloc) hakmem_heap_calloc __attribute__((weak));
extern __typeof__(hakmem_heap_aligned_alloc) hakmem_heap_aligned_alloc __attribute__((weak));
extern __typeof__(hakmem_heap_realloc) hakmem_heap_realloc __attribute__((weak));
extern __typeof__(hakmem_heap_free) hakmem_heap_free __attribute__((weak));
extern __typeof__(hakmem_heap_usable_size) hakmem_heap_usable_size __attribute__((weak));
extern __typeof__(hakmem_heap_of) hakmem_heap_of __attribute__((weak));
extern __typeof__(hakmem_heap_stats) hakmem_heap_stats __attribute__((weak));
extern __typeof__(hakmem_heap_purge) hakmem_heap_purge __attribute__((weak));
extern __typeof__(hakmem_page_utilisation) hakmem_page_utilisation __attribute__((weak));
extern __typeof__(hakmem_malloc_direct) hakmem_malloc_direct __attribute__((weak));
extern __typeof__(hakmem_free_direct) hakmem_free_direct __attribute__((weak));

#endif
