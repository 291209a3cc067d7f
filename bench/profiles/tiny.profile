# SPDX-License-Identifier: MIT
# Tiny objects, four threads, few of them live: the fast path.
threads=4
min=8
max=128
slots=1024
generations=100
