# SPDX-License-Identifier: MIT
# Tests. What a test is linked with and how it is run stands in its suffix:
#
#   (none)    links libhakmem-core.la and runs on libc's malloc: unit tests
#   .modes    links nothing of ours; tests/lib/modes.sh preloads the library, once in each mode
#   .direct   finds the library by itself (linked, static, dlopen); run once in each mode
#   .sh       a script that speaks TAP
#
# Automake names a log after the test without its suffix: no two in a folder may differ in it alone.
#
# New unit test: a line in unit_tests, and NAME_SOURCES if it has more files than NAME.c.

# A list of its own, so that a test of a folder is one line here.
unit_tests = \
	%D%/unit/tiers/size_class \
	%D%/unit/tiers/object \
	%D%/unit/tiers/page_map \
	%D%/unit/tiers/header \
	%D%/unit/tiers/meta \
	%D%/unit/tiers/empty \
	%D%/unit/tiers/region \
	%D%/unit/tiers/terms \
	%D%/unit/tiers/slab \
	%D%/unit/tiers/pool \
	%D%/unit/tiers/pool_space \
	%D%/unit/tiers/pool_holes \
	%D%/unit/tiers/pool_view \
	%D%/unit/shard/transfer_cache \
	%D%/unit/shard/inbox \
	%D%/unit/front/front \
	%D%/unit/front/fronts \
	%D%/unit/front/vacant \
	%D%/unit/front/pause \
	%D%/unit/heap/beside \
	%D%/unit/heap/own_heap \
	%D%/unit/heap/own_shard \
	%D%/unit/heap/own_front \
	%D%/unit/front/front_cpu_answers \
	%D%/unit/shard/found \
	%D%/unit/front/front_shared \
	%D%/unit/shard/refill \
	%D%/unit/front/exchange \
	%D%/unit/shard/rest \
	%D%/unit/shard/lanes \
	%D%/unit/shard/shard \
	%D%/unit/heap/heap \
	%D%/unit/heap/place \
	%D%/unit/heap/figures \
	%D%/unit/heap/collect \
	%D%/unit/heap/regions \
	%D%/unit/heap/purge \
	%D%/unit/heap/child \
	%D%/unit/shard/give \
	%D%/unit/shard/upkeep \
	%D%/unit/shard/grace \
	%D%/unit/heap/reclaim \
	%D%/unit/heap/tick \
	%D%/unit/os/rseq \
	%D%/unit/os/fence \
	%D%/unit/os/signals \
	%D%/unit/os/inject \
	%D%/unit/learn/audit \
	%D%/unit/learn/cost \
	%D%/unit/learn/credit \
	%D%/unit/learn/elo \
	%D%/unit/learn/huge \
	%D%/unit/learn/learner \
	%D%/unit/learn/settings \
	%D%/unit/learn/regime \
	%D%/unit/learn/learner_sample \
	%D%/unit/learn/learner_saved \
	%D%/unit/learn/match \
	%D%/unit/learn/ucb1 \
	%D%/unit/front/front_cpu \
	%D%/unit/api/options \
	%D%/unit/os/clock \
	%D%/unit/os/cpu \
	%D%/unit/os/file \
	%D%/unit/os/limit \
	%D%/unit/os/lock \
	%D%/unit/os/secret \
	%D%/unit/os/known_stacks \
	%D%/unit/os/stack \
	%D%/unit/os/section \
	%D%/unit/os/memfd \
	%D%/unit/os/owner \
	%D%/unit/os/memory \
	%D%/unit/os/apart \
	%D%/unit/os/kept \
	%D%/unit/os/numa \
	%D%/unit/os/print \
	%D%/unit/os/write \
	%D%/unit/stats/chance \
	%D%/unit/stats/profile \
	%D%/unit/stats/counters \
	%D%/unit/stats/render_json \
	%D%/unit/stats/render_prometheus \
	%D%/unit/stats/render_text \
	%D%/unit/stats/report \
	%D%/unit/stats/published \
	%D%/unit/stats/sheet \
	%D%/unit/stats/snapshot \
	%D%/unit/topology/allowed \
	%D%/unit/topology/bind \
	%D%/unit/topology/cpu_set \
	%D%/unit/topology/discover \
	%D%/unit/topology/wish \
	%D%/unit/topology/domains \
	%D%/unit/topology/from_hwloc \
	%D%/unit/topology/hwloc_text \
	%D%/unit/topology/from_sysfs \
	%D%/unit/topology/topology \
	%D%/unit/tiers/headroom \
	%D%/unit/tiers/large \
	%D%/unit/tiers/large_purge \
	%D%/unit/tiers/large_segment \
	%D%/unit/tiers/whale \
	%D%/unit/tiers/whale_cache

