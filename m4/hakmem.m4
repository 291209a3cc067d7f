# SPDX-License-Identifier: MIT
# The questions that configure.ac asks, one macro each.

# HAK_CHECK_HOST
# Linux on a 64-bit CPU whose words the front and the page map are cut for.
AC_DEFUN([HAK_CHECK_HOST], [
AS_CASE([$host_os], [linux*], [],
  [AC_MSG_ERROR([hakmem runs on Linux; this host is $host_os])])
AS_CASE([$host_cpu], [x86_64|aarch64], [],
  [AC_MSG_ERROR([hakmem knows x86_64 and aarch64; this host is $host_cpu])])
])

# HAK_CHECK_MODULE(VARIABLE, MODULE, NAME, DEBIAN-PACKAGE, FEDORA-PACKAGE)
# Sets VARIABLE_CFLAGS, VARIABLE_LIBS and VARIABLE_VERSION, or says what to install.
AC_DEFUN([HAK_CHECK_MODULE], [
PKG_CHECK_MODULES([$1], [$2], [$1_VERSION=`$PKG_CONFIG --modversion m4_bregexp([$2], [^[^ ]+], [\&])`],
  [AC_MSG_ERROR([$3 was not found ($2, by pkg-config):
    $$1[]_PKG_ERRORS
hakmem needs it. Install it:
    Debian, Ubuntu:  apt-get install $4
    Fedora:          dnf install $5
or let ./setup.sh run install all that is missing. If it stands in an unusual place,
add the folder of its .pc file to PKG_CONFIG_PATH.])])
])

# HAK_ARG_SWITCH(NAME, MACRO, HELP)
# --enable-NAME; MACRO in config.h is 0 or 1, so that C says `if (MACRO)` and compiles both ways.
AC_DEFUN([HAK_ARG_SWITCH], [
AC_ARG_ENABLE([$1], [AS_HELP_STRING([--enable-$1], [$3])], [], [enable_$1=no])
AS_CASE([$enable_$1],
  [yes], [hak_$1=yes; AC_DEFINE([$2], [1], [$3: 0 or 1])],
  [no], [hak_$1=no; AC_DEFINE([$2], [0])],
  [AC_MSG_ERROR([--enable-$1 takes yes or no, not $enable_$1])])
])

# HAK_ARG_SANITIZE
# --enable-sanitize=LIST of address, thread, undefined.
AC_DEFUN([HAK_ARG_SANITIZE], [
AC_ARG_ENABLE([sanitize],
  [AS_HELP_STRING([--enable-sanitize=LIST],
    [build with sanitizers: address, thread, undefined (comma between)])],
  [], [enable_sanitize=no])
hak_sanitize=
hak_override_malloc=1
AS_IF([test "x$enable_sanitize" != xno], [
  for hak_one in `AS_ECHO(["$enable_sanitize"]) | tr , ' '`; do
    AS_CASE([$hak_one], [address|thread|undefined], [],
      [AC_MSG_ERROR([--enable-sanitize knows address, thread and undefined, not $hak_one])])
  done
  AS_CASE([,$enable_sanitize,],
    [*,address,*,thread,*|*,thread,*,address,*],
    [AC_MSG_ERROR([address and thread sanitizers exclude each other: make two builds])])
  hak_sanitize=$enable_sanitize
  AS_CASE([$hak_sanitize], [*address*|*thread*], [hak_override_malloc=0])
])
AC_DEFINE_UNQUOTED([HAK_OVERRIDE_MALLOC], [$hak_override_malloc],
  [1: malloc and the rest are defined; 0: only hakmem_*, malloc being the sanitizer's])
AC_SUBST([HAK_SANITIZE], [$hak_sanitize])
])

# HAK_SET_FLAGS
# What every object is compiled with. The user's CFLAGS come after these and win.
#   -ftls-model     a general-dynamic access calls the loader, which may call malloc
#   -mcx16          the stack heads are {pointer, tag}: 16 bytes, one compare and exchange
#   -fno-builtin-*  or the compiler turns our calloc into a call of calloc, and drops
#                   the malloc+free pairs that a test is about
AC_DEFUN([HAK_SET_FLAGS], [
HAK_CFLAGS="-Wall -Wextra -fPIC -fvisibility=hidden -ftls-model=initial-exec"
for hak_one in malloc calloc realloc free; do
  HAK_CFLAGS="$HAK_CFLAGS -fno-builtin-$hak_one"
done
AS_CASE([$host_cpu], [x86_64], [HAK_CFLAGS="$HAK_CFLAGS -mcx16"])

# What is undefined ends the program, or no test would fail by it. Alignment is left out: liburcu
# places its reader records less aligned than their type says, and its inline functions are ours.
AS_CASE([$hak_sanitize], [*undefined*],
  [hak_undefined="-fno-sanitize=alignment -fno-sanitize-recover=undefined"],
  [hak_undefined=])

# A shared library must name all that it needs; under a sanitizer some of it is in the program.
# One mapping for code and constants instead of three: each costs every process a system call and a
# page fault or two.
HAK_LDFLAGS="-Wl,-z,nodelete -Wl,-z,now -Wl,-z,noseparate-code"
AS_IF([test -n "$hak_sanitize"],
  [HAK_CFLAGS="$HAK_CFLAGS -fsanitize=$hak_sanitize $hak_undefined -fno-omit-frame-pointer"],
  [HAK_LDFLAGS="$HAK_LDFLAGS -Wl,-z,defs"])

# -O2 -g is autoconf's own default; debug replaces it unless the user gave CFLAGS.
AS_IF([test "$hak_debug" = yes], [
  AS_IF([test "$CFLAGS" = "-g -O2"], [CFLAGS="-Og -g3"])
  AS_IF([test "$CXXFLAGS" = "-g -O2"], [CXXFLAGS="-Og -g3"])
])
AC_SUBST([HAK_CFLAGS])
AC_SUBST([HAK_LDFLAGS])
])
