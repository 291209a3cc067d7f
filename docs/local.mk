# SPDX-License-Identifier: MIT
# hakmem(7) and the Markdown table of options, both made from api/options.def.

options_sources = \
	$(top_srcdir)/%D%/options.cpp \
	$(top_srcdir)/%D%/options.awk \
	$(top_srcdir)/api/options.def
options_records = $(CPP) -P -I$(top_srcdir) $(top_srcdir)/%D%/options.cpp
print_options = $(AWK) -f $(top_srcdir)/%D%/options.awk

dist_man1_MANS = %D%/hakmem.1
nodist_man7_MANS = %D%/hakmem.7
nodist_doc_DATA = %D%/options.md
dist_doc_DATA = README.md CHANGELOG.md %D%/glossary.md %D%/limits.md %D%/walk.md

%D%/hakmem.7: $(options_sources) $(top_srcdir)/%D%/hakmem.7.head $(top_srcdir)/%D%/hakmem.7.tail
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	$(options_records) >$@.records && \
	{ $(SED) 's/VERSION_OF_HAKMEM/$(PACKAGE_VERSION)/' $(top_srcdir)/%D%/hakmem.7.head && \
	  $(print_options) -v form=man $@.records && \
	  cat $(top_srcdir)/%D%/hakmem.7.tail; } >$@.new && \
	rm -f $@.records && mv $@.new $@

%D%/options.md: $(options_sources)
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	$(options_records) >$@.records && \
	{ printf '# Options\n\nMade from api/options.def.\n\n' && \
	  printf '| variable | type | default | allowed | what it does | since |\n' && \
	  printf '|---|---|---|---|---|---|\n' && \
	  $(print_options) -v form=md $@.records; } >$@.new && \
	rm -f $@.records && mv $@.new $@

CLEANFILES += %D%/hakmem.7 %D%/options.md
EXTRA_DIST += \
	%D%/hakmem.7.head \
	%D%/hakmem.7.tail \
	%D%/options.awk \
	%D%/options.cpp \
	%D%/decisions/001-flat-page-map.md \
	%D%/decisions/002-room-counts-down.md \
	%D%/decisions/003-which-frees-go-home.md \
	%D%/decisions/004-odd-cache-lines.md \
	%D%/decisions/005-placement-waits.md \
	%D%/decisions/006-auto.md \
	%D%/decisions/007-binding.md \
	%D%/decisions/008-what-a-call-costs.md \
	%D%/decisions/009-remote-thresholds.md \
	%D%/decisions/010-knobs.md \
	%D%/decisions/011-huge-pages.md \
	%D%/decisions/012-the-learner.md \
	%D%/decisions/013-speed.md \
	%D%/decisions/020-sequences-end.md \
	%D%/decisions/022-what-lost.md
