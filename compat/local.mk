# SPDX-License-Identifier: MIT
# jemalloc's interface over hakmem.h: a library that holds hakmem, too, so that a program which names
# libjemalloc.so.2 gets malloc and mallocx from one place, before libc's.
lib_LTLIBRARIES += libhakmem-jemalloc.la

# The library's constructor comes before conf.c's second one: see there.
libhakmem_jemalloc_la_SOURCES = $(libhakmem_la_SOURCES) \
	%D%/calls.c \
	%D%/mallctl.c \
	%D%/answers.c \
	%D%/arenas.c \
	%D%/utilization.c \
	%D%/conf.c
# libhakmem-jemalloc.so.2, after libjemalloc.so.2.
libhakmem_jemalloc_la_LDFLAGS = -version-info 2:0:0 $(HAK_LDFLAGS) \
	-Wl,--version-script=%D%/jemalloc.map
libhakmem_jemalloc_la_LIBADD = libhakmem-core.la
EXTRA_libhakmem_jemalloc_la_DEPENDENCIES = %D%/jemalloc.map

noinst_HEADERS += \
	compat/arenas.h \
	compat/answers.h \
	compat/conf.h \
	compat/utilization.h \
	compat/value.h
EXTRA_DIST += \
	compat/conf.def \
	compat/names.def

# As <jemalloc/jemalloc.h>, with -I of the folder above.
jemallocdir = $(includedir)/hakmem-jemalloc/jemalloc
jemalloc_HEADERS = compat/jemalloc.h

# What hakmem exports, and jemalloc's names.
CLEANFILES += %D%/jemalloc.map
%D%/jemalloc.map: $(top_srcdir)/api/hakmem.map $(srcdir)/%D%/local.mk
	$(AM_V_GEN)$(MKDIR_P) %D% && $(SED) '/^  global:/a\
	    mallocx; rallocx; xallocx; sallocx; dallocx; sdallocx; nallocx; mallctl;\
	    mallctlnametomib; mallctlbymib; malloc_stats_print; malloc_conf; malloc_message;\
	    je_get_defrag_hint;' \
	  $(top_srcdir)/api/hakmem.map >$@.new && mv $@.new $@

# A folder for LD_LIBRARY_PATH, and for -L, in which the library has jemalloc's name.
install-exec-hook:
	$(MKDIR_P) $(DESTDIR)$(libdir)/hakmem-jemalloc
	cd $(DESTDIR)$(libdir)/hakmem-jemalloc && rm -f libjemalloc.so.2 libjemalloc.so && \
	  $(LN_S) ../libhakmem-jemalloc.so.2 libjemalloc.so.2 && \
	  $(LN_S) libjemalloc.so.2 libjemalloc.so
uninstall-hook:
	rm -f $(DESTDIR)$(libdir)/hakmem-jemalloc/libjemalloc.so.2 \
	  $(DESTDIR)$(libdir)/hakmem-jemalloc/libjemalloc.so
	-rmdir $(DESTDIR)$(libdir)/hakmem-jemalloc

# An archive for a program that keeps libc's malloc: all names with a prefix, all else hidden.
#     make prefixed PREFIX=je_
.PHONY: prefixed
prefixed: libhakmem-jemalloc.la
	@test -n '$(PREFIX)' || { echo 'make prefixed PREFIX=je_'; exit 1; }
	$(AM_V_at)CC='$(CC)' sh $(top_srcdir)/scripts/prefix-archive '$(PREFIX)' \
	  .libs/libhakmem-jemalloc.a libhakmem-jemalloc-prefixed.a
CLEANFILES += libhakmem-jemalloc-prefixed.a
