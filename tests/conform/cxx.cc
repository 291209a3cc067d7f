/* SPDX-License-Identifier: MIT */
/*
 * cxx.cc - operator new and delete in all forms: plain, array, nothrow, sized, aligned; bad_alloc
 * and the new_handler.
 */
#include "tests/conform/sizes.h"
#include "tests/lib/tap.h"

#include <cstdlib>
#include <malloc.h>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

static size_t impossible = (size_t)PTRDIFF_MAX - 4096; /* no constant: compilers refuse those */

/* The compiler may drop a pair of new and delete whose object nobody saw. */
static void *seen(void *object)
{
    __asm__ volatile("" : "+r"(object) : : "memory");
    return object;
}

static void check_object(void *object, size_t size, size_t alignment)
{
    EXPECT(object != NULL);
    if (!object)
        return;
    EXPECT(is_aligned(object, alignment));
    EXPECT_GE(malloc_usable_size(object), size);
    bytes_fill(object, 5, size);
    EXPECT_EQ(bytes_wrong(object, 5, size, size), 0);
}

static void test_plain_forms(void)
{
    for (unsigned i = 0; i < SIZES_COUNT; i++) {
        size_t size = sizes_of_tiers[i];
        size_t alignment = size >= 16 ? 16 : 8;
        void *object = seen(::operator new(size));
        check_object(object, size, alignment);
        ::operator delete(object);
        object = seen(::operator new(size));
        ::operator delete(object, size);
        object = seen(::operator new[](size));
        check_object(object, size, alignment);
        ::operator delete[](object);
        object = seen(::operator new[](size));
        ::operator delete[](object, size);
        object = seen(::operator new(size, std::nothrow));
        check_object(object, size, alignment);
        ::operator delete(object, std::nothrow);
        object = seen(::operator new[](size, std::nothrow));
        check_object(object, size, alignment);
        ::operator delete[](object, std::nothrow);
    }
    ::operator delete(nullptr);
    ::operator delete[](nullptr);
    void *first = seen(::operator new(0));
    void *second = seen(::operator new(0));
    EXPECT(first && second && first != second);
    ::operator delete(first);
    ::operator delete(second, (size_t)0);
}

static void test_aligned_forms(void)
{
    for (size_t alignment = 8; alignment <= 4 * MIB; alignment *= 2) {
        std::align_val_t value = (std::align_val_t)alignment;
        const size_t sizes[] = {1, 40, 1000, 33000, 400000};
        for (size_t size : sizes) {
            void *object = seen(::operator new(size, value));
            check_object(object, size, alignment);
            ::operator delete(object, value);
            object = seen(::operator new(size, value));
            ::operator delete(object, size, value);
            object = seen(::operator new[](size, value));
            check_object(object, size, alignment);
            ::operator delete[](object, value);
            object = seen(::operator new[](size, value));
            ::operator delete[](object, size, value);
            object = seen(::operator new(size, value, std::nothrow));
            check_object(object, size, alignment);
            ::operator delete(object, value, std::nothrow);
            object = seen(::operator new[](size, value, std::nothrow));
            check_object(object, size, alignment);
            ::operator delete[](object, value, std::nothrow);
        }
    }
    ::operator delete(nullptr, std::align_val_t(64));
}

