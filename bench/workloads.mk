# SPDX-License-Identifier: MIT
# Made from the files in bench/workloads/ by scripts/make-workloads: make tables.

bench_workloads = \
	%D%/workloads/cache_scratch \
	%D%/workloads/cache_thrash \
	%D%/workloads/grow \
	%D%/workloads/large_churn \
	%D%/workloads/larson \
	%D%/workloads/latency \
	%D%/workloads/mesh \
	%D%/workloads/mid_large_mt \
	%D%/workloads/orders \
	%D%/workloads/random_mixed \
	%D%/workloads/remote_free \
	%D%/workloads/rounds \
	%D%/workloads/threads_idle \
	%D%/workloads/tiny_hot \
	%D%/workloads/wander \
	%D%/workloads/whales

%C%_workloads_cache_scratch_SOURCES = %D%/workloads/cache_scratch.c
%C%_workloads_cache_scratch_CFLAGS = $(bench_cflags)
%C%_workloads_cache_scratch_LDADD = %D%/lib/libbench.la
%C%_workloads_cache_scratch_LDFLAGS = $(bench_ldflags)

%C%_workloads_cache_thrash_SOURCES = %D%/workloads/cache_thrash.c
%C%_workloads_cache_thrash_CFLAGS = $(bench_cflags)
%C%_workloads_cache_thrash_LDADD = %D%/lib/libbench.la
%C%_workloads_cache_thrash_LDFLAGS = $(bench_ldflags)

%C%_workloads_grow_SOURCES = %D%/workloads/grow.c
%C%_workloads_grow_CFLAGS = $(bench_cflags)
%C%_workloads_grow_LDADD = %D%/lib/libbench.la
%C%_workloads_grow_LDFLAGS = $(bench_ldflags)

%C%_workloads_large_churn_SOURCES = %D%/workloads/large_churn.c
%C%_workloads_large_churn_CFLAGS = $(bench_cflags)
%C%_workloads_large_churn_LDADD = %D%/lib/libbench.la
%C%_workloads_large_churn_LDFLAGS = $(bench_ldflags)

%C%_workloads_larson_SOURCES = %D%/workloads/larson.c
%C%_workloads_larson_CFLAGS = $(bench_cflags)
%C%_workloads_larson_LDADD = %D%/lib/libbench.la
%C%_workloads_larson_LDFLAGS = $(bench_ldflags)

%C%_workloads_latency_SOURCES = %D%/workloads/latency.c
%C%_workloads_latency_CFLAGS = $(bench_cflags)
%C%_workloads_latency_LDADD = %D%/lib/libbench.la
%C%_workloads_latency_LDFLAGS = $(bench_ldflags)

%C%_workloads_mesh_SOURCES = %D%/workloads/mesh.c
%C%_workloads_mesh_CFLAGS = $(bench_cflags)
%C%_workloads_mesh_LDADD = %D%/lib/libbench.la
%C%_workloads_mesh_LDFLAGS = $(bench_ldflags)

%C%_workloads_mid_large_mt_SOURCES = %D%/workloads/mid_large_mt.c
%C%_workloads_mid_large_mt_CFLAGS = $(bench_cflags)
%C%_workloads_mid_large_mt_LDADD = %D%/lib/libbench.la
%C%_workloads_mid_large_mt_LDFLAGS = $(bench_ldflags)

%C%_workloads_orders_SOURCES = %D%/workloads/orders.c
%C%_workloads_orders_CFLAGS = $(bench_cflags)
%C%_workloads_orders_LDADD = %D%/lib/libbench.la
%C%_workloads_orders_LDFLAGS = $(bench_ldflags)

%C%_workloads_random_mixed_SOURCES = %D%/workloads/random_mixed.c
%C%_workloads_random_mixed_CFLAGS = $(bench_cflags)
%C%_workloads_random_mixed_LDADD = %D%/lib/libbench.la
%C%_workloads_random_mixed_LDFLAGS = $(bench_ldflags)

%C%_workloads_remote_free_SOURCES = %D%/workloads/remote_free.c
%C%_workloads_remote_free_CFLAGS = $(bench_cflags)
%C%_workloads_remote_free_LDADD = %D%/lib/libbench.la
%C%_workloads_remote_free_LDFLAGS = $(bench_ldflags)

%C%_workloads_rounds_SOURCES = %D%/workloads/rounds.c
%C%_workloads_rounds_CFLAGS = $(bench_cflags)
%C%_workloads_rounds_LDADD = %D%/lib/libbench.la
%C%_workloads_rounds_LDFLAGS = $(bench_ldflags)

%C%_workloads_threads_idle_SOURCES = %D%/workloads/threads_idle.c
%C%_workloads_threads_idle_CFLAGS = $(bench_cflags)
%C%_workloads_threads_idle_LDADD = %D%/lib/libbench.la
%C%_workloads_threads_idle_LDFLAGS = $(bench_ldflags)

%C%_workloads_tiny_hot_SOURCES = %D%/workloads/tiny_hot.c
%C%_workloads_tiny_hot_CFLAGS = $(bench_cflags)
%C%_workloads_tiny_hot_LDADD = %D%/lib/libbench.la
%C%_workloads_tiny_hot_LDFLAGS = $(bench_ldflags)

%C%_workloads_wander_SOURCES = %D%/workloads/wander.c
%C%_workloads_wander_CFLAGS = $(bench_cflags)
%C%_workloads_wander_LDADD = %D%/lib/libbench.la
%C%_workloads_wander_LDFLAGS = $(bench_ldflags)

%C%_workloads_whales_SOURCES = %D%/workloads/whales.c
%C%_workloads_whales_CFLAGS = $(bench_cflags)
%C%_workloads_whales_LDADD = %D%/lib/libbench.la
%C%_workloads_whales_LDFLAGS = $(bench_ldflags)