# Tests that read files of the tree, and one of each kind: distcheck runs these.
tree_tests = \
	%D%/unit/topology/from_hwloc \
	%D%/unit/topology/from_sysfs \
	%D%/unit/topology/discover \
	%D%/conform/malloc.modes \
	%D%/conform/linked.direct \
	%D%/conform/topology.sh \
	%D%/conform/wholly_static.sh \
	%D%/golden/check.sh \
	bench/smoke.sh

TEST_EXTENSIONS += .modes .direct
MODES_LOG_DRIVER = $(TAP_DRIVER)
MODES_LOG_COMPILER = $(SHELL) $(top_srcdir)/%D%/lib/modes.sh
DIRECT_LOG_DRIVER = $(TAP_DRIVER)
DIRECT_LOG_COMPILER = $(SHELL) $(top_srcdir)/%D%/lib/modes.sh --direct

# The environment that the scripts and the programs read. HAKMEM_TEST_*, _CHECK_*, _STRESS_* and
# _VM_* may be given by the person; other HAKMEM_* of the person's own, whatever their names, must not
# change what is tested.
AM_TESTS_ENVIRONMENT = \
	unset LD_PRELOAD $$(env | sed -n \
	  -e '/^HAKMEM_\(TEST\|CHECK\|STRESS\|VM\)_/d' -e 's/^\(HAKMEM_[A-Za-z0-9_]*\)=.*/\1/p'); \
	HAKMEM_TEST_LIBRARY='$(abs_top_builddir)/.libs/libhakmem.so'; \
	HAKMEM_TEST_JEMALLOC='$(abs_top_builddir)/.libs/libhakmem-jemalloc.so.2'; \
	HAKMEM_TEST_TOOL='$(abs_top_builddir)/tools/hakmem'; \
	HAKMEM_TEST_ARCHIVE='$(abs_top_builddir)/.libs/libhakmem.a'; \
	HAKMEM_TEST_PLUGIN='$(abs_top_builddir)/%D%/conform/.libs/plugin.so'; \
	HAKMEM_TEST_LAYER='$(abs_top_builddir)/%D%/conform/.libs/layer.so'; \
	HAKMEM_TEST_LINKED='$(abs_top_builddir)/%D%/conform/linked.direct'; \
	HAKMEM_TEST_SOURCE='$(abs_top_srcdir)'; \
	HAKMEM_TEST_SANITIZE='$(HAK_SANITIZE)'; \
	HAKMEM_TEST_CFLAGS='$(CFLAGS)'; \
	HAKMEM_TEST_STATIC_LIBS='$(URCU_STATIC_LIBS)'; \
	CC='$(CC)'; CXX='$(CXX)'; \
	export HAKMEM_TEST_LIBRARY HAKMEM_TEST_JEMALLOC HAKMEM_TEST_TOOL HAKMEM_TEST_ARCHIVE HAKMEM_TEST_PLUGIN HAKMEM_TEST_LAYER HAKMEM_TEST_LINKED \
	  HAKMEM_TEST_SOURCE HAKMEM_TEST_SANITIZE HAKMEM_TEST_CFLAGS \
	  HAKMEM_TEST_STATIC_LIBS CC CXX;

# In a fully static link every part of liburcu-bp must be named.
URCU_STATIC_LIBS = -lurcu-bp -lurcu-common

# ------------------------------------------------------------------ lib
test_library = %D%/lib/libtest.la
check_LTLIBRARIES += $(test_library)
%C%_lib_libtest_la_SOURCES = \
	%D%/lib/tap.c \
	%D%/lib/tap.h \
	%D%/lib/shadow.c \
	%D%/lib/shadow.h \
	%D%/lib/prng.h \
	%D%/lib/process.h \
	%D%/lib/sheet.h \
	%D%/lib/resident.h \
	%D%/lib/smaps.h \
	%D%/lib/threads.h \
	%D%/lib/weak.h
