# SPDX-License-Identifier: MIT
# Tiny to middle sizes in one table.
threads=4
min=16
max=16384
slots=2000
generations=10
