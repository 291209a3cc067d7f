# SPDX-License-Identifier: MIT
# Sixteen threads, whatever the CPUs.
threads=16
min=8
max=1000
slots=2000
generations=100
