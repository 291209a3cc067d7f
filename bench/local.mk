# SPDX-License-Identifier: MIT
# The workloads, and what runs and compares them. A new workload: bench/workloads/NAME.c, and
# `make tables`, which writes bench/workloads.mk again.
#
#     make bench                         a short comparison with the allocators that are installed
#     make bench BENCHFLAGS='--hakmem HAKMEM_SHARD=cpu larson mesh'
#     make bench-cores                   a simulated machine of 64 cores
#     make bench-latency                 how long single calls of malloc and free take at worst
#     make bench-programs                real programs and the like beside others, memory at rest
#     make bench-learn                   what large memory costs by each policy, and by the learner

include %D%/workloads.mk
# Programs of bench/programs/run; what is resident is theirs to show.
programs = \
	%D%/programs/asleep \
	%D%/programs/burst \
	%D%/programs/handover \
	%D%/programs/large \
	%D%/programs/queues \
	%D%/programs/replace \
	%D%/programs/sparse \
	%D%/programs/stress
bench_programs = %D%/learn/learn_work $(programs) $(bench_workloads)
check_PROGRAMS += $(bench_programs)
check_LTLIBRARIES += %D%/lib/libbench.la

# Without -fno-builtin the compiler knows what malloc is, and leaves out pairs that do nothing.
bench_cflags = $(AM_CFLAGS) -D_GNU_SOURCE -fno-builtin -pthread
bench_ldflags = -pthread

%C%_lib_libbench_la_SOURCES = \
	%D%/lib/bench.c %D%/lib/bench.h \
	%D%/lib/latency.c %D%/lib/latency.h \
	%D%/lib/options.c \
	%D%/lib/proof.c %D%/lib/proof.h \
	%D%/lib/ring.h \
	%D%/lib/writes.h
%C%_lib_libbench_la_CFLAGS = $(bench_cflags)

%C%_learn_learn_work_SOURCES = \
	%D%/learn/learn.h \
	%D%/learn/learn_work.c \
	%D%/learn/meter.c \
	%D%/learn/scenarios.c \
	%D%/learn/stage.c \
	%D%/learn/trace.c
%C%_learn_learn_work_CFLAGS = $(bench_cflags)
%C%_learn_learn_work_LDADD = %D%/lib/libbench.la
%C%_learn_learn_work_LDFLAGS = $(bench_ldflags)
%C%_programs_asleep_SOURCES = %D%/programs/asleep.c %D%/programs/program.h
%C%_programs_asleep_CFLAGS = $(bench_cflags)
%C%_programs_asleep_LDFLAGS = $(bench_ldflags)
%C%_programs_asleep_LDADD =
%C%_programs_burst_SOURCES = %D%/programs/burst.c %D%/programs/program.h
%C%_programs_burst_CFLAGS = $(bench_cflags)
%C%_programs_burst_LDFLAGS = $(bench_ldflags)
%C%_programs_burst_LDADD =
%C%_programs_handover_SOURCES = %D%/programs/handover.c %D%/programs/program.h
%C%_programs_handover_CFLAGS = $(bench_cflags)
%C%_programs_handover_LDFLAGS = $(bench_ldflags)
%C%_programs_handover_LDADD =
%C%_programs_large_SOURCES = %D%/programs/large.c %D%/programs/program.h
%C%_programs_large_CFLAGS = $(bench_cflags)
%C%_programs_large_LDFLAGS = $(bench_ldflags)
%C%_programs_large_LDADD =
%C%_programs_queues_SOURCES = %D%/programs/queues.c %D%/programs/program.h
%C%_programs_queues_CFLAGS = $(bench_cflags)
%C%_programs_queues_LDFLAGS = $(bench_ldflags)
%C%_programs_queues_LDADD =
%C%_programs_replace_SOURCES = %D%/programs/replace.c %D%/programs/program.h
%C%_programs_replace_CFLAGS = $(bench_cflags)
%C%_programs_replace_LDFLAGS = $(bench_ldflags)
%C%_programs_replace_LDADD =
%C%_programs_sparse_SOURCES = %D%/programs/sparse.c %D%/programs/program.h
%C%_programs_sparse_CFLAGS = $(bench_cflags)
%C%_programs_sparse_LDFLAGS = $(bench_ldflags)
%C%_programs_sparse_LDADD =
%C%_programs_stress_SOURCES = %D%/programs/stress.c %D%/programs/program.h
%C%_programs_stress_CFLAGS = $(bench_cflags)
%C%_programs_stress_LDFLAGS = $(bench_ldflags)
%C%_programs_stress_LDADD =
# Preloaded by whoever records a trace: without an -rpath libtool would make an archive.
check_LTLIBRARIES += %D%/learn/learn_record.la
%C%_learn_learn_record_la_SOURCES = %D%/learn/record.c
%C%_learn_learn_record_la_CFLAGS = $(bench_cflags) -fvisibility=default
%C%_learn_learn_record_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere $(bench_ldflags)

