# SPDX-License-Identifier: MIT
# `make model`: Spin searches the protocol of bundles, and must find each mutation of it. Skipped
# where Spin is not installed; half a minute to two.

EXTRA_DIST += %D%/bundle.pml %D%/run

.PHONY: model
model:
	@$(SHELL) $(srcdir)/%D%/run
