# root.sh - what the rigs share: building, and running programs inside another system's root.
#
# Sourced by a rig that has set `name` (its own), `source` (the checkout), `root` (a folder, or empty: this system) and `build`.
# Every file lies in the root where it lies here, so that paths built into the tests hold there too.
# shellcheck shell=sh disable=SC2154

say() { printf '%s\n' "$*" >&2; }
die() {
    say "$name: $*"
    exit 2
}

rig_folders() { # makes $build and $out, and names all folders from the root of the file system
    mkdir -p "$build" "$out"
    build=$(CDPATH='' cd -- "$build" && pwd)
    out=$(CDPATH='' cd -- "$out" && pwd)
    [ -z "$root" ] || root=$(mkdir -p "$root" && CDPATH='' cd -- "$root" && pwd)
}

# ---- a root -----------------------------------------------------------------------------------------------------------

# What programs of the rigs need of Debian forky: Mesa's drivers and stand-ins, layers that know matrices, a SPIR-V checker.
root_packages=mesa-vulkan-drivers,mesa-drm-shim,libvulkan1,vulkan-validationlayers,spirv-tools

root_make() { # makes $root, unless it is there; from $DEBIAN_MIRROR, or the mirror that debootstrap takes by itself
    [ "$root" ] || die "--make wants --root"
    [ ! -e "$root/usr/share/vulkan/icd.d" ] || return 0
    [ "$(id -u)" = 0 ] || die "making a root takes root's rights"
    command -v debootstrap >/dev/null || die "debootstrap is missing (apt-get install debootstrap)"
    # the script is named, since an older debootstrap does not know the suite
    say "$name: making a root of Debian forky in $root"
    started=$(date +%s)
    # for an empty name of a mirror debootstrap takes its own
    debootstrap --variant=minbase --include="$root_packages" forky "$root" "${DEBIAN_MIRROR:-}" \
        /usr/share/debootstrap/scripts/sid >"$build/root.log" 2>&1 || die "debootstrap failed, see $build/root.log"
    say "$name: made in $(($(date +%s) - started)) s"
}

# ---- programs and files -----------------------------------------------------------------------------------------------

rig_build() { # TARGET...: with the kernels of matrix units, where a glslang is there that compiles them
    cmake=$(command -v cmake) && "$cmake" --version >/dev/null 2>&1 || cmake=/usr/bin/cmake # some have a broken one in front
    glslang=$("$source/scripts/newer-glslang" --which) || glslang=''
    "$cmake" -G Ninja -S "$source" -B "$build" -DVKANIM_FFMPEG=OFF -DVKANIM_TESTS=ON ${glslang:+"-DGLSLANG=$glslang"} \
        >"$build/rigs.log" 2>&1 || die "cmake failed, see $build/rigs.log"
    "$cmake" --build "$build" --parallel "$(getconf _NPROCESSORS_ONLN)" --target "$@" >>"$build/rigs.log" 2>&1 ||
        die "the build failed, see $build/rigs.log"
}

rig_carry() { # PATH...: files and folders into the root, with the libraries that programs need and the root lacks
    [ "$root" ] || return 0
    mkdir -p "$root$build/rig-libraries" "$root/proc" "$root/tmp"
    [ -e "$root/proc/self" ] || mount -t proc proc "$root/proc" || say "$name: going on without /proc in $root"
    for path in "$@"; do
        mkdir -p "$root$(dirname "$path")"
        rm -rf "$root${path:?}"
        cp -r "$path" "$root$path"
    done
    for path in "$@"; do
        [ -f "$path" ] && [ -x "$path" ] && ldd "$path"
    done | sed -n 's/^[[:space:]]*\([^ ]*\) => \(\/[^ ]*\) .*/\1 \2/p' | sort -u |
        while read -r library path; do
            case $library in libc.so* | libm.so* | ld-linux*) continue ;; esac # nor its drivers
            found=$(find "$root/lib/" "$root/usr/lib" -maxdepth 2 -name "$library" 2>/dev/null | head -n 1)
            [ "$found" ] || cp -L "$path" "$root$build/rig-libraries/"
        done
}

inside() { # [NAME=VALUE...] COMMAND...
    if [ "$root" ]; then
        chroot "$root" env -i PATH=/usr/bin:/bin HOME=/tmp LD_LIBRARY_PATH="$build/rig-libraries" "$@"
    else
        env "$@"
    fi
}

find_one() { # PATTERN...: the first file, as the root sees it
    for pattern in "$@"; do
        for file in "$root"$pattern; do
            [ -e "$file" ] && printf '%s\n' "${file#"$root"}" && return 0
        done
    done
    return 1
}