# Every workload in its fast form, contents checked.
TESTS += %D%/smoke.sh %D%/programs/smoke.sh
%D%/smoke.log: $(bench_programs)
%D%/programs/smoke.log: $(programs)

# The simulated machine says what is known.
TESTS += %D%/cores/smoke.sh

EXTRA_DIST += \
	%D%/README.md \
	%D%/cores/README.md \
	%D%/cores/calls.c \
	%D%/cores/cores_work.c \
	%D%/cores/lines.c \
	%D%/cores/machine.h \
	%D%/cores/plugin.c \
	%D%/cores/qemu_plugin.h \
	%D%/cores/run \
	%D%/cores/says.h \
	%D%/cores/smoke.sh \
	%D%/cores/turns.c \
	%D%/instructions.sh \
	%D%/larson.sh \
	%D%/latency \
	%D%/learn/run \
	%D%/learn/traces/README.md \
	%D%/learn/traces/gcc.trace.xz \
	%D%/learn/traces/postgres.trace.xz \
	%D%/learn/traces/python.trace.xz \
	%D%/learn/traces/redis.trace.xz \
	%D%/learn/traces/sqlite.trace.xz \
	%D%/programs/analysis.sh \
	%D%/programs/apache.sh \
	%D%/programs/buffers.js \
	%D%/programs/compile.sh \
	%D%/programs/drive.sh \
	%D%/programs/documents.py \
	%D%/programs/connections.py \
	%D%/programs/duckdb.js \
	%D%/programs/mariadb.sh \
	%D%/programs/memcached.sh \
	%D%/programs/nginx.sh \
	%D%/programs/pgbench.sh \
	%D%/programs/postgres.lib \
	%D%/programs/redis.sh \
	%D%/programs/rocksdb.sh \
	%D%/programs/run \
	%D%/programs/smoke.sh \
	%D%/programs/sqlite.py \
	%D%/programs/words.pl \
	%D%/programs/words.rb \
	%D%/run \
	%D%/smoke.sh \
	%D%/profiles/churn.profile \
	%D%/profiles/crowd.profile \
	%D%/profiles/mid.profile \
	%D%/profiles/mixed.profile \
	%D%/profiles/small.profile \
	%D%/profiles/tiny.profile

.PHONY: bench bench-cores bench-instructions bench-latency bench-learn bench-programs
bench: $(bench_programs) libhakmem.la
	$(srcdir)/%D%/run --build . --rounds 3 --seconds 0.5 $(BENCHFLAGS)

bench-instructions: $(bench_programs) libhakmem.la
	$(srcdir)/%D%/instructions.sh --build . .libs/libhakmem.so

# Neither the plug-in nor its workloads are part of a build: they need QEMU, and x86-64.
bench-cores: libhakmem.la
	$(srcdir)/%D%/cores/run --build . $(BENCHFLAGS)

bench-latency: $(bench_programs) libhakmem.la
	$(srcdir)/%D%/latency --build . $(BENCHFLAGS)

# The short form; the whole one takes an hour: bench/learn/run.
bench-learn: $(bench_programs) libhakmem.la
	$(srcdir)/%D%/learn/run --build . --short $(LEARNFLAGS)

bench-programs: $(bench_programs) libhakmem.la
	$(srcdir)/%D%/programs/run --build . $(BENCHFLAGS)
