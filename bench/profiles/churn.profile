# SPDX-License-Identifier: MIT
# Threads that live for one turnover of few slots: birth and death.
threads=4
min=16
max=512
slots=500
generations=1
