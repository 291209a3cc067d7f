# SPDX-License-Identifier: MIT
# The program hakmem: shows what the library sees, runs programs under it. It uses the library only
# through hakmem.h, but for the layout of what processes publish.
#
# A new subcommand needs a file, a row in hakmem.c, a line here and one in docs/hakmem.1.

bin_PROGRAMS += %D%/hakmem
%C%_hakmem_SOURCES = \
	%D%/hakmem.c \
	%D%/commands.h \
	%D%/topo.c \
	%D%/run.c \
	%D%/lists.c \
	%D%/learn.c \
	%D%/profile.c \
	%D%/page.c \
	%D%/page.h \
	%D%/stat.c \
	%D%/pictures.c
%C%_hakmem_CPPFLAGS = $(AM_CPPFLAGS) -DHAK_LIBRARY_FOLDER='"$(libdir)"' \
	-DHAK_SCRIPT_FOLDER='"$(pkgdatadir)"'
# What reads the tables of another process is the code that writes them here.
%C%_hakmem_LDADD = libhakmem-core.la libhakmem.la $(NUMA_LIBS) -lm

# Reports and pictures. Before installation the scripts are beside the program.
dist_pkgdata_DATA = %D%/pictures.py %D%/profile.py %D%/live.py %D%/hakmem-gdb.py

# gdb loads it with the library from the folder that mirrors where that lies.
install-data-hook:
	name=`$(SED) -n "s/^library_names='\([^ ]*\).*/\1/p" libhakmem.la` && \
	folder="$(DESTDIR)$(datadir)/gdb/auto-load$(libdir)" && \
	$(MKDIR_P) "$$folder" && \
	$(INSTALL_DATA) $(srcdir)/%D%/hakmem-gdb.py "$$folder/$$name-gdb.py"
uninstall-local:
	rm -f "$(DESTDIR)$(datadir)/gdb/auto-load$(libdir)"/libhakmem.so.*-gdb.py
noinst_DATA = %D%/scripts.stamp
CLEANFILES += %D%/scripts.stamp
%D%/scripts.stamp: $(srcdir)/%D%/pictures.py $(srcdir)/%D%/profile.py $(srcdir)/%D%/live.py
	$(AM_V_at)test "$(srcdir)" -ef . || \
	  cp -f $(srcdir)/%D%/pictures.py $(srcdir)/%D%/profile.py $(srcdir)/%D%/live.py %D%/
	$(AM_V_at)touch $@
distclean-local: distclean-pictures
distclean-pictures:
	test "$(srcdir)" -ef . || rm -f %D%/pictures.py %D%/profile.py %D%/live.py

# Completion, where bash looks for it.
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = %D%/completion/hakmem