EXTRA_DIST += %D%/lib/schema.py %D%/lib/modes.sh %D%/lib/tap.sh

# The longest ones begin first, so that none of them runs alone in the end.
longest_tests = %D%/fault/refused.sh %D%/stress/blowup.sh %D%/real/run.sh %D%/environment/filters.sh
TESTS += $(longest_tests)
EXTRA_DIST += $(longest_tests)

# ------------------------------------------------------------------ unit
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
EXTRA_DIST += %D%/unit/tiers/child.h %D%/unit/shaker.h %D%/unit/world.h
# Topologies are machines: a .sysfs is unpacked by tests/lib/machine.h, a .synthetic or .xml is read
# by hwloc. HAKMEM_TEST_RECORD=1 writes the .expect of each again.
topology_machines = \
	%D%/topologies/1cpu.expect \
	%D%/topologies/1cpu.sysfs \
	%D%/topologies/1node-4l3.expect \
	%D%/topologies/1node-4l3.sysfs \
	%D%/topologies/1node-hybrid.expect \
	%D%/topologies/1node-hybrid.sysfs \
	%D%/topologies/2node-1l3.expect \
	%D%/topologies/2node-1l3.sysfs \
	%D%/topologies/2node-2socket-interleaved.expect \
	%D%/topologies/2node-2socket-interleaved.sysfs \
	%D%/topologies/2node-orphans.expect \
	%D%/topologies/2node-orphans.sysfs \
	%D%/topologies/2node-sparse-ids.expect \
	%D%/topologies/2node-sparse-ids.sysfs \
	%D%/topologies/2socket-offline.expect \
	%D%/topologies/2socket-offline.sysfs \
	%D%/topologies/laptop.expect \
	%D%/topologies/laptop.synthetic \
	%D%/topologies/8node-256pu.expect \
	%D%/topologies/8node-256pu.synthetic \
	%D%/topologies/nps4.expect \
	%D%/topologies/nps4.synthetic \
	%D%/topologies/knl-flat.expect \
	%D%/topologies/knl-flat.synthetic \
	%D%/topologies/knl-snc4.expect \
	%D%/topologies/knl-snc4.synthetic \
	%D%/topologies/one-pu.expect \
	%D%/topologies/one-pu.synthetic \
	%D%/topologies/sparse-pus.expect \
	%D%/topologies/sparse-pus.synthetic \
	%D%/topologies/16l3.expect \
	%D%/topologies/16l3.synthetic \
	%D%/topologies/node-without-package.expect \
	%D%/topologies/node-without-package.synthetic \
	%D%/topologies/half-forbidden.expect \
	%D%/topologies/half-forbidden.xml \
	%D%/topologies/snc3.expect \
	%D%/topologies/snc3.xml \
	%D%/topologies/4node-memoryless.expect \
	%D%/topologies/4node-memoryless.sysfs
EXTRA_DIST += $(topology_machines) %D%/lib/described.h %D%/lib/machine.h
%C%_unit_api_options_SOURCES = %D%/unit/api/options.c api/options.c
# Own flags give the object a name of its own beside the library's.
%C%_unit_api_options_CPPFLAGS = $(AM_CPPFLAGS)
# libm is what the library's own arithmetic is compared with.
%C%_unit_stats_chance_LDADD = $(LDADD) -lm
# Of all programs that name no libraries of their own.
LDADD = %D%/lib/libtest.la libhakmem-core.la -lpthread

# ------------------------------------------------------------------ conform
conform_tests = \
	%D%/conform/malloc.modes \
	%D%/conform/calloc.modes \
	%D%/conform/realloc.modes \
	%D%/conform/memalign.modes \
	%D%/conform/usable.modes \
	%D%/conform/misuse.modes \
	%D%/conform/sized.modes \
	%D%/conform/inform.modes \
	%D%/conform/placement.modes \
	%D%/conform/heaps.modes \
	%D%/conform/heap_fronts.modes \
	%D%/conform/control.modes \
	%D%/conform/rseq.modes \
	%D%/conform/vfork.modes \
	%D%/conform/stepped.modes \
	%D%/conform/libc.modes \
	%D%/conform/layered.modes \
	%D%/conform/cxx.modes \
	%D%/conform/threads.modes \
	%D%/conform/fork.modes \
	%D%/conform/limits.modes \
	%D%/conform/at_rest.modes \
	%D%/conform/rooms.modes \
	%D%/conform/budget.modes \
	%D%/conform/readers.modes \
	%D%/conform/early.modes
