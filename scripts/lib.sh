# SPDX-License-Identifier: MIT
# What the check scripts share. Sourced from the top folder of the source tree.
# shellcheck shell=sh

# Top layer first: each may include those to its right.
LAYERS="compat api heap front shard tiers learn topology stats os"

# Prints one line of the table that `make lint` makes, and keeps the exit status.
# verdict NAME COUNT-OF-FAULTS WHAT
verdict() {
    if [ "$2" -eq 0 ]; then
        printf 'ok      %-16s %s\n' "$1" "$3"
        return 0
    fi
    printf 'FAILED  %-16s %s\n' "$1" "$3"
    return 1
}

skipped() {
    printf 'skipped %-16s %s\n' "$1" "$2"
}

existing_layers() {
    for layer in $LAYERS; do
        [ ! -d "$layer" ] || printf '%s\n' "$layer"
    done
}

# All C sources, all headers of the layers, in a stable order.
layer_files() {
    existing_layers | while read -r layer; do
        find "$layer" -name "$1"
    done | LC_ALL=C sort
}

# What programs include.
public_headers() {
    find include -name '*.h' | LC_ALL=C sort
}

# What .clang-format lays out.
laid_out_files() {
    # shellcheck disable=SC2086 # names without blanks
    find $LAYERS include tools tests bench examples docs \
        -name '*.c' -o -name '*.h' -o -name '*.cpp' -o -name '*.hpp' 2>/dev/null | LC_ALL=C sort
}
