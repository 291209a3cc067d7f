# SPDX-License-Identifier: MIT
# Prints the records of docs/options.cpp as hakmem(7) (-v form=man) or as Markdown (-v form=md).
#
# A record: @option "NAME" "TYPE" "default" @values "..." @release "..." @text "..." "..." @end
# Literals that stand side by side in one field are one text, as they are in C.

function fail(why) {
    print "options.awk: " why > "/dev/stderr"
    failed = 1
    exit 1
}

# Takes the next token off `text` into `token`; kind is "word" or "string".
function next_token() {
    sub(/^[ \t\n]+/, "", text)
    if (text == "")
        return 0
    if (match(text, /^"([^"\\]|\\.)*"/)) {
        kind = "string"
        token = substr(text, 2, RLENGTH - 2)
        gsub(/\\"/, "\"", token)
        gsub(/\\\\/, "\\", token)
    } else if (match(text, /^[^ \t\n"]+/)) {
        kind = "word"
        token = substr(text, 1, RLENGTH)
    } else {
        fail("cannot read: " substr(text, 1, 60))
    }
    text = substr(text, RLENGTH + 1)
    return 1
}

function add_string(value) {
    if (part == "option") {
        head[++heads] = value
        return
    }
    field[part] = field[part] value
}

# roff takes a bare hyphen as a typographic one, and a leading dot or quote as a request.
function roff(value) {
    gsub(/\\/, "\\e", value)
    gsub(/-/, "\\-", value)
    return value
}

# A text that begins a line of the page.
function roff_line(value) {
    value = roff(value)
    return value ~ /^[.\047]/ ? "\\&" value : value
}

function markdown(value) {
    gsub(/\|/, "\\|", value)
    return value
}

function print_record() {
    if (heads != 3)
        fail("a row has " heads " of name, type and default")
    count++
    if (form == "man") {
        printf ".TP\n.B HAKMEM_%s\n%s\n", head[1], roff_line(field["text"])
        printf ".br\nType: %s. Default: %s.", tolower(head[2]), roff(shown(head[3]))
        if (field["values"] != "")
            printf " Allowed: %s.", roff(field["values"])
        printf " Since %s.\n", field["release"]
    } else {
        printf "| `HAKMEM_%s` | %s | `%s` | %s | %s | %s |\n", head[1], tolower(head[2]),
            shown(head[3]), markdown(field["values"]), markdown(field["text"]), field["release"]
    }
}

function shown(value) {
    return value == "" ? "unset" : value
}

{ text = text $0 "\n" }

END {
    if (failed)
        exit 1
    if (form != "man" && form != "md")
        fail("-v form=man or -v form=md")
    while (next_token()) {
        if (kind == "string") {
            add_string(token)
        } else if (token == "@option") {
            part = "option"
            heads = 0
            split("", head)
            split("", field)
        } else if (token == "@end") {
            print_record()
        } else if (token ~ /^@/) {
            part = substr(token, 2)
        } else if (part == "option") {
            head[++heads] = token
        } else {
            field[part] = field[part] token
        }
    }
    if (count == 0)
        fail("the table is empty")
}