direct_tests = \
	%D%/conform/linked.direct \
	%D%/conform/pmr.direct \
	%D%/conform/static.direct \
	%D%/conform/dlopen.direct
conform_scripts = \
	%D%/conform/closed.sh \
	%D%/conform/elf.sh \
	%D%/conform/documents.sh \
	%D%/conform/examples.sh \
	%D%/conform/gdb.sh \
	%D%/conform/learn.sh \
	%D%/conform/learning.sh \
	%D%/conform/options.sh \
	%D%/conform/profile.sh \
	%D%/conform/publish.sh \
	%D%/conform/secure.sh \
	%D%/conform/topology.sh \
	%D%/conform/valgrind.sh \
	%D%/conform/wholly_static.sh
check_PROGRAMS += $(conform_tests) $(direct_tests) %D%/conform/effect %D%/conform/habits \
	%D%/conform/profiled %D%/conform/publisher %D%/conform/debugged
TESTS += $(conform_tests) $(direct_tests) $(conform_scripts)
EXTRA_DIST += $(conform_scripts) %D%/conform/learn.jsonl %D%/conform/profile_estimates.py

%C%_conform_malloc_modes_SOURCES = %D%/conform/malloc.c %D%/conform/sizes.h
%C%_conform_malloc_modes_LDADD = %D%/lib/libtest.la
%C%_conform_calloc_modes_SOURCES = %D%/conform/calloc.c
%C%_conform_calloc_modes_LDADD = %D%/lib/libtest.la
%C%_conform_realloc_modes_SOURCES = %D%/conform/realloc.c
%C%_conform_realloc_modes_LDADD = %D%/lib/libtest.la
%C%_conform_memalign_modes_SOURCES = %D%/conform/memalign.c
%C%_conform_memalign_modes_LDADD = %D%/lib/libtest.la
%C%_conform_usable_modes_SOURCES = %D%/conform/usable.c
%C%_conform_usable_modes_LDADD = %D%/lib/libtest.la
%C%_conform_misuse_modes_SOURCES = %D%/conform/misuse.c
%C%_conform_misuse_modes_LDADD = %D%/lib/libtest.la -lpthread
%C%_conform_sized_modes_SOURCES = %D%/conform/sized.c
%C%_conform_sized_modes_LDADD = %D%/lib/libtest.la
%C%_conform_inform_modes_SOURCES = %D%/conform/inform.c
%C%_conform_inform_modes_LDADD = %D%/lib/libtest.la -lpthread
%C%_conform_heaps_modes_SOURCES = %D%/conform/heaps.c
%C%_conform_heaps_modes_LDADD = %D%/lib/libtest.la -lpthread
%C%_conform_heap_fronts_modes_SOURCES = %D%/conform/heap_fronts.c
%C%_conform_heap_fronts_modes_LDADD = %D%/lib/libtest.la -lpthread
%C%_conform_placement_modes_SOURCES = %D%/conform/placement.c
%C%_conform_placement_modes_LDADD = %D%/lib/libtest.la -lpthread
%C%_conform_control_modes_SOURCES = %D%/conform/control.c
%C%_conform_control_modes_LDADD = %D%/lib/libtest.la -lpthread -ldl
%C%_conform_rseq_modes_SOURCES = %D%/conform/rseq.c
%C%_conform_rseq_modes_LDADD = %D%/lib/libtest.la -lpthread -ldl
%C%_conform_vfork_modes_SOURCES = %D%/conform/vfork.c
%C%_conform_vfork_modes_LDADD = %D%/lib/libtest.la -lpthread
%C%_conform_stepped_modes_SOURCES = %D%/conform/stepped.c
%C%_conform_stepped_modes_LDADD = %D%/lib/libtest.la
%C%_conform_libc_modes_SOURCES = %D%/conform/libc.c
%C%_conform_libc_modes_LDADD = %D%/lib/libtest.la
%C%_conform_layered_modes_SOURCES = %D%/conform/layered.c
%C%_conform_layered_modes_LDADD = %D%/lib/libtest.la -lpthread -ldl
%C%_conform_cxx_modes_SOURCES = %D%/conform/cxx.cc
%C%_conform_cxx_modes_LDADD = %D%/lib/libtest.la
# clang 14 declares the sized deletes only when it is told to.
%C%_conform_cxx_modes_CXXFLAGS = $(AM_CXXFLAGS) -fsized-deallocation
%C%_conform_threads_modes_SOURCES = %D%/conform/threads.c
%C%_conform_threads_modes_LDADD = %D%/lib/libtest.la -lpthread
%C%_conform_fork_modes_SOURCES = %D%/conform/fork.c
%C%_conform_fork_modes_LDADD = %D%/lib/libtest.la -lpthread
%C%_conform_at_rest_modes_SOURCES = %D%/conform/at_rest.c
%C%_conform_limits_modes_SOURCES = %D%/conform/limits.c
%C%_conform_limits_modes_LDADD = %D%/lib/libtest.la -lpthread
%C%_conform_rooms_modes_SOURCES = %D%/conform/rooms.c
%C%_conform_rooms_modes_LDADD = %D%/lib/libtest.la -lpthread
%C%_conform_budget_modes_SOURCES = %D%/conform/budget.c
%C%_conform_budget_modes_LDADD = %D%/lib/libtest.la -lpthread -ldl
# A program that uses liburcu by itself.
%C%_conform_readers_modes_SOURCES = %D%/conform/readers.c
%C%_conform_readers_modes_LDADD = %D%/lib/libtest.la $(URCU_LIBS) -lpthread -lrt
%C%_conform_early_modes_SOURCES = %D%/conform/early.c
%C%_conform_early_modes_LDADD = %D%/lib/libtest.la -lpthread -ldl

