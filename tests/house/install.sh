#!/bin/sh
# install.sh CMAKE BUILD SOURCES CC VERSION API - installs the build, moves what was installed elsewhere, and uses it there: a
# program made through pkg-config, one made through CMake's find_package, and the command with its bundled model.  A program
# built against it prints VERSION and twice API.  No text file that was installed names the sources, the build or the prefix.
set -eu
cmake=$1
build=$2
sources=$3
cc=$4
version=$5
api=$6
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
bad() {
    echo "$*"
    failures=$((failures + 1))
}

"$cmake" --install "$build" --prefix "$work/first" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
mv "$work/first" "$work/moved"
root=$work/moved
grep -r -l -I -F -e "$sources" -e "$build" -e "$work" "$root" >"$work/named" || true
[ ! -s "$work/named" ] || bad "names a folder of this machine: $(cat "$work/named")"

pc=$(find "$root" -name vkanim.pc)
[ "$pc" ] || { echo "vkanim.pc was not installed"; exit 1; }
PKG_CONFIG_PATH=${pc%/*}
export PKG_CONFIG_PATH
lib=$(dirname "${pc%/*}")
expected="$version $api $api"
# shellcheck disable=SC2046 # words
"$cc" -std=c11 -Wall -Werror -o "$work/with-pc" "$sources/tests/house/user/user.c" $(pkg-config --cflags --libs vkanim) ||
    bad "pkg-config's flags do not build a program"
[ "$(LD_LIBRARY_PATH=$lib "$work/with-pc")" = "$expected" ] || bad "the program made through pkg-config says something else"
[ "$(pkg-config --modversion vkanim) $(pkg-config --variable=api_version vkanim)" = "$version $api" ] || bad "vkanim.pc has other versions"

"$cmake" -S "$sources/tests/house/user" -B "$work/user" -DCMAKE_PREFIX_PATH="$root" -DCMAKE_C_COMPILER="$cc" >"$work/log" 2>&1 &&
    "$cmake" --build "$work/user" >>"$work/log" 2>&1 || { cat "$work/log"; bad "find_package(vkanim) does not build a program"; }
[ "$("$work/user/user")" = "$expected" ] || bad "the program made through CMake says something else"
# A version that is not there is not found: the file of versions does its work.
mkdir "$work/newer"
sed 's/find_package(vkanim 0.1 /find_package(vkanim 9.0 /' "$sources/tests/house/user/CMakeLists.txt" >"$work/newer/CMakeLists.txt"
cp "$sources/tests/house/user/user.c" "$work/newer"
if "$cmake" -S "$work/newer" -B "$work/newer/build" -DCMAKE_PREFIX_PATH="$root" -DCMAKE_C_COMPILER="$cc" >/dev/null 2>&1; then
    bad "find_package(vkanim 9.0) finds $version"
fi

# The command finds its library beside it, and its model; nothing of the machine's own installation or home.  Built for /usr it
# leaves the library to the loader.
runpath=$(readelf --dynamic --wide "$root/bin/vkanim" | sed -n 's/.*(RUNPATH).*\[\(.*\)\]/\1/p')
case $runpath in
'' | '$ORIGIN/'*) ;;
*) bad "the command's RUNPATH is $runpath" ;;
esac
vkanim() {
    env -i HOME=/nonexistent XDG_DATA_DIRS=/nonexistent VKANIM_CACHE_DIR="$work/cache" LD_LIBRARY_PATH="$([ "$runpath" ] || echo "$lib")" \
        "$root/bin/vkanim" "$@"
}
[ "$(vkanim --version)" = "vkanim $version" ] || bad "the installed command does not run"
vkanim models --json >"$work/models" || bad "the installed command lists no models"
grep -q "$root/bin/../share/vkanim/models/miniature" "$work/models" || bad "the installed command does not find the bundled model"
# And beside it, as in an archive that is unpacked anywhere.
mkdir "$work/flat"
cp "$root/bin/vkanim" "$work/flat"
cp -r "$root/share/vkanim/models" "$work/flat"
env -i HOME=/nonexistent XDG_DATA_DIRS=/nonexistent VKANIM_CACHE_DIR="$work/cache" LD_LIBRARY_PATH="$lib" "$work/flat/vkanim" \
    models --json >"$work/models" || bad "the command alone lists no models"
grep -q "$work/flat/models/miniature" "$work/models" || bad "the command does not find a model in a folder beside it"
[ -s "$root/share/man/man1/vkanim.1" ] || bad "the manual page was not installed"

echo "installed $(find "$root" -type f | wc -l) files: $failures objections"
[ "$failures" -eq 0 ]
