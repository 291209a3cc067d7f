# SPDX-License-Identifier: MIT
# The build makes hakmem(7) from api/options.def and hakmem(3) from include/hakmem.h. git keeps
# docs/options.md and docs/counters.md, since people read them where they read the source: `make
# tables` makes them. `make security-table` makes docs/security.md by running what it lists.

options_sources = \
	$(top_srcdir)/%D%/options.cpp \
	$(top_srcdir)/%D%/options.awk \
	$(top_srcdir)/api/options.def
options_records = $(CPP) -P -I$(top_srcdir) $(top_srcdir)/%D%/options.cpp
print_options = $(AWK) -f $(top_srcdir)/%D%/options.awk

dist_man1_MANS = %D%/hakmem.1
nodist_man3_MANS = %D%/hakmem.3
nodist_man7_MANS = %D%/hakmem.7
dist_doc_DATA = \
	README.md \
	CHANGELOG.md \
	SECURITY.md \
	%D%/coming-from.md \
	%D%/counters.md \
	%D%/glossary.md \
	%D%/heaps.md \
	%D%/jemalloc.md \
	%D%/limits.md \
	%D%/options.md \
	%D%/performance.md \
	%D%/profiling.md \
	%D%/trace-points.md \
	%D%/security.md \
	%D%/statistics.md \
	%D%/stats.schema.json \
	%D%/system-calls.md \
	%D%/troubleshooting.md \
	%D%/tuning.md \
	%D%/walk.md

%D%/hakmem.7: $(options_sources) $(top_srcdir)/%D%/hakmem.7.head $(top_srcdir)/%D%/hakmem.7.tail
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	$(options_records) >$@.records && \
	{ $(SED) 's/VERSION_OF_HAKMEM/$(PACKAGE_VERSION)/' $(top_srcdir)/%D%/hakmem.7.head && \
	  $(print_options) -v form=man $@.records && \
	  cat $(top_srcdir)/%D%/hakmem.7.tail; } >$@.new && \
	rm -f $@.records && mv $@.new $@

print_header = $(AWK) -f $(top_srcdir)/%D%/header.awk
%D%/hakmem.3: $(top_srcdir)/include/hakmem.h $(top_srcdir)/%D%/header.awk \
	$(top_srcdir)/%D%/hakmem.3.head $(top_srcdir)/%D%/hakmem.3.tail
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	{ $(SED) 's/VERSION_OF_HAKMEM/$(PACKAGE_VERSION)/' $(top_srcdir)/%D%/hakmem.3.head && \
	  $(print_header) $(top_srcdir)/include/hakmem.h && \
	  cat $(top_srcdir)/%D%/hakmem.3.tail; } >$@.new && mv $@.new $@

CLEANFILES += %D%/hakmem.3 %D%/hakmem.7
EXTRA_DIST += \
	%D%/hakmem.3.head \
	%D%/hakmem.3.tail \
	%D%/header.awk \
	%D%/hakmem.7.head \
	%D%/hakmem.7.tail \
	%D%/options.awk \
	%D%/options.cpp \
	%D%/decisions
