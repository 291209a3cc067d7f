# SPDX-License-Identifier: MIT
# Middle sizes up to 32 KiB, ten thousand to a thread.
threads=2
min=2048
max=32768
slots=10000
generations=1
