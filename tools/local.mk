# SPDX-License-Identifier: MIT
# The program hakmem: shows what the library sees, runs programs under it. A person of its own: it
# knows the library by hakmem.h alone.
#
# New subcommand: its file, its row in hakmem.c, its line here and in docs/hakmem.1.

bin_PROGRAMS += %D%/hakmem
%C%_hakmem_SOURCES = \
	%D%/hakmem.c \
	%D%/commands.h \
	%D%/topo.c \
	%D%/run.c \
	%D%/learn.c \
	%D%/learn.h \
	%D%/learn_replay.c \
	%D%/learn_report.c \
	%D%/learn_scan.c \
	%D%/learn_scan.h \
	%D%/learn_svg.c
%C%_hakmem_CPPFLAGS = $(AM_CPPFLAGS) -DHAK_LIBRARY_FOLDER='"$(libdir)"'
%C%_hakmem_LDADD = libhakmem.la