# Run by options.sh and valgrind.sh.
%C%_conform_habits_SOURCES = %D%/conform/habits.c
%C%_conform_habits_LDADD =
%D%/conform/learning.log: %D%/conform/habits
%C%_conform_publisher_SOURCES = %D%/conform/publisher.c
%C%_conform_publisher_LDADD = libhakmem-core.la -lpthread
%D%/conform/publish.log: %D%/conform/publisher
%C%_conform_effect_SOURCES = %D%/conform/effect.c
%C%_conform_effect_LDADD = -lpthread
%D%/conform/options.log: %D%/conform/effect $(conform_tests)
%D%/conform/valgrind.log: %D%/conform/effect
# Its functions are to be found by their names, each with a frame of its own.
%C%_conform_debugged_SOURCES = %D%/conform/debugged.c
%C%_conform_debugged_CFLAGS = $(AM_CFLAGS) -g -O1 -fno-builtin
%D%/conform/gdb.log: %D%/conform/debugged
%C%_conform_profiled_SOURCES = %D%/conform/profiled.c
%C%_conform_profiled_CFLAGS = $(AM_CFLAGS) -g -O1 -fno-builtin -fno-optimize-sibling-calls
%C%_conform_profiled_LDADD = -lpthread
%D%/conform/profile.log: %D%/conform/profiled %D%/fault/refuse $(conform_tests)
%D%/conform/documents.log: %D%/conform/profiled

# A shared library that only tests load: without an -rpath libtool would make an archive.
check_LTLIBRARIES += %D%/conform/plugin.la
%C%_conform_plugin_la_SOURCES = %D%/conform/plugin.c
%C%_conform_plugin_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere
check_LTLIBRARIES += %D%/conform/layer.la
%C%_conform_layer_la_SOURCES = %D%/conform/layer.c
%C%_conform_layer_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere

