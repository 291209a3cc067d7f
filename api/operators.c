/* SPDX-License-Identifier: MIT */
/* C++ new and delete in all their forms. Any thread.
 *
 * This is C with the names that the Itanium C++ ABI gives the operators (Znwm is operator
 * new(unsigned long), Zda operator delete[], St11align_val_t std::align_val_t, RKSt9nothrow_t const
 * std::nothrow_t &), so a C program that preloads the library does not load a C++ runtime. When
 * memory runs out, a few functions of the runtime are needed: they are weak references, or are
 * looked up in what the program has loaded.
 *
 * A program may replace only `new(size)` or `delete(pointer)` and rely on the other forms to call
 * its own. So those forms compare addresses to see whether the name still means ours. The
 * definitions are weak, so that in a static program, too, the program's own come first. */
#include "config.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "api/counted.h"
#include "api/malloc_slow.h"
#include "api/quick.h"
#include "os/compiler.h"
#include "os/print.h"
#include "tiers/size_class.h"

#if HAK_OVERRIDE_MALLOC

/* ------------------------------------------------------------------ the C++ runtime */

/* std::bad_alloc in the ABI's layout: only a pointer to its table of virtual functions. */
struct bad_alloc {
    const void *virtual_functions;
};

HAK_PUBLIC
__attribute__((weak)) void (*get_new_handler(void))(void) __asm__("_ZSt15get_new_handlerv");
HAK_PUBLIC __attribute__((weak)) void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv");
HAK_PUBLIC __attribute__((weak)) void *__cxa_allocate_exception(size_t);
HAK_PUBLIC __attribute__((weak)) void __cxa_throw(void *, const void *, void (*)(void *));
HAK_PUBLIC __attribute__((weak)) void bad_alloc_destroy(void *) __asm__("_ZNSt9bad_allocD1Ev");
HAK_PUBLIC extern __attribute__((weak)) const char bad_alloc_type[] __asm__("_ZTISt9bad_alloc");
HAK_PUBLIC extern __attribute__((weak))
const void *const bad_alloc_table[] __asm__("_ZTVSt9bad_alloc");

/* Looks a symbol up in a runtime that was loaded too late, or not globally, for the weak
 * references: a C program opened a C++ plugin. NULL without a runtime, and in static programs.
 * dlopen is looked up by dlsym, since the linker of a static program would warn of a direct
 * call. */
static HAK_COLD void *find_in_loaded_runtime(const char *symbol)
{
    static const char *const runtimes[] = {"libstdc++.so.6", "libc++.so.1"};
    void *(*open)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_DEFAULT, "dlopen");
    if (open == NULL)
        return NULL;
    for (size_t i = 0; i < HAK_ARRAY_LENGTH(runtimes); i++) {
        void *runtime = open(runtimes[i], RTLD_LAZY | RTLD_NOLOAD);
        void *address = runtime != NULL ? dlsym(runtime, symbol) : NULL;
        if (address != NULL)
            return address;
    }
    return NULL;
}

/* The program's new_handler, or NULL if it set none. */
static HAK_COLD void (*find_new_handler(void))(void)
{
    void (*(*get)(void))(void) = get_new_handler;
    if (get == NULL)
        get = (void (*(*)(void))(void))find_in_loaded_runtime("_ZSt15get_new_handlerv");
    return get != NULL ? get() : NULL;
}

/* Throws std::bad_alloc. A static program holds only those parts of the runtime that it uses, so
 * there are two ways; one that can catch nothing may hold neither. */
