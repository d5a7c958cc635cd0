#!/bin/sh
# debian.sh SOURCES VERSION SOVERSION - what packaging/debian says twice: its changelog has the project's version, and the symbols
# file of libvkanim0 has exactly the functions that the public headers declare with VKA_API, under the library's version node.
# A function that is new there gets the version of the package that it first comes with.
set -eu
sources=$1
version=$2
soversion=$3
debian=$sources/packaging/debian
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
LC_ALL=C
export LC_ALL

compare() { # HEADERS SYMBOLS
    cat "$1"/*.h | sed -n "s/^VKA_API .*[ *]\(vka_[a-z0-9_]*\)(.*/\1@VKANIM_$soversion/p" | sort -u >"$work/declared"
    sed -n 's/^ \([^ ]*\) [0-9][0-9.]*$/\1/p' "$2" | grep -v "^VKANIM_$soversion@" | sort >"$work/listed"
    [ "$(wc -l <"$work/declared")" -gt 10 ] || { echo "$1 declares hardly anything"; return 1; }
    diff "$work/declared" "$work/listed"
}
# Shown a list that lacks one, it must object.
sed '/ vka_render@/d' "$debian/libvkanim0.symbols" >"$work/less"
if compare "$sources/include/vkanim" "$work/less" >/dev/null; then
    echo "a function that is missing is not seen"
    exit 1
fi
compare "$sources/include/vkanim" "$debian/libvkanim0.symbols" || {
    echo "declared in the public headers (<) against packaging/debian/libvkanim0.symbols (>), see above"
    exit 1
}
grep -q "^libvkanim\.so\.$soversion libvkanim$soversion #MINVER#\$" "$debian/libvkanim0.symbols"
sed -n 1p "$debian/changelog" | grep -q "^vkanim ($version-[0-9][^)]*) " || {
    echo "the newest entry of packaging/debian/changelog is not for version $version"
    exit 1
}
echo "$(wc -l <"$work/listed") functions in the symbols file, changelog of $version"
