#!/bin/sh
# headers.sh SOURCES CC [CXX] - each public header compiles alone, as C11 and as C++11 and C++17, without a warning, and the
# example on top of vkanim.h as C11.  Shown a broken header first, the compilers must object.
set -eu
sources=$1
cc=$2
cxx=${3:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

as_c() { "$cc" -std=c11 -Wall -Wextra -Wpedantic -Wstrict-prototypes -Werror -fsyntax-only -I"$sources/include" -x c "$1"; }
as_cxx() {
    for standard in c++11 c++17; do
        "$cxx" -std=$standard -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$sources/include" -x c++ "$1" || return 1
    done
}
works_as_cxx() { echo 'static_assert(true, "");' >"$work/probe.cc" && "$1" -std=c++17 -fsyntax-only -x c++ "$work/probe.cc" 2>/dev/null; }

for candidate in $cxx c++ g++ clang++ "$cc" clang; do
    if command -v "$candidate" >/dev/null && works_as_cxx "$candidate"; then
        cxx=$candidate
        break
    fi
    cxx=
done
[ -n "$cxx" ] || echo "no C++ compiler here: headers are tried as C only"

object() {
    echo "$1"
    failures=$((failures + 1))
}

printf 'struct broken { };;\nint f() { retrun 0; }\n' >"$work/broken.h"
if as_c "$work/broken.h" 2>/dev/null; then echo "$cc accepts anything"; exit 1; fi
if [ -n "$cxx" ] && as_cxx "$work/broken.h" 2>/dev/null; then echo "$cxx accepts anything"; exit 1; fi

count=0
for header in "$sources"/include/vkanim/*.h; do
    name=${header##*/}
    printf '#include <vkanim/%s>\n#include <vkanim/%s>\nextern int nothing;\n' "$name" "$name" >"$work/one"
    as_c "$work/one" || object "$name: not clean as C"
    [ -z "$cxx" ] || as_cxx "$work/one" || object "$name: not clean as C++"
    count=$((count + 1))
done
[ "$count" -ge 3 ] || { echo "only $count public headers were found"; exit 1; }

# The example: the lines of the first comment that are indented by five blanks.
{
    printf '#include <stdio.h>\n#include <vkanim/vkanim.h>\nint main(void)\n{\n'
    sed -n '/^ \*     /s/^ \*     //p; /\*\//q' "$sources/include/vkanim/vkanim.h"
    printf 'return 0;\n}\n'
} >"$work/example"
grep -q vka_render "$work/example" || { echo "vkanim.h has lost its example"; exit 1; }
as_c "$work/example" || object "the example in vkanim.h: not clean"
echo "$count headers as C with $cc${cxx:+ and as C++ with $cxx}, and the example: $failures not clean"
[ "$failures" -eq 0 ]
