# SPDX-License-Identifier: MIT
# Small objects as a server has them: the usual settings of the field.
threads=2
min=8
max=1000
slots=5000
generations=100