static HAK_COLD __attribute__((noreturn)) void throw_out_of_memory(size_t size)
{
    void (*throw)(void) = throw_bad_alloc;
    if (throw == NULL)
        throw = (void (*)(void))find_in_loaded_runtime("_ZSt17__throw_bad_allocv");
    if (throw != NULL)
        throw();
    if (__cxa_allocate_exception != NULL && __cxa_throw != NULL && bad_alloc_destroy != NULL &&
        bad_alloc_type != NULL && bad_alloc_table != NULL) {
        struct bad_alloc *exception = __cxa_allocate_exception(sizeof *exception);
        /* before the functions: the offset to the whole object, and its type */
        exception->virtual_functions = bad_alloc_table + 2;
        __cxa_throw(exception, bad_alloc_type, bad_alloc_destroy);
    }
    char buffer[160];
    struct hak_writer writer = hak_writer_to_stderr(buffer, sizeof buffer);
    hak_put(&writer, "hakmem: operator new(%zu): out of memory, and nobody to throw to\n", size);
    hak_writer_flush(&writer);
    abort();
}

/* ------------------------------------------------------------------ the names */

/* The object that C++ calls `nothrow`: it is empty. */
struct nothrow;

HAK_PUBLIC __attribute__((weak)) void *_Znwm(size_t);
HAK_PUBLIC __attribute__((weak)) void *_ZnwmSt11align_val_t(size_t, size_t);
HAK_PUBLIC __attribute__((weak)) void _ZdlPv(void *);
HAK_PUBLIC __attribute__((weak)) void _ZdlPvSt11align_val_t(void *, size_t);

HAK_PUBLIC __attribute__((weak)) void *_Znam(size_t);
HAK_PUBLIC __attribute__((weak)) void *_ZnamSt11align_val_t(size_t, size_t);
HAK_PUBLIC void *_ZnwmRKSt9nothrow_t(size_t, const struct nothrow *);
HAK_PUBLIC void *_ZnamRKSt9nothrow_t(size_t, const struct nothrow *);
HAK_PUBLIC void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t, size_t, const struct nothrow *);
HAK_PUBLIC void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t, size_t, const struct nothrow *);

HAK_PUBLIC __attribute__((weak)) void _ZdaPv(void *);
HAK_PUBLIC void _ZdlPvm(void *, size_t);
HAK_PUBLIC void _ZdaPvm(void *, size_t);
HAK_PUBLIC void _ZdlPvRKSt9nothrow_t(void *, const struct nothrow *);
HAK_PUBLIC void _ZdaPvRKSt9nothrow_t(void *, const struct nothrow *);
HAK_PUBLIC __attribute__((weak)) void _ZdaPvSt11align_val_t(void *, size_t);
HAK_PUBLIC void _ZdlPvmSt11align_val_t(void *, size_t, size_t);
HAK_PUBLIC void _ZdaPvmSt11align_val_t(void *, size_t, size_t);
HAK_PUBLIC void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *, size_t, const struct nothrow *);
HAK_PUBLIC void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *, size_t, const struct nothrow *);

/* ------------------------------------------------------------------ new */

static HAK_COLD void *new_out_of_memory(size_t size, size_t alignment)
{
    for (;;) {
        void (*handler)(void) = find_new_handler();
        if (handler == NULL)
            throw_out_of_memory(size);
        handler(); /* makes room, or throws, or ends the program */
        void *object = hak_allocate_aligned(size, alignment);
        if (object != NULL)
            return object;
    }
}

static __attribute__((noinline)) void *new_slow(size_t size)
{
    void *object = hak_allocate_counted(size);
    return hak_likely(object != NULL) ? object : new_out_of_memory(size, HAK_CLASS_STEP);
}

static void *new_plain(size_t size)
{
    void *object = hak_quick_allocate(size);
    return hak_likely(object != NULL) ? object : new_slow(size);
}

static void *new_array(size_t size)
{
    return hak_likely(_Znwm == new_plain) ? new_plain(size) : _Znwm(size);
}

static void *new_aligned(size_t size, size_t alignment)
{
    void *object = hak_allocate_aligned(size, alignment);
    return hak_likely(object != NULL) ? object : new_out_of_memory(size, alignment);
}

static void *new_array_aligned(size_t size, size_t alignment)
{
    return hak_likely(_ZnwmSt11align_val_t == new_aligned) ? new_aligned(size, alignment)
                                                           : _ZnwmSt11align_val_t(size, alignment);
}

