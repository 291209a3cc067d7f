/* SPDX-License-Identifier: MIT */
/*
 * pmr.cc - include/hakmem.hpp: resources and the allocator in containers, and a partitioned hash
 * join, each partition of which builds and probes in a heap of its own.
 */
#include "hakmem.hpp"
#include "tests/lib/tap.h"

#include <algorithm>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

/* ------------------------------------------------------------------ resources and allocator */

static void fill_containers(std::pmr::memory_resource *resource)
{
    std::pmr::vector<std::pmr::string> words(resource);
    std::pmr::map<int, std::pmr::string> by_number(resource);
    for (int i = 0; i < 2000; i++) {
        words.emplace_back(std::string((size_t)i % 300, 'x'));
        by_number.emplace(i, std::pmr::string((size_t)i % 40, 'y'));
    }
    EXPECT_EQ(words.size(), 2000);
    EXPECT_EQ(words[299].size(), 299);
    EXPECT_EQ(by_number.at(39).size(), 39);
    EXPECT(words.get_allocator().resource() == resource);
}

struct alignas(128) wide {
    char bytes[128];
};

static void test_resources(void)
{
    hakmem::heap heap;
    hakmem::shard_resource shard(0);
    hakmem::node_resource node(0);
    std::pmr::memory_resource *resources[] = {heap.resource(), &shard, &node};
    for (auto *resource : resources) {
        fill_containers(resource);
        for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
            void *object = resource->allocate(100, alignment);
            EXPECT_EQ((uintptr_t)object % alignment, 0);
            resource->deallocate(object, 100, alignment);
        }
        std::pmr::vector<wide> wides(10, resource);
        EXPECT_EQ((uintptr_t)wides.data() % 128, 0);
    }
    EXPECT_EQ(heap.stats().used, 0);
    hakmem::heap_resource same(heap.get());
    hakmem::shard_resource same_shard(0), other_shard(1);
    EXPECT(*heap.resource() == same);
    EXPECT(*heap.resource() != shard);
    EXPECT(shard == same_shard);
    EXPECT(shard != other_shard);
    EXPECT(node != shard);
}

static void test_allocator(void)
{
    hakmem::heap heap;
    hakmem::allocator<int> of_heap(heap.get());
    std::vector<int, hakmem::allocator<int>> numbers(of_heap);
    for (int i = 0; i < 10000; i++)
        numbers.push_back(i);
    EXPECT(hakmem_heap_of(numbers.data()) == heap.get());
    std::list<int, hakmem::allocator<int>> linked(numbers.begin(), numbers.end(), of_heap);
    EXPECT_GE(heap.stats().used_small, numbers.size() * sizeof(int) * 4);
    std::vector<wide, hakmem::allocator<wide>> wides(3);
    EXPECT_EQ((uintptr_t)wides.data() % 128, 0);
    EXPECT(hakmem_heap_of(wides.data()) == nullptr);
    EXPECT(of_heap != hakmem::allocator<wide>());
    EXPECT(hakmem::allocator<char>(of_heap) == of_heap);
}

static void test_refusals(void)
{
    auto options = hakmem::heap::options();
    options.limit = 4 << 20;
    hakmem::heap small(options);
    bool thrown = false;
    try {
        std::pmr::vector<char> much(100 << 20, small.resource());
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    EXPECT(thrown);
    options.limit = 1;
    thrown = false;
    try {
        hakmem::heap none(options);
    } catch (const std::system_error &error) {
        thrown = error.code().value() == EINVAL;
    }
    EXPECT(thrown);
    thrown = false;
    try {
        hakmem::allocator<long>(small.get()).allocate(SIZE_MAX / 4);
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    EXPECT(thrown);
}

/* ------------------------------------------------------------------ a partitioned hash join */

struct row {
    uint64_t key;
    uint64_t value;
};

enum {
    PARTITIONS = 8,
    BUILD_ROWS = 20000,
    PROBE_ROWS = 60000,
    KEYS = 15000,
};

static std::vector<row> make_rows(size_t count, uint64_t seed)
{
    std::vector<row> rows(count);
    for (auto &row : rows) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        row = {(seed >> 33) % KEYS, seed >> 20};
    }
    return rows;
}

static size_t partition_of(uint64_t key)
{
    return key * 0x9e3779b97f4a7c15u >> 61;
}

/* One partition: its rows, its hash table, its result. All of it lies in its heap, and goes with
 * that: the containers are never destroyed one by one. */
struct partition {
    hakmem::heap heap;
    std::pmr::vector<row> build{heap.resource()};
    std::pmr::vector<row> probe{heap.resource()};
    uint64_t matches = 0;
    uint64_t sum = 0;

    void join()
    {
        using table_type = std::pmr::unordered_multimap<uint64_t, uint64_t>;
        void *place = heap.resource()->allocate(sizeof(table_type), alignof(table_type));
        auto *table = new (place) table_type(heap.resource());
        for (const auto &row : build)
            table->emplace(row.key, row.value);
        for (const auto &row : probe) {
            auto range = table->equal_range(row.key);
            for (auto match = range.first; match != range.second; ++match) {
                matches++;
                sum += match->second ^ row.value;
            }
        }
        EXPECT(hakmem_heap_of(table) == heap.get());
        EXPECT_GE(heap.stats().used_small, build.size() * 24);
    }
};

static void test_join(void)
{
    static_assert(PARTITIONS == 1 << (64 - 61), "three bits of the hash choose the partition");
    auto build = make_rows(BUILD_ROWS, 1);
    auto probe = make_rows(PROBE_ROWS, 2);
    std::multimap<uint64_t, uint64_t> reference;
    for (const auto &row : build)
        reference.emplace(row.key, row.value);
    uint64_t matches = 0, sum = 0;
    for (const auto &row : probe) {
        auto range = reference.equal_range(row.key);
        for (auto match = range.first; match != range.second; ++match)
            matches++, sum += match->second ^ row.value;
    }
    for (int round = 0; round < 3; round++) {
        std::vector<std::unique_ptr<partition>> partitions;
        for (int i = 0; i < PARTITIONS; i++)
            partitions.push_back(std::make_unique<partition>());
        for (const auto &row : build)
            partitions[partition_of(row.key)]->build.push_back(row);
        for (const auto &row : probe)
            partitions[partition_of(row.key)]->probe.push_back(row);
        std::vector<std::thread> threads;
        for (auto &one : partitions)
            threads.emplace_back([&one] { one->join(); });
        for (auto &thread : threads)
            thread.join();
        uint64_t joined = 0, joined_sum = 0;
        for (const auto &one : partitions)
            joined += one->matches, joined_sum += one->sum;
        EXPECT_EQ(joined, matches);
        EXPECT(joined_sum == sum);
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"resources of heap, shard and node serve containers", test_resources},
        {"the allocator serves others", test_allocator},
        {"refused requests throw", test_refusals},
        {"a partitioned hash join, a heap for each partition", test_join},
    };
    return tap_run(argc, argv, TAP_LINKED, cases, TAP_COUNT(cases));
}
