/* SPDX-License-Identifier: MIT */
/* Reads the options of api/options.def by their types, and reports wrong ones. Only the starting
 * thread calls this: it uses no malloc, no stdio, no locale. */
#include "api/options.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>

#include "os/compiler.h"

extern char **environ; /* libc's; <unistd.h> is os/'s door */

struct hak_options hak_options;

const struct hak_option hak_option_rows[HAK_OPTION_COUNT_OF_ROWS] = {
#define OPTION(name, type, default_text, allowed, field, since, sentence) \
    {#name, HAK_OPTION_##type, default_text, allowed, offsetof(struct hak_options, field), \
     since, sentence},
#include "api/options.def"
#undef OPTION
};

/* The parsers below write fields of these sizes; a row whose field has another does not compile. */
enum {
    FIELD_SIZE_BOOL = sizeof(unsigned),
    FIELD_SIZE_CHOICE = sizeof(unsigned),
    FIELD_SIZE_COUNT = sizeof(unsigned),
    FIELD_SIZE_SIZE = sizeof(size_t),
    FIELD_SIZE_DURATION = sizeof(uint64_t),
    FIELD_SIZE_DOMAINS = sizeof(struct hak_domain_request),
    FIELD_SIZE_MACHINE = sizeof(struct hak_wish),
    FIELD_SIZE_LIST = sizeof(struct hak_cpu_set),
    FIELD_SIZE_PINS = sizeof(struct hak_learn_pins),
    FIELD_SIZE_PATH = sizeof(const char *),
    FIELD_SIZE_LIMIT = sizeof(size_t),
};

