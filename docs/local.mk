# SPDX-License-Identifier: MIT
# hakmem(7) is made from api/options.def in the build folder. docs/options.md and docs/counters.md,
# which people read where the source is read, are kept: `make tables` makes them anew; docs/security.md
# is made by `make security-table`, which runs what it tells of.

options_sources = \
	$(top_srcdir)/%D%/options.cpp \
	$(top_srcdir)/%D%/options.awk \
	$(top_srcdir)/api/options.def
options_records = $(CPP) -P -I$(top_srcdir) $(top_srcdir)/%D%/options.cpp
print_options = $(AWK) -f $(top_srcdir)/%D%/options.awk

dist_man1_MANS = %D%/hakmem.1
nodist_man7_MANS = %D%/hakmem.7
dist_doc_DATA = \
	README.md \
	CHANGELOG.md \
	SECURITY.md \
	%D%/counters.md \
	%D%/glossary.md \
	%D%/heaps.md \
	%D%/limits.md \
	%D%/options.md \
	%D%/performance.md \
	%D%/security.md \
	%D%/system-calls.md \
	%D%/tuning.md \
	%D%/walk.md

%D%/hakmem.7: $(options_sources) $(top_srcdir)/%D%/hakmem.7.head $(top_srcdir)/%D%/hakmem.7.tail
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	$(options_records) >$@.records && \
	{ $(SED) 's/VERSION_OF_HAKMEM/$(PACKAGE_VERSION)/' $(top_srcdir)/%D%/hakmem.7.head && \
	  $(print_options) -v form=man $@.records && \
	  cat $(top_srcdir)/%D%/hakmem.7.tail; } >$@.new && \
	rm -f $@.records && mv $@.new $@

CLEANFILES += %D%/hakmem.7
EXTRA_DIST += \
	%D%/hakmem.7.head \
	%D%/hakmem.7.tail \
	%D%/options.awk \
	%D%/options.cpp \
	%D%/decisions