# -no-install: no wrapper script, but an absolute run path, which setuid programs obey too.
%C%_conform_pmr_direct_SOURCES = %D%/conform/pmr.cc
%C%_conform_pmr_direct_LDADD = %D%/lib/libtest.la libhakmem.la -lpthread
%C%_conform_pmr_direct_LDFLAGS = -no-install
%D%/conform/examples.log: examples/buffer_pool
%C%_conform_linked_direct_SOURCES = %D%/conform/linked.c %D%/conform/linking.h
%C%_conform_linked_direct_LDADD = %D%/lib/libtest.la libhakmem.la -lpthread
%C%_conform_linked_direct_LDFLAGS = -no-install
# -static: libhakmem.a, beside a shared libc. It is given whole, as malloc's callers are in libc.
%C%_conform_static_direct_SOURCES = %D%/conform/static.c
%C%_conform_static_direct_LDADD = %D%/lib/libtest.la libhakmem.la -lpthread
%C%_conform_static_direct_LDFLAGS = -static
%C%_conform_dlopen_direct_SOURCES = %D%/conform/dlopen.c
%C%_conform_dlopen_direct_LDADD = %D%/lib/libtest.la -lpthread -ldl

# ------------------------------------------------------------------ compat
# jemalloc's interface; ask prints what a configuration came to, for its script.
check_PROGRAMS += %D%/compat/jemalloc.direct %D%/compat/ask
TESTS += %D%/compat/jemalloc.direct %D%/compat/programs.sh %D%/compat/servers.sh
EXTRA_DIST += %D%/compat/programs.sh %D%/compat/servers.sh
%C%_compat_jemalloc_direct_SOURCES = %D%/compat/jemalloc.c
%C%_compat_jemalloc_direct_LDADD = %D%/lib/libtest.la libhakmem-jemalloc.la
%C%_compat_jemalloc_direct_LDFLAGS = -no-install
%C%_compat_ask_SOURCES = %D%/compat/ask.c
%C%_compat_ask_LDADD = libhakmem-jemalloc.la
%C%_compat_ask_LDFLAGS = -no-install
%D%/compat/programs.log: %D%/compat/ask

# ------------------------------------------------------------------ environment
# What surrounds a process, and what it does to itself after its start.
environment_tests = \
	%D%/environment/addresses.modes \
	%D%/environment/apart.modes \
	%D%/environment/files.modes \
	%D%/environment/forks.modes \
	%D%/environment/late_threads.modes \
	%D%/environment/wild.modes
check_PROGRAMS += $(environment_tests)
TESTS += $(environment_tests)

%C%_environment_addresses_modes_SOURCES = %D%/environment/addresses.c %D%/conform/sizes.h
%C%_environment_addresses_modes_LDADD = %D%/lib/libtest.la
%C%_environment_apart_modes_SOURCES = %D%/environment/apart.c %D%/conform/sizes.h
%C%_environment_apart_modes_LDADD = %D%/lib/libtest.la
%C%_environment_files_modes_SOURCES = %D%/environment/files.c
%C%_environment_files_modes_LDADD = %D%/lib/libtest.la
%C%_environment_forks_modes_SOURCES = %D%/environment/forks.c
%C%_environment_forks_modes_LDADD = %D%/lib/libtest.la -lpthread
%C%_environment_late_threads_modes_SOURCES = %D%/environment/late_threads.c
%C%_environment_late_threads_modes_LDADD = %D%/lib/libtest.la -lpthread
%C%_environment_wild_modes_SOURCES = %D%/environment/wild.c
%C%_environment_wild_modes_LDADD = %D%/lib/libtest.la -lpthread

check_PROGRAMS += %D%/environment/filters
%C%_environment_filters_SOURCES = %D%/environment/filters.c
%C%_environment_filters_LDADD = %D%/lib/libtest.la -lpthread
%D%/environment/filters.log: %D%/environment/filters
check_PROGRAMS += %D%/environment/many_threads
TESTS += %D%/environment/many_threads.sh
EXTRA_DIST += %D%/environment/many_threads.sh
%C%_environment_many_threads_SOURCES = %D%/environment/many_threads.c %D%/conform/sizes.h
%C%_environment_many_threads_LDADD = %D%/lib/libtest.la -lpthread
%D%/environment/many_threads.log: %D%/environment/many_threads
check_PROGRAMS += %D%/environment/limits
TESTS += %D%/environment/limits.sh
EXTRA_DIST += %D%/environment/limits.sh
%C%_environment_limits_SOURCES = %D%/environment/limits.c
%C%_environment_limits_LDADD = %D%/lib/libtest.la -lpthread
%D%/environment/limits.log: %D%/environment/limits %D%/conform/linked.direct