template <typename Call> static bool throws_bad_alloc(Call call)
{
    try {
        seen(call());
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

static void test_bad_alloc(void)
{
    const std::align_val_t value = std::align_val_t(64);
    EXPECT(throws_bad_alloc([] { return ::operator new(impossible); }));
    EXPECT(throws_bad_alloc([] { return ::operator new[](impossible); }));
    EXPECT(throws_bad_alloc([&] { return ::operator new(impossible, value); }));
    EXPECT(throws_bad_alloc([&] { return ::operator new[](impossible, value); }));
    EXPECT(throws_bad_alloc([] { return ::operator new(SIZE_MAX); }));
    /* libstdc++ 12 rounds this up to 0, and gives an object */
    EXPECT(tap_is_reference() || throws_bad_alloc([&] { return ::operator new(SIZE_MAX, value); }));
    EXPECT(seen(::operator new(impossible, std::nothrow)) == nullptr);
    EXPECT(seen(::operator new[](impossible, std::nothrow)) == nullptr);
    EXPECT(seen(::operator new(impossible, value, std::nothrow)) == nullptr);
    EXPECT(seen(::operator new[](impossible, value, std::nothrow)) == nullptr);
}

static int handler_calls;

static void give_up_at_the_third(void)
{
    if (++handler_calls == 3)
        std::set_new_handler(nullptr);
}

static void throw_int(void)
{
    throw 42;
}

static void throw_bad_alloc(void)
{
    handler_calls++;
    throw std::bad_alloc();
}

static void test_new_handler(void)
{
    const std::align_val_t value = std::align_val_t(128);
    handler_calls = 0;
    std::set_new_handler(give_up_at_the_third);
    EXPECT(throws_bad_alloc([] { return ::operator new(impossible); }));
    EXPECT_EQ(handler_calls, 3);

    handler_calls = 0;
    std::set_new_handler(give_up_at_the_third);
    EXPECT(seen(::operator new(impossible, std::nothrow)) == nullptr);
    EXPECT_EQ(handler_calls, 3);

    handler_calls = 0;
    std::set_new_handler(give_up_at_the_third);
    EXPECT(throws_bad_alloc([&] { return ::operator new(impossible, value); }));
    EXPECT_EQ(handler_calls, 3);

    handler_calls = 0; /* nothrow turns the handler's exception into a null pointer */
    std::set_new_handler(throw_bad_alloc);
    EXPECT(seen(::operator new(impossible, std::nothrow)) == nullptr);
    EXPECT(seen(::operator new[](impossible, value, std::nothrow)) == nullptr);
    EXPECT_EQ(handler_calls, 2);

    int caught = 0; /* a handler may leave by any exception */
    std::set_new_handler(throw_int);
    try {
        seen(::operator new(impossible));
    } catch (int number) {
        caught = number;
    }
    EXPECT_EQ(caught, 42);
    std::set_new_handler(nullptr);
}

struct alignas(256) wide {
    char bytes[300];
};

static void test_library_types(void)
{
    std::map<std::string, std::vector<int>> lists;
    for (int i = 0; i < 5000; i++)
        lists[std::to_string(i % 500) + " is a key too long for the small string"].push_back(i);
    EXPECT_EQ(lists.size(), 500);
    long sum = 0;
    for (const auto &entry : lists) {
        for (int number : entry.second)
            sum += number;
    }
    EXPECT_EQ(sum, 5000L * 4999 / 2);
    std::vector<std::unique_ptr<wide>> wides;
    for (int i = 0; i < 100; i++) {
        wides.push_back(std::make_unique<wide>());
        EXPECT(is_aligned(wides.back().get(), 256));
    }
    std::shared_ptr<wide[]> array(new wide[17]);
    EXPECT(is_aligned(array.get(), 256));
    std::vector<long> numbers;
    for (long i = 0; i < 1000000; i++)
        numbers.push_back(i);
    EXPECT_EQ(numbers[654321], 654321);
    EXPECT(throws_bad_alloc([] {
        std::vector<char> huge;
        huge.resize(impossible - 100000);
        return (void *)nullptr;
    }));
}

/* Many programs free memory of new with free, wrong as that is. */
static void test_mixed_with_malloc(void)
{
    for (size_t size = 1; size < 300000; size = size * 2 + 3) {
        free(seen(::operator new(size)));
        ::operator delete(seen(malloc(size)));
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"new and delete, arrays, nothrow, sized", test_plain_forms},
        {"aligned new and delete up to 4 MiB", test_aligned_forms},
        {"impossible sizes are bad_alloc, or null for nothrow", test_bad_alloc},
        {"the new_handler is asked until it gives up", test_new_handler},
        {"containers, smart pointers, over-aligned types", test_library_types},
        {"new with free, malloc with delete", test_mixed_with_malloc},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
