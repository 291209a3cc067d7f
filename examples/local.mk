# SPDX-License-Identifier: MIT
# Programs that show how the library is used; `make check` builds and runs them (tests/conform/
# examples.sh), sqlite where SQLite's header is.
check_PROGRAMS += %D%/buffer_pool
%C%_buffer_pool_SOURCES = %D%/buffer_pool.c
%C%_buffer_pool_LDADD = libhakmem.la -lpthread
%C%_buffer_pool_LDFLAGS = -no-install
EXTRA_DIST += \
	%D%/Containerfile \
	%D%/sqlite.c \
	%D%/systemd/mariadb.conf \
	%D%/systemd/postgresql.conf \
	%D%/systemd/redis-server.conf
