# SPDX-License-Identifier: MIT
# ways.awk - out of `objdump -d --no-show-raw-insn`: what is on the fast way through a function.
#
#     awk -v names="hakmem_malloc=4f00 malloc_again/cpu=4e10" -f ways.awk
#
# Names come with their addresses: of several names of one place objdump shows only one. The fast
# way is the shortest from the entry to a return, not through a jump out of the function; with
# /cpu, the shortest that passes a store to rseq_cs, which is at 8 in the thread's rseq area: the
# way by a CPU's front. It does not depend on how the compiler arranges the code. One line each:
#
#     NAME instructions=N loads=N stores=N calls=N branches=N
#
# A load or store is an operand in memory: the last operand is written, unless the instruction only
# compares. Padding and lea are no access; push and pop are one.

BEGIN {
    count = split(names, wanted, " ")
    for (i = 1; i <= count; i++) {
        split(wanted[i], part, "=")
        wanted[i] = part[1]
        start[part[1]] = part[2]
        name_at[part[2]] = part[2]
    }
}

/^[0-9a-f]+ <[^>]*>:$/ {
    address = $1
    sub(/^0+/, "", address)
    inside = address in name_at
    name = address
    next
}

inside && /^ *[0-9a-f]+:\t/ {
    n = length_of[name]++
    split($0, part, "\t")
    address = part[1]
    gsub(/[ :]/, "", address)
    at[name, address] = n
    text = part[2]
    sub(/ *#.*/, "", text)
    code[name, n] = text
}

function in_memory(operand)
{
    return operand ~ /\(|^%fs:|^%gs:/
}

# Splits the operands at commas outside parentheses; how many.
function split_operands(list, operand,    i, c, depth, count)
{
    count = 1
    operand[1] = operand[2] = operand[3] = operand[4] = ""
    for (i = 1; i <= length(list); i++) {
        c = substr(list, i, 1)
        depth += (c == "(") - (c == ")")
        if (c == "," && depth == 0)
            count++
        else
            operand[count] = operand[count] c
    }
    return count
}

function account(verb, list,    count, i, operand, last)
{
    if (verb ~ /^(lea|nop|xchg$|cs$|data16)/)
        return
    if (verb ~ /^push/) {
        stores++
        return
    }
    if (verb ~ /^pop/) {
        loads++
        return
    }
    count = split_operands(list, operand)
    for (i = 1; i < count; i++)
        loads += in_memory(operand[i])
    last = operand[count]
    if (!in_memory(last))
        return
    stores += verb !~ /^(cmp|test)/
    # What changes a word in memory reads it too.
    loads += verb !~ /^(mov|set)/
}

# Where the way may go on from instruction n, in `next_of`; how many such places. A jump out of the
# function leads nowhere.
function successors(place, n,    text, verb, target, count)
{
    text = code[place, n]
    verb = text
    sub(/ .*/, "", verb)
    count = 0
    if (verb ~ /^ret/)
        return 0
    if (verb != "jmp" && (place, n + 1) in code)
        next_of[++count] = n + 1
    if (verb ~ /^j/) {
        target = text
        sub(/^[^ ]* */, "", target)
        sub(/ .*/, "", target)
        if ((place, target) in at)
            next_of[++count] = at[place, target]
    }
    return count
}

# Breadth first over states (instruction, whether rseq_cs was written); the last state, or -1.
function search(place, by_cpu,    head, tail, state, n, passed, i, count)
{
    split("", came_from)
    queue[tail++] = 0
    came_from[0] = -1
    while (head < tail) {
        state = queue[head++]
        n = int(state / 2)
        passed = state % 2 || code[place, n] ~ /^mov .*,%fs:0x8\(/
        if (code[place, n] ~ /^ret/ && (passed || !by_cpu))
            return state
        count = successors(place, n)
        for (i = 1; i <= count; i++) {
            state = next_of[i] * 2 + passed
            if (!(state in came_from)) {
                came_from[state] = queue[head - 1]
                queue[tail++] = state
            }
        }
    }
    return -1
}

function tell(name,    place, state, text, verb, list)
{
    instructions = loads = stores = calls = branches = 0
    place = start[name]
    state = (place, 0) in code ? search(place, name ~ /\/cpu$/) : -1
    if (state < 0) {
        print name " missing"
        return
    }
    for (; state >= 0; state = came_from[state]) {
        text = code[place, int(state / 2)]
        verb = text
        sub(/ .*/, "", verb)
        list = text
        sub(/^[^ ]* */, "", list)
        instructions++
        if (verb ~ /^call/)
            calls++
        else if (verb ~ /^j/)
            branches += verb != "jmp"
        else if (verb !~ /^ret/)
            account(verb, list)
    }
    printf "%s instructions=%d loads=%d stores=%d calls=%d branches=%d\n", name, instructions, \
           loads, stores, calls, branches
}

END {
    for (i = 1; i in wanted; i++)
        tell(wanted[i])
}
