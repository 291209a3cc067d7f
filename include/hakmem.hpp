/* SPDX-License-Identifier: MIT */
/* hakmem for C++17: memory resources for std::pmr containers, an allocator for the others, and the
 * owner of a heap. Header only, over hakmem.h, whose rules hold here, too: any thread may use a
 * resource, and free what another allocated. What is refused throws std::bad_alloc; a heap that
 * cannot be made throws std::system_error with errno's value. Since 0.1. */
#ifndef HAKMEM_HPP
#define HAKMEM_HPP

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <new>
#include <system_error>

#include "hakmem.h"

namespace hakmem {

/* The alignment that every object has. */
inline constexpr std::size_t natural_alignment = 16;

/* Memory of a heap that somebody else owns. Two are equal if their heaps are the same. */
class heap_resource : public std::pmr::memory_resource {
  public:
    explicit heap_resource(hakmem_heap *heap) noexcept : heap_(heap) {}

    hakmem_heap *heap() const noexcept
    {
        return heap_;
    }

  private:
    void *do_allocate(std::size_t size, std::size_t alignment) override
    {
        void *object = alignment <= natural_alignment
                           ? hakmem_heap_malloc(heap_, size)
                           : hakmem_heap_aligned_alloc(heap_, alignment, size);
        if (object == nullptr)
            throw std::bad_alloc();
        return object;
    }

    void do_deallocate(void *object, std::size_t, std::size_t) override
    {
        hakmem_heap_free(heap_, object);
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        auto *same = dynamic_cast<const heap_resource *>(&other);
        return same != nullptr && same->heap_ == heap_;
    }

    hakmem_heap *heap_;
};

/* A heap from its creation to its destruction, which frees all of its objects at once: containers
 * that use its resource must end before, or never be used again. */
class heap {
  public:
    explicit heap(const hakmem_heap_options &options) : resource_(create(&options)) {}
    heap() : resource_(create(nullptr)) {}
    ~heap()
    {
        hakmem_heap_destroy(get());
    }

    heap(const heap &) = delete;
    heap &operator=(const heap &) = delete;

    hakmem_heap *get() const noexcept
    {
        return resource_.heap();
    }
    std::pmr::memory_resource *resource() noexcept
    {
        return &resource_;
    }

    struct ::hakmem_heap_stats stats() const
    {
        struct ::hakmem_heap_stats stats {};
        ::hakmem_heap_stats(get(), &stats, sizeof stats);
        return stats;
    }

    std::size_t purge() noexcept
    {
        return hakmem_heap_purge(get());
    }

    /* All defaults, for the caller to change. */
    static hakmem_heap_options options() noexcept
    {
        hakmem_heap_options options{};
        options.size = sizeof options;
        return options;
    }

  private:
    static hakmem_heap *create(const hakmem_heap_options *options)
    {
        hakmem_heap *heap = hakmem_heap_create(options);
        if (heap == nullptr)
            throw std::system_error(errno, std::generic_category(), "hakmem_heap_create");
        return heap;
    }

    heap_resource resource_;
};

/* What both resources below do: objects of the default heap at a place. An alignment above the
 * natural one is met within a longer object, whose address stands before the aligned one. */
class placed_resource : public std::pmr::memory_resource {
  protected:
    virtual void *take(std::size_t size) noexcept = 0;

  private:
    void *do_allocate(std::size_t size, std::size_t alignment) override
    {
        if (alignment <= natural_alignment)
            return taken(size);
        if (size > std::numeric_limits<std::size_t>::max() - alignment)
            throw std::bad_alloc();
        char *base = static_cast<char *>(taken(size + alignment));
        auto address = reinterpret_cast<std::uintptr_t>(base);
        char *object = base + (alignment - address % alignment);
        reinterpret_cast<char **>(object)[-1] = base;
        return object;
    }

    void do_deallocate(void *object, std::size_t, std::size_t alignment) override
    {
        hakmem_free(alignment <= natural_alignment ? object : static_cast<char **>(object)[-1]);
    }

    void *taken(std::size_t size)
    {
        void *object = take(size);
        if (object == nullptr)
            throw std::bad_alloc();
        return object;
    }
};

/* Memory of one shard of the default heap (hakmem_malloc_on_shard), whoever asks for it. */
class shard_resource : public placed_resource {
  public:
    explicit shard_resource(unsigned shard) noexcept : shard_(shard) {}

  private:
    void *take(std::size_t size) noexcept override
    {
        return hakmem_malloc_on_shard(size, shard_);
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        auto *same = dynamic_cast<const shard_resource *>(&other);
        return same != nullptr && same->shard_ == shard_;
    }

    unsigned shard_;
};

/* Memory of one node (hakmem_malloc_on_node). On a node without CPUs each object is a mapping of
 * its own of at least 128 KiB: put a pool in front (std::pmr::unsynchronized_pool_resource), or use
 * a heap with HAKMEM_HEAP_BIND. */
class node_resource : public placed_resource {
  public:
    explicit node_resource(int node) noexcept : node_(node) {}

  private:
    void *take(std::size_t size) noexcept override
    {
        return hakmem_malloc_on_node(size, node_);
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        auto *same = dynamic_cast<const node_resource *>(&other);
        return same != nullptr && same->node_ == node_;
    }

    int node_;
};

/* An allocator for containers that take none of std::pmr. Of a heap, or of the default heap if it
 * is made from nothing. */
template <class T> class allocator {
  public:
    using value_type = T;

    allocator() noexcept = default;
    explicit allocator(hakmem_heap *heap) noexcept : heap_(heap) {}
    template <class U> allocator(const allocator<U> &other) noexcept : heap_(other.heap()) {}

    T *allocate(std::size_t count)
    {
        if (count > std::numeric_limits<std::ptrdiff_t>::max() / sizeof(T))
            throw std::bad_array_new_length();
        void *object = take(count * sizeof(T));
        if (object == nullptr)
            throw std::bad_alloc();
        return static_cast<T *>(object);
    }

    void deallocate(T *object, std::size_t count) noexcept
    {
        if (heap_ != nullptr)
            hakmem_heap_free(heap_, object);
        else
            hakmem_free_sized(object, count * sizeof(T));
    }

    hakmem_heap *heap() const noexcept
    {
        return heap_;
    }

    template <class U> bool operator==(const allocator<U> &other) const noexcept
    {
        return heap_ == other.heap();
    }

    template <class U> bool operator!=(const allocator<U> &other) const noexcept
    {
        return heap_ != other.heap();
    }

  private:
    void *take(std::size_t size) noexcept
    {
        if (alignof(T) > natural_alignment)
            return heap_ != nullptr ? hakmem_heap_aligned_alloc(heap_, alignof(T), size)
                                    : hakmem_aligned_alloc(alignof(T), size);
        return heap_ != nullptr ? hakmem_heap_malloc(heap_, size) : hakmem_malloc(size);
    }

    hakmem_heap *heap_ = nullptr;
};

} // namespace hakmem

#endif
