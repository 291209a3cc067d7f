# SPDX-License-Identifier: MIT
# `make model`: Spin searches the protocols of bundles and of sections, and must find each mutation of
# them. Skipped where Spin is not installed; half a minute to two.

EXTRA_DIST += %D%/bundle.pml %D%/section.pml %D%/run

.PHONY: model
model:
	@$(SHELL) $(srcdir)/%D%/run
