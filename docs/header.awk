# SPDX-License-Identifier: MIT
# hakmem(3) from include/hakmem.h: its first comment is the description, each line of dashes begins a
# section, and each comment documents the declarations below it up to the next empty line.
# Table-like lines of comments (a word, two blanks, text) become tagged paragraphs.

function escaped(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    if (text ~ /^[.']/)
        text = "\\&" text
    return text
}

# A comment without its frame: blocks[1..count], "" between paragraphs.
function print_comment(    i, line, match_at, in_tags) {
    in_tags = 0
    for (i = 1; i <= lines; i++) {
        line = comment[i]
        if (line ~ /^ +[a-z]+  +[^ ]/) {
            sub(/^ +/, "", line)
            match_at = match(line, /  +/)
            printf ".TP\n.B %s\n%s\n", escaped(substr(line, 1, match_at - 1)),
                escaped(substr(line, match_at + RLENGTH))
            in_tags = 1
        } else if (line ~ /^ *$/) {
            if (i < lines)
                print ".PP"
            in_tags = 0
        } else {
            sub(/^ +/, "", line)
            print escaped(line)
        }
    }
    lines = 0
}

# Declarations, and below them their comment.
function print_code(    i) {
    print ".PP\n.nf"
    for (i = 1; i <= codes; i++)
        printf ".B \"%s\"\n", code[i]
    print ".fi\n.RS 4"
    print_comment()
    print ".RE"
    codes = 0
    in_code = 0
}

# What a compiler needs and a reader does not.
function plain(line) {
    gsub(/HAKMEM_API /, "", line)
    gsub(/ ?HAKMEM_(RETURNS_FRESH|MUST_USE)/, "", line)
    return line
}

function add_comment(line, is_last) {
    is_last = line ~ /\*\//
    sub(/ *\*\/.*/, "", line)
    sub(/^ ?\/?\* ?/, "", line)
    if (line ~ /^-+ /) {
        sub(/^-+ /, "", line)
        section = toupper(line)
        printf ".SH %s\n", section
        line = ""
        if (is_last)
            lines = 0
        else
            skip_blank = 1
    } else if (line ~ /^ *$/ && skip_blank) {
        skip_blank = 0
    } else {
        comment[++lines] = line
    }
    return is_last
}

/^\/\* SPDX/ { next }

# The first comment describes all.
!described {
    if (/^\/\*/ || in_first) {
        in_first = 1
        if (add_comment($0)) {
            print ".SH DESCRIPTION"
            print_comment()
            described = 1
            in_first = 0
        }
    }
    next
}

/^#ifdef __cplusplus/ { in_cpp = 1 }
in_cpp { if (/^#endif/) in_cpp = 0; next }
/^#(ifndef|if|else|elif|include)/ { in_if += /^#if def/ ; if (/^#if /) in_if = 1; next }
in_if { if (/^#endif/) in_if = 0; next }
/^#endif/ { next }
/^#define HAKMEM_H$/ { next }

in_comment || /^\/\*/ {
    in_comment = !add_comment($0)
    if (!in_comment && section != said && lines) {
        print_comment()
    }
    if (!in_comment)
        said = section
    next
}

/^$/ {
    if (in_code && depth == 0)
        print_code()
    next
}

{
    in_code = 1
    line = $0
    depth += gsub(/{/, "{", line) - gsub(/}/, "}", line)
    add_code(plain(line))
}

# The attributes of a long declaration stand on a line of their own, of which ";" is left.
function add_code(line) {
    if (line ~ /^ *;?$/)
        code[codes] = code[codes] ";"
    else
        code[++codes] = escaped_code(line)
}

function escaped_code(line) {
    gsub(/\\/, "\\e", line)
    gsub(/-/, "\\-", line)
    gsub(/"/, "\\(dq", line)
    return line
}

END {
    if (in_code)
        print_code()
}