# ------------------------------------------------------------------ misuse
# -fno-builtin: the compiler knows malloc, and would leave the misuse out. C++'s runtime is there for
# its sized delete.
check_PROGRAMS += %D%/misuse/misuse
TESTS += %D%/misuse/floor.sh
EXTRA_DIST += %D%/misuse/floor.sh %D%/misuse/table.sh
%C%_misuse_misuse_SOURCES = %D%/misuse/misuse.c %D%/misuse/cases.c %D%/misuse/misuse.h
%C%_misuse_misuse_CFLAGS = $(AM_CFLAGS) -fno-builtin
%C%_misuse_misuse_LDADD = -lstdc++ -lpthread
%D%/misuse/floor.log: %D%/misuse/misuse %D%/conform/linked.direct

# docs/security.md, from what each malloc does here.
.PHONY: security-table
security-table: libhakmem.la %D%/misuse/misuse
	@$(AM_TESTS_ENVIRONMENT) \
	HAKMEM_TEST_MISUSE='$(abs_builddir)/%D%/misuse/misuse' \
	  $(SHELL) $(abs_srcdir)/%D%/misuse/table.sh >security.md.new && \
	mv security.md.new $(srcdir)/docs/security.md

# ------------------------------------------------------------------ fuzz
# Compiled by clang, which need not be there, and with its sanitizers: so not by these rules.
EXTRA_DIST += \
	%D%/fuzz/fuzz_calls.c \
	%D%/fuzz/fuzz_lists.c \
	%D%/fuzz/fuzz_options.c \
	%D%/fuzz/fuzz_published.c \
	%D%/fuzz/fuzz_saved.c \
	%D%/fuzz/fuzz_sysfs.c \
	%D%/fuzz/fuzz_xml.c \
	%D%/fuzz/run.sh \
	%D%/fuzz/calls

.PHONY: fuzz
fuzz: config.h
	@$(SHELL) $(abs_srcdir)/%D%/fuzz/run.sh

# ------------------------------------------------------------------ stress
stress_tests = %D%/stress/random.modes %D%/stress/fork.modes %D%/stress/figures.modes
stress_programs = %D%/stress/storm %D%/stress/blowup %D%/stress/prefixed %D%/stress/drift
stress_scripts = %D%/stress/storm.sh %D%/stress/prefixed.sh \
	%D%/stress/idle.sh %D%/stress/drift.sh
stress_engine = %D%/stress/engine.c %D%/stress/engine.h %D%/stress/allocator.h
check_PROGRAMS += $(stress_tests) $(stress_programs)
TESTS += $(stress_tests) $(stress_scripts)
# What a sanitizer can watch: all else preloads the library, where malloc is the sanitizer's.
sanitized_programs = $(unit_tests) %D%/stress/prefixed
sanitized_tests = $(unit_tests) %D%/stress/prefixed.sh
EXTRA_DIST += $(stress_scripts) %D%/stress/heaps.sh

%C%_stress_random_modes_SOURCES = %D%/stress/random.c $(stress_engine)
%C%_stress_random_modes_LDADD = %D%/lib/libtest.la -lpthread
%C%_stress_fork_modes_SOURCES = %D%/stress/fork.c
%C%_stress_fork_modes_LDADD = %D%/lib/libtest.la -lpthread
%C%_stress_figures_modes_SOURCES = %D%/stress/figures.c $(stress_engine)
%C%_stress_figures_modes_LDADD = %D%/lib/libtest.la -lpthread -ldl
# The same stress by hakmem_malloc and its sisters: the one that sanitizer builds run.
%C%_stress_prefixed_SOURCES = %D%/stress/random.c $(stress_engine)
%C%_stress_prefixed_CPPFLAGS = $(AM_CPPFLAGS) -DSTRESS_PREFIXED
%C%_stress_prefixed_LDADD = %D%/lib/libtest.la libhakmem.la -lpthread
# Run by their scripts, each in settings of its own.
%C%_stress_storm_SOURCES = %D%/stress/storm.c $(stress_engine)
%C%_stress_storm_LDADD = %D%/lib/libtest.la -lpthread -ldl
%C%_stress_blowup_SOURCES = %D%/stress/blowup.c
%C%_stress_blowup_LDADD = -lpthread -ldl
%C%_stress_drift_SOURCES = %D%/stress/drift.c
%C%_stress_drift_LDADD = %D%/lib/libtest.la -lpthread
%D%/stress/drift.log: %D%/stress/drift
%D%/stress/storm.log: %D%/stress/storm
%D%/stress/blowup.log: %D%/stress/blowup
%D%/stress/prefixed.log: %D%/stress/prefixed
%D%/stress/idle.log: bench/workloads/threads_idle