#define OPTION(name, type, default_text, allowed, field, since, sentence) \
    _Static_assert(sizeof(((struct hak_options *)0)->field) == FIELD_SIZE_##type, \
                   "HAKMEM_" #name ": the field is not of the type's size");
#include "api/options.def"
#undef OPTION

static const char prefix[] = "HAKMEM_";

enum {
    PREFIX_LENGTH = sizeof prefix - 1,
    NAME_MAX_LENGTH = 32,  /* for longer names no similar one is suggested */
    SHOWN_MAX_LENGTH = 64, /* bytes of a wrong name or value that are shown */
};

/* ------------------------------------------------------------------ numbers with units */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static const struct unit size_units[] = {
    {"", 1}, {"K", 1ull << 10}, {"M", 1ull << 20}, {"G", 1ull << 30}, {"T", 1ull << 40}, {NULL, 0},
};

/* A unit is required, except for 0. */
static const struct unit duration_units[] = {
    {"ns", 1},
    {"us", 1000},
    {"ms", 1000 * 1000},
    {"s", 1000ull * 1000 * 1000},
    {"m", 60 * 1000ull * 1000 * 1000},
    {"h", 3600 * 1000ull * 1000 * 1000},
    {NULL, 0},
};

static const struct unit *const units_of_type[HAK_OPTION_TYPES] = {
    [HAK_OPTION_COUNT] = no_units,
    [HAK_OPTION_SIZE] = size_units,
    [HAK_OPTION_DURATION] = duration_units,
};

static bool equals(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* Parses decimal digits and a unit, without anything before, between or after. False if the text is
 * not of this form, or too large. */
static bool parse_number(const char *text, size_t length, const struct unit *units,
                         uint64_t *number)
{
    uint64_t value = 0;
    size_t digits = 0;
    for (; digits < length && text[digits] >= '0' && text[digits] <= '9'; digits++) {
        unsigned digit = (unsigned)(text[digits] - '0');
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    if (digits == 0)
        return false;
    if (value == 0 && digits == length) {
        *number = 0;
        return true;
    }
    for (const struct unit *unit = units; unit->name != NULL; unit++) {
        if (equals(text + digits, length - digits, unit->name))
            return !__builtin_mul_overflow(value, unit->factor, number);
    }
    return false;
}

/* Bytes before the first `end`, or all. libc's own functions of this kind lie in pages that a short
 * process would touch for them alone. */
static size_t length_to(const char *text, char end)
{
    size_t length = 0;
    while (text[length] != '\0' && text[length] != end)
        length++;
    return length;
}

/* The same within "least..most" of the allowed values, which have the same units. */
static bool parse_in_range(const struct hak_option *option, const char *text, uint64_t *number)
{
    const struct unit *units = units_of_type[option->type];
    const char *dots = option->allowed + length_to(option->allowed, '.');
    const char *most = dots + 2;
    uint64_t lower, upper;
    return parse_number(option->allowed, (size_t)(dots - option->allowed), units, &lower) &&
           parse_number(most, length_to(most, ' '), units, &upper) &&
           parse_number(text, strlen(text), units, number) && *number >= lower && *number <= upper;
}

/* ------------------------------------------------------------------ one parser a type */

/* Each writes the field, or returns false and leaves it unchanged. */

static bool parse_choice(const struct hak_option *option, const char *text, void *field)
{
    unsigned place = 0;
    for (const char *at = option->allowed; *at != '\0'; place++) {
        size_t length = length_to(at, ',');
        if (equals(at, length, text)) {
            memcpy(field, &place, sizeof place);
            return true;
        }
        at += length;
        while (*at == ',' || *at == ' ')
            at++;
    }
    return false;
}

static bool parse_count(const struct hak_option *option, const char *text, void *field)
{
    uint64_t number;
    if (!parse_in_range(option, text, &number))
        return false;
    unsigned count = (unsigned)number;
    memcpy(field, &count, sizeof count);
    return true;
}

static bool parse_size(const struct hak_option *option, const char *text, void *field)
{
    uint64_t number = HAK_SIZE_AUTO;
    bool is_auto = strcmp(text, "auto") == 0 && strstr(option->allowed, "auto") != NULL;
    if (!is_auto && !parse_in_range(option, text, &number))
        return false;
    size_t size = number;
    memcpy(field, &size, sizeof size);
    return true;
}

static bool parse_duration(const struct hak_option *option, const char *text, void *field)
{
    uint64_t duration = HAK_DURATION_NEVER;
    bool is_never = strcmp(text, "never") == 0 && strstr(option->allowed, "never") != NULL;
    if (!is_never && !parse_in_range(option, text, &duration))
        return false;
    memcpy(field, &duration, sizeof duration);
    return true;
}

static bool parse_domains(const struct hak_option *option, const char *text, void *field)
{
    (void)option;
    struct hak_domain_request request;
    if (hak_domains_parse(text, &request) != 0)
        return false;
    memcpy(field, &request, sizeof request);
    return true;
}

/* Only the default may be an empty list. */
static bool parse_list(const struct hak_option *option, const char *text, void *field)
{
    (void)option;
    struct hak_cpu_set set;
    if (hak_cpu_set_parse(&set, text) != 0 || (hak_cpu_set_count(&set) == 0 && *text != '\0'))
        return false;
    memcpy(field, &set, sizeof set);
    return true;
}

static bool parse_machine(const struct hak_option *option, const char *text, void *field)
{
    (void)option;
    struct hak_wish wish;
    memset(&wish, 0, sizeof wish);
    if (hak_wish_parse(text, &wish) != 0)
        return false;
    memcpy(field, &wish, sizeof wish);
    return true;
}

/* The field points into the environment, or is NULL. The path must be absolute, since a program may
 * change its folder between start and exit. */
static bool parse_path(const struct hak_option *option, const char *text, void *field)
{
    (void)option;
    if (*text != '/' && *text != '\0')
        return false;
    const char *path = *text != '\0' ? text : NULL;
    memcpy(field, &path, sizeof path);
    return true;
}

static bool parse_limit(const struct hak_option *option, const char *text, void *field)
{
    (void)option;
    uint64_t bytes = HAK_LIMIT_AUTO;
    if (strcmp(text, "none") == 0)
        bytes = HAK_LIMIT_NONE;
    else if (strcmp(text, "watch") == 0)
        bytes = HAK_LIMIT_WATCH;
    else if (strcmp(text, "auto") != 0 &&
             (!parse_number(text, strlen(text), size_units, &bytes) || bytes <= HAK_LIMIT_WATCH))
        return false;
    size_t limit = bytes;
    memcpy(field, &limit, sizeof limit);
    return true;
}

/* Parses a size as its bucket. */
static bool parse_bucket(const char *text, size_t length, unsigned *bucket)
{
    uint64_t bytes;
    if (!parse_number(text, length, size_units, &bytes) || bytes == 0)
        return false;
    *bucket = hak_learn_bucket(bytes);
    return true;
}

/* Parses "FROM-TO", "SIZE" or "all" as the buckets from *first to *last. */
static bool parse_buckets(const char *text, size_t length, unsigned *first, unsigned *last)
{
    *first = 0;
    *last = HAK_LEARN_BUCKETS - 1;
    if (equals(text, length, "all"))
        return true;
    const char *dash = memchr(text, '-', length);
    if (dash == NULL)
        return parse_bucket(text, length, first) && parse_bucket(text, length, last);
    size_t before = (size_t)(dash - text);
    return parse_bucket(text, before, first) && parse_bucket(dash + 1, length - before - 1, last) &&
           *first <= *last;
}

/* Parses "BUCKETS=ARM". */
static bool parse_pin(const char *text, size_t length, struct hak_learn_pins *pins)
{
    unsigned first, last;
    const char *is = memchr(text, '=', length);
    if (is == NULL || !parse_buckets(text, (size_t)(is - text), &first, &last))
        return false;
    for (unsigned arm = 0; arm < HAK_ARM_NAMES; arm++) {
        if (!equals(is + 1, length - (size_t)(is + 1 - text), hak_arms[arm].name))
            continue;
        for (unsigned bucket = first; bucket <= last; bucket++)
            pins->arm[bucket] = (uint8_t)(arm + 1);
        return true;
    }
    return false;
}

static bool parse_pins(const struct hak_option *option, const char *text, void *field)
{
    (void)option;
    struct hak_learn_pins pins = {{0}};
    while (*text != '\0') {
        size_t length = length_to(text, ',');
        if (!parse_pin(text, length, &pins))
            return false;
        text += length;
        text += *text == ',';
    }
    memcpy(field, &pins, sizeof pins);
    return true;
}

static bool (*const parsers[HAK_OPTION_TYPES])(const struct hak_option *, const char *, void *) = {
    [HAK_OPTION_BOOL] = parse_choice,       [HAK_OPTION_CHOICE] = parse_choice,
    [HAK_OPTION_COUNT] = parse_count,       [HAK_OPTION_SIZE] = parse_size,
    [HAK_OPTION_DURATION] = parse_duration, [HAK_OPTION_DOMAINS] = parse_domains,
    [HAK_OPTION_MACHINE] = parse_machine,   [HAK_OPTION_LIST] = parse_list,
    [HAK_OPTION_PINS] = parse_pins,         [HAK_OPTION_PATH] = parse_path,
    [HAK_OPTION_LIMIT] = parse_limit,
};

static bool set_field(struct hak_options *options, const struct hak_option *option,
                      const char *text)
{
    return parsers[option->type](option, text, (char *)options + option->offset);
}

/* ---- messages ------------------------------------------------------------------------------- */

/* Writes foreign text on one line, without bytes that a terminal obeys: the control bytes of ASCII,
 * and those of 8-bit terminals. */
static void put_shown(struct hak_writer *writer, const char *text, size_t length)
{
    size_t shown = length < SHOWN_MAX_LENGTH ? length : SHOWN_MAX_LENGTH;
    for (size_t i = 0; i < shown; i++) {
        unsigned char byte = (unsigned char)text[i];
        bool is_control = byte < ' ' || (byte >= 0x7f && byte <= 0x9f);
        hak_put(writer, "%c", is_control ? '?' : byte);
    }
    if (shown < length)
        hak_put_text(writer, "...");
}

void hak_options_put_shown(struct hak_writer *writer, const char *text)
{
    put_shown(writer, text, strlen(text));
}

static void complain_of_value(struct hak_writer *writer, const struct hak_option *option,
                              const char *value)
{
    hak_put(writer, "hakmem: %s%s=", prefix, option->name);
    put_shown(writer, value, strlen(value));
    hak_put(writer, ": not understood; allowed: %s; using %s\n", option->allowed,
            option->default_text[0] != '\0' ? option->default_text : "none");
}

/* How many letters must be inserted, removed or changed to turn one name into the other
 * (Levenshtein). */
static unsigned edit_distance(const char *from, size_t length, const char *to)
{
    unsigned row[NAME_MAX_LENGTH + 1];
    for (size_t i = 0; i <= length; i++)
        row[i] = (unsigned)i;
    for (unsigned j = 1; to[j - 1] != '\0'; j++) {
        unsigned diagonal = row[0];
        row[0] = j;
        for (size_t i = 1; i <= length; i++) {
            unsigned changed = diagonal + (from[i - 1] != to[j - 1]);
            unsigned moved = (row[i] < row[i - 1] ? row[i] : row[i - 1]) + 1;
            diagonal = row[i];
            row[i] = changed < moved ? changed : moved;
        }
    }
    return row[length];
}

/* The most similar name, or NULL if none is similar. */
static const char *nearest_name(const char *name, size_t length)
{
    const char *nearest = NULL;
    unsigned least = (unsigned)length / 2 + 1;
    if (length > NAME_MAX_LENGTH)
        return NULL;
    for (size_t i = 0; i < HAK_OPTION_COUNT_OF_ROWS; i++) {
        unsigned distance = edit_distance(name, length, hak_option_rows[i].name);
        if (distance < least) {
            least = distance;
            nearest = hak_option_rows[i].name;
        }
    }
    return nearest;
}

static void complain_of_name(struct hak_writer *writer, const char *name, size_t length)
{
    hak_put(writer, "hakmem: %s", prefix);
    put_shown(writer, name, length);
    hak_put_text(writer, ": no such option");
    const char *nearest = nearest_name(name, length);
    if (nearest != NULL)
        hak_put(writer, "; did you mean %s%s?", prefix, nearest);
    hak_put_text(writer, "\n");
}

/* ------------------------------------------------------------------ the environment */

/* The value of an entry "HAKMEM_NAME=value"; NULL for another name. */
static const char *value_of(const char *entry, const char *name)
{
    size_t length = strlen(name);
    if (strncmp(entry, prefix, PREFIX_LENGTH) != 0 ||
        strncmp(entry + PREFIX_LENGTH, name, length) != 0 || entry[PREFIX_LENGTH + length] != '=')
        return NULL;
    return entry + PREFIX_LENGTH + length + 1;
}

/* The first one counts, as for getenv. */
static const char *look_up(char *const *environment, const char *name)
{
    for (; *environment != NULL; environment++) {
        const char *value = value_of(*environment, name);
        if (value != NULL)
            return value;
    }
    return NULL;
}

static void complain_of_unknown(char *const *environment, struct hak_writer *complaints)
{
    for (; *environment != NULL; environment++) {
        const char *entry = *environment;
        if (strncmp(entry, prefix, PREFIX_LENGTH) != 0)
            continue;
        bool is_known = false;
        for (size_t i = 0; i < HAK_OPTION_COUNT_OF_ROWS && !is_known; i++)
            is_known = value_of(entry, hak_option_rows[i].name) != NULL;
        if (!is_known)
            complain_of_name(complaints, entry + PREFIX_LENGTH,
                             length_to(entry + PREFIX_LENGTH, '='));
    }
}

void hak_options_read(struct hak_options *options, char *const *environment,
                      struct hak_writer *complaints)
{
    static char *const empty[] = {NULL};
    if (environment == NULL)
        environment = empty;
    for (size_t i = 0; i < HAK_OPTION_COUNT_OF_ROWS; i++) {
        const struct hak_option *option = &hak_option_rows[i];
        set_field(options, option, option->default_text);
        const char *value = look_up(environment, option->name);
        if (value != NULL && *value != '\0' && !set_field(options, option, value))
            complain_of_value(complaints, option, value);
    }
    if (options->verbose >= 1)
        complain_of_unknown(environment, complaints);
}

static bool is_privileged(void)
{
    int saved = errno;
    bool is_secure = getauxval(AT_SECURE) != 0;
    errno = saved;
    return is_secure;
}

bool hak_options_ask_for_random_places(void)
{
    const char *value = environ != NULL ? look_up(environ, "ASLR") : NULL;
    return value == NULL || strcmp(value, "0") != 0 || is_privileged();
}

const char *hak_options_look_up_other(const char *name)
{
    size_t length = strlen(name);
    if (environ == NULL || is_privileged())
        return NULL;
    for (char **entry = environ; *entry != NULL; entry++)
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=')
            return *entry + length + 1;
    return NULL;
}

/* As the loader does with its own variables: a program that this one starts may have more rights
 * than the user without being marked so. In place, since main's third argument is the same
 * array. */
static void forget_all(char **environment)
{
    char **kept = environment;
    for (char **entry = environment; *entry != NULL; entry++)
        if (strncmp(*entry, prefix, PREFIX_LENGTH) != 0)
            *kept++ = *entry;
    *kept = NULL;
}

void hak_options_start(void)
{
    char buffer[512];
    hak_os_look_for_stderr();
    struct hak_writer complaints = hak_writer_to_stderr(buffer, sizeof buffer);
    bool is_secure = is_privileged();
    if (is_secure && environ != NULL)
        forget_all(environ);
    hak_options_read(&hak_options, is_secure ? NULL : environ, &complaints);
    if (hak_options.misuse == HAK_MISUSE_CHOICE_CHECK)
        hak_options.front = HAK_FRONT_CHOICE_THREAD; /* with check, threads have none */
    hak_writer_flush(&complaints);
}
