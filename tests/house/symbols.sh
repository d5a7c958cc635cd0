#!/bin/sh
# symbols.sh STATIC SHARED INCLUDE SOVERSION - what the libraries show.  Every global name of the static library starts with vka_;
# volk's (vk..., volk...) must be hidden, so that another volk in the same process stays apart.  The shared library exports
# exactly the functions that the public headers declare with VKA_API, all under the version node VKANIM_SOVERSION, and the
# list in version.h knows how many they are.
set -eu
static=$1
shared=$2
include=$3
soversion=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
LC_ALL=C
export LC_ALL

# readelf's columns: number, value, size, type, binding, visibility, section, name
readelf --syms --wide "$static" |
    awk '($5 == "GLOBAL" || $5 == "WEAK") && $7 != "UND" { print $8, $6 }' | sort -u >"$work/static"
[ "$(wc -l <"$work/static")" -gt 100 ] || { echo "$static has hardly any symbols"; exit 1; }
grep -q '^volkInitialize HIDDEN$' "$work/static" || { echo "$static: volk was not found, or is not hidden"; exit 1; }
bad=$(grep -v -e '^vka_[a-z0-9_]* ' -e '^vk[A-Z][A-Za-z0-9_]* HIDDEN$' -e '^volk[A-Z][A-Za-z0-9_]* HIDDEN$' "$work/static" || true)
if [ -n "$bad" ]; then
    echo "$static has global names that do not start with vka_:"
    echo "$bad"
    exit 1
fi

nm --dynamic --defined-only "$shared" | awk '$2 != "A" { print $3 }' | sort -u >"$work/exported"
cat "$include"/vkanim/*.h | sed -n "s/^VKA_API .*[ *]\(vka_[a-z0-9_]*\)(.*/\1@@VKANIM_$soversion/p" | sort -u >"$work/declared"
[ "$(wc -l <"$work/declared")" -gt 10 ] || { echo "$include declares hardly anything"; exit 1; }
if ! diff "$work/declared" "$work/exported" >"$work/diff"; then
    echo "declared in the public headers (<) against exported by $shared (>):"
    cat "$work/diff"
    exit 1
fi
# The list of changes cannot be forgotten: it ends with the number of functions that a program may call.
number=$(sed -n 's/^#define VKA_API_VERSION //p' "$include/vkanim/version.h")
functions=$(grep -c '^VKA_API ' "$include/vkanim/vkanim.h")
grep -q "With number $number there are $functions functions\." "$include/vkanim/version.h" || {
    echo "vkanim.h declares $functions functions, and version.h says something else of number $number: add a line to its list"
    exit 1
}
readelf --dynamic --wide "$shared" | grep -q "(SONAME) .*\[libvkanim\.so\.$soversion\]" || {
    echo "$shared: its SONAME is not libvkanim.so.$soversion"
    exit 1
}
echo "$(wc -l <"$work/static") names in the static library, $(wc -l <"$work/exported") exported"