# Ten minutes, half of them with delays injected, by a library that is built for it beside this one.
.PHONY: check-storm
check-storm: libhakmem.la %D%/stress/storm
	@mkdir -p build-inject && cd build-inject && \
	if { test -f Makefile || $(abs_top_srcdir)/configure -q --enable-debug --enable-inject; } && \
	  $(MAKE) -s libhakmem.la; then inject=$$PWD/.libs/libhakmem.so; fi >storm-build.log 2>&1; \
	cd .. && \
	$(AM_TESTS_ENVIRONMENT) \
	HAKMEM_TEST_INJECT=$$inject $(SHELL) $(abs_srcdir)/%D%/stress/storm.sh --long

# What `make check` has no time for: the same tests, longer, or in more modes.
long_tests = %D%/stress/drift.sh %D%/stress/blowup.sh %D%/stress/heaps.sh %D%/fault/refused.sh \
  %D%/real/run.sh
.PHONY: check-long
check-long: libhakmem.la $(stress_programs) $(conform_tests) $(direct_tests) %D%/fault/refuse \
  %D%/environment/limits
	@status=0; for test in $(long_tests); do \
	  $(AM_TESTS_ENVIRONMENT) \
	  HAKMEM_CHECK_LONG=1 $(SHELL) $(abs_srcdir)/$$test || status=1; \
	done; exit $$status

# ------------------------------------------------------------------ fault
check_PROGRAMS += %D%/fault/refuse
%C%_fault_refuse_SOURCES = %D%/fault/refuse.c
%C%_fault_refuse_LDADD =
%D%/stress/storm.log: %D%/fault/refuse

# ------------------------------------------------------------------ vm
# Machines of several nodes, as guests, by `make check-numa`.
check_PROGRAMS += %D%/vm/placement %D%/vm/heaps
%C%_vm_heaps_SOURCES = %D%/vm/heaps.c
%C%_vm_heaps_LDADD = %D%/lib/libtest.la -lpthread
EXTRA_DIST += %D%/vm/guest %D%/vm/inside.sh %D%/vm/numa.sh
%C%_vm_placement_SOURCES = %D%/vm/placement.c
%C%_vm_placement_LDADD = %D%/lib/libtest.la -lpthread

.PHONY: check-numa
check-numa: libhakmem.la %D%/vm/placement %D%/vm/heaps %D%/fault/refuse %D%/stress/storm %D%/conform/habits
	@$(AM_TESTS_ENVIRONMENT) \
	HAKMEM_TEST_PLACEMENT='$(abs_builddir)/%D%/vm/placement' \
	  $(SHELL) $(abs_srcdir)/%D%/vm/numa.sh

# ------------------------------------------------------------------ golden
check_PROGRAMS += %D%/golden/pairs
TESTS += %D%/golden/check.sh
EXTRA_DIST += %D%/golden/check.sh %D%/golden/ways.awk %D%/golden/x86_64.golden
%C%_golden_pairs_SOURCES = %D%/golden/pairs.c
%C%_golden_pairs_LDADD =
%D%/golden/check.log: %D%/golden/pairs

# What the fast paths are made of, written again: for when they were changed on purpose.
.PHONY: golden
golden: libhakmem.la
	@$(AM_TESTS_ENVIRONMENT) $(SHELL) $(srcdir)/%D%/golden/check.sh --rewrite

# ------------------------------------------------------------------ model
include %D%/model/local.mk

# ------------------------------------------------------------------ real
real_programs = \
	%D%/real/compilers.sh \
	%D%/real/git.sh \
	%D%/real/postgres.sh \
	%D%/real/python.sh \
	%D%/real/redis.sh \
	%D%/real/scripts.sh \
	%D%/real/sqlite.sh
EXTRA_DIST += $(real_programs)