void *_Znwm(size_t) __attribute__((weak, alias("new_plain")));
void *_Znam(size_t) __attribute__((weak, alias("new_array")));
void *_ZnwmSt11align_val_t(size_t, size_t) __attribute__((weak, alias("new_aligned")));
void *_ZnamSt11align_val_t(size_t, size_t) __attribute__((weak, alias("new_array_aligned")));

/* ------------------------------------------------------------------ new that does not throw */

/* The throwing form with every exception caught, whether a new_handler or the program's own
 * operator threw it. C cannot catch. But the runtime's nothrow form, which ours replaces, does just
 * that around the same throwing form. A static program does not have it: there the exception may
 * pass through. */

static HAK_COLD void *find_runtime_form(const char *symbol, void **known)
{
    /* relaxed, both: every look-up finds the same address, and code needs no publishing */
    void *form = __atomic_load_n(known, __ATOMIC_RELAXED);
    if (form == NULL) {
        form = find_in_loaded_runtime(symbol);
        __atomic_store_n(known, form, __ATOMIC_RELAXED);
    }
    return form;
}

static HAK_COLD void *new_caught(size_t size, const struct nothrow *tag)
{
    static void *known;
    void *(*form)(size_t, const struct nothrow *) =
        (void *(*)(size_t, const struct nothrow *))find_runtime_form("_ZnwmRKSt9nothrow_t", &known);
    return form != NULL ? form(size, tag) : _Znwm(size);
}

static HAK_COLD void *new_array_caught(size_t size, const struct nothrow *tag)
{
    static void *known;
    void *(*form)(size_t, const struct nothrow *) =
        (void *(*)(size_t, const struct nothrow *))find_runtime_form("_ZnamRKSt9nothrow_t", &known);
    return form != NULL ? form(size, tag) : _Znam(size);
}

static HAK_COLD void *new_aligned_caught(size_t size, size_t alignment, const struct nothrow *tag)
{
    static void *known;
    void *(*form)(size_t, size_t, const struct nothrow *) =
        (void *(*)(size_t, size_t, const struct nothrow *))find_runtime_form(
            "_ZnwmSt11align_val_tRKSt9nothrow_t", &known);
    return form != NULL ? form(size, alignment, tag) : _ZnwmSt11align_val_t(size, alignment);
}

static HAK_COLD void *new_array_aligned_caught(size_t size, size_t alignment,
                                               const struct nothrow *tag)
{
    static void *known;
    void *(*form)(size_t, size_t, const struct nothrow *) =
        (void *(*)(size_t, size_t, const struct nothrow *))find_runtime_form(
            "_ZnamSt11align_val_tRKSt9nothrow_t", &known);
    return form != NULL ? form(size, alignment, tag) : _ZnamSt11align_val_t(size, alignment);
}

/* Whether the program set a handler that might make room: then NULL is not the final answer yet. */
static HAK_COLD int may_be_handled(void)
{
    return find_new_handler() != NULL;
}

static inline void *allocate(size_t size)
{
    void *object = hak_quick_allocate(size);
    return hak_likely(object != NULL) ? object : hak_allocate_counted(size);
}

__attribute__((weak)) void *_ZnwmRKSt9nothrow_t(size_t size, const struct nothrow *tag)
{
    if (hak_likely(_Znwm == new_plain)) {
        void *object = allocate(size);
        if (hak_likely(object != NULL) || !may_be_handled())
            return object;
    }
    return new_caught(size, tag);
}

__attribute__((weak)) void *_ZnamRKSt9nothrow_t(size_t size, const struct nothrow *tag)
{
    if (hak_likely(_Znam == new_array && _Znwm == new_plain)) {
        void *object = allocate(size);
        if (hak_likely(object != NULL) || !may_be_handled())
            return object;
    }
    return new_array_caught(size, tag);
}

__attribute__((weak)) void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment,
                                                               const struct nothrow *tag)
{
    if (hak_likely(_ZnwmSt11align_val_t == new_aligned)) {
        void *object = hak_allocate_aligned(size, alignment);
        if (hak_likely(object != NULL) || !may_be_handled())
            return object;
    }
    return new_aligned_caught(size, alignment, tag);
}

__attribute__((weak)) void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment,
                                                               const struct nothrow *tag)
{
    if (hak_likely(_ZnamSt11align_val_t == new_array_aligned &&
                   _ZnwmSt11align_val_t == new_aligned)) {
        void *object = hak_allocate_aligned(size, alignment);
        if (hak_likely(object != NULL) || !may_be_handled())
            return object;
    }
    return new_array_aligned_caught(size, alignment, tag);
}

/* ------------------------------------------------------------------ delete */

/* By default each form is the simpler one below it: sized and nothrow forms are the same without,
 * and the form of an array is that of an object. The page map knows size and alignment. */

static inline void release(void *object)
{
    if (hak_unlikely(!hak_quick_release(object)))
        hak_release(object);
}

static inline void release_sized(void *object, size_t size, size_t alignment)
{
    if (hak_unlikely(!hak_quick_release(object)))
        hak_release_sized(object, size, alignment);
}

static void delete_plain(void *object)
{
    release(object);
}

static void delete_array(void *object)
{
    if (hak_likely(_ZdlPv == delete_plain))
        release(object);
    else
        _ZdlPv(object);
}

static void delete_aligned(void *object, size_t alignment)
{
    (void)alignment;
    release(object);
}

static void delete_array_aligned(void *object, size_t alignment)
{
    if (hak_likely(_ZdlPvSt11align_val_t == delete_aligned))
        release(object);
    else
        _ZdlPvSt11align_val_t(object, alignment);
}

void _ZdlPv(void *) __attribute__((weak, alias("delete_plain")));
void _ZdaPv(void *) __attribute__((weak, alias("delete_array")));
void _ZdlPvSt11align_val_t(void *, size_t) __attribute__((weak, alias("delete_aligned")));
void _ZdaPvSt11align_val_t(void *, size_t) __attribute__((weak, alias("delete_array_aligned")));

__attribute__((weak)) void _ZdlPvm(void *object, size_t size)
{
    if (hak_likely(_ZdlPv == delete_plain))
        release_sized(object, size, 0);
    else
        _ZdlPv(object);
}

__attribute__((weak)) void _ZdaPvm(void *object, size_t size)
{
    if (hak_likely(_ZdaPv == delete_array && _ZdlPv == delete_plain))
        release_sized(object, size, 0);
    else
        _ZdaPv(object);
}

__attribute__((weak)) void _ZdlPvRKSt9nothrow_t(void *object, const struct nothrow *tag)
{
    (void)tag;
    _ZdlPv(object);
}

__attribute__((weak)) void _ZdaPvRKSt9nothrow_t(void *object, const struct nothrow *tag)
{
    (void)tag;
    _ZdaPv(object);
}

__attribute__((weak)) void _ZdlPvmSt11align_val_t(void *object, size_t size, size_t alignment)
{
    if (hak_likely(_ZdlPvSt11align_val_t == delete_aligned))
        release_sized(object, size, alignment);
    else
        _ZdlPvSt11align_val_t(object, alignment);
}

__attribute__((weak)) void _ZdaPvmSt11align_val_t(void *object, size_t size, size_t alignment)
{
    (void)size;
    _ZdaPvSt11align_val_t(object, alignment);
}

__attribute__((weak)) void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *object, size_t alignment,
                                                               const struct nothrow *tag)
{
    (void)tag;
    _ZdlPvSt11align_val_t(object, alignment);
}

__attribute__((weak)) void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *object, size_t alignment,
                                                               const struct nothrow *tag)
{
    (void)tag;
    _ZdaPvSt11align_val_t(object, alignment);
}

#endif
