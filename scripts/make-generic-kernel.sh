#!/usr/bin/env bash
# Builds generic-6.12, a guest kernel with everything built in, from configs/generic-6.12.config.
#
#   scripts/make-generic-kernel.sh [--out DIR] [--source DIR|TARBALL] [--sha256 HEX] [--jobs N]
#
# --help describes the options; docs/generic-kernel.md describes the kernel.
set -euo pipefail

readonly REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly FRAGMENT=$REPO/configs/generic-6.12.config
readonly SERIES=6.12
readonly PACKAGE=linux-source-$SERIES
readonly NAME=generic-$SERIES

say() { printf 'generic-kernel: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

usage() {
    cat <<HELP
Builds $NAME: a guest kernel for Firecracker and QEMU microvm, with everything built in.

Usage: scripts/make-generic-kernel.sh [OPTIONS]

  --out DIR       Directory for vmlinux, bzImage and config (default: target/kernel); DIR/work keeps
                  sources and objects, 2.5 GB, so that a second run builds only what changed
  --source WHAT   Sources of Linux $SERIES: a directory, which is used as it is, or a tarball,
                  which needs --sha256 (default: Debian's package $PACKAGE, which apt
                  downloads and verifies; it is not installed)
  --sha256 HEX    The tarball's SHA-256
  --jobs N        Number of compilers at once (default: one for each CPU, $(nproc))
  -h, --help      Print this

Missing packages are installed
(scripts/setup.sh kernel).
HELP
}

OUT=$REPO/target/kernel SOURCE='' SHA256='' JOBS=$(nproc)

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) usage; exit ;;
            --out | --source | --sha256 | --jobs) [ $# -ge 2 ] || die "$1 needs a value" ;;
            *) die "unknown argument $1; see --help" ;;
        esac
        case $1 in
            --out) OUT=$2 ;;
            --source) SOURCE=$2 ;;
            --sha256) SHA256=${2,,} ;;
            --jobs) JOBS=$2 ;;
        esac
        shift 2
    done
    [[ $JOBS =~ ^[1-9][0-9]*$ ]] || die "invalid --jobs $JOBS: use a number of at least 1"
    [[ -z $SHA256 || $SHA256 =~ ^[0-9a-f]{64}$ ]] || die "invalid --sha256: use 64 hexadecimal digits"
    [ -z "$SOURCE" ] || [ -e "$SOURCE" ] || die "--source $SOURCE does not exist"
    if [ -n "$SOURCE" ] && [ ! -d "$SOURCE" ]; then
        [ -n "$SHA256" ] || die "--source with a tarball needs --sha256, which verifies it"
    else
        [ -z "$SHA256" ] || die "--sha256 is for a tarball"
    fi
    [ "$(uname -m)" = x86_64 ] || die "this script builds on x86_64, for x86_64"
}

# unpack WHAT COMMAND...: has COMMAND write a tar of sources, and unpacks it to work/source unless WHAT is there already.
unpack() {
    local what=$1 tree=$WORK/source
    shift
    [ "$(cat "$tree.from" 2>/dev/null)" != "$what" ] || return 0
    say "unpacking $what"
    rm -rf "$tree" "$tree.new" "$tree.from" "$WORK/build"
    mkdir -p "$tree.new"
    "$@" | tar -x --no-same-owner --strip-components=1 -C "$tree.new"
    mv "$tree.new" "$tree"
    printf '%s\n' "$what" >"$tree.from"
}

debian_tar() { dpkg-deb --fsys-tarfile "$1" | tar -xO "./usr/src/$PACKAGE.tar.xz" | xz -dc; }

tarball_tar() {
    case $1 in
        *.xz) xz -dc "$1" ;;
        *.gz | *.tgz) gzip -dc "$1" ;;
        *.zst) zstd -dc "$1" ;;
        *) cat "$1" ;;
    esac
}

# Leaves the sources' directory in TREE.
get_sources() {
    local version digest
    local -a found
    TREE=$WORK/source
    if [ -d "$SOURCE" ]; then
        TREE=$(cd "$SOURCE" && pwd)
        say "building from $TREE as it is, without verification"
    elif [ -n "$SOURCE" ]; then
        digest=$(sha256sum "$SOURCE" | cut -d' ' -f1)
        [ "$digest" = "$SHA256" ] || die "$SOURCE has SHA-256 $digest, not $SHA256"
        unpack "$(basename "$SOURCE") $digest" tarball_tar "$SOURCE"
    else
        command -v apt-get >/dev/null || die "apt is not installed: use --source and --sha256 with a kernel.org tarball"
        version=$(apt-cache policy "$PACKAGE" | sed -n 's/^  Candidate: //p')
        [[ -n $version && $version != '(none)' ]] ||
            die "apt has no $PACKAGE (Debian 12 has it in its updates): run apt-get update, or use --source"
        if [ "$(cat "$TREE.from" 2>/dev/null)" != "$PACKAGE $version" ]; then
            say "downloading $PACKAGE $version (150 MB): the sources; apt verifies them"
            rm -f "$WORK/$PACKAGE"_*.deb
            (cd "$WORK" && apt-get download -qq -o APT::Sandbox::User=root "$PACKAGE=$version")
            found=("$WORK/$PACKAGE"_*.deb)
            unpack "$PACKAGE $version" debian_tar "${found[0]}"
            rm -f "${found[@]}"
        fi
    fi
    [[ $(sed -n 's/^VERSION = //p;s/^PATCHLEVEL = //p' "$TREE/Makefile" 2>/dev/null | paste -sd.) = "$SERIES" ]] ||
        die "$TREE does not contain Linux $SERIES"
}

# Only these variables reach the build, whoever calls: that and the compiler is all that its bytes depend on.
kmake() {
    env -u MAKEFLAGS -u MFLAGS -u KCFLAGS -u KCPPFLAGS -u KAFLAGS -u CROSS_COMPILE -u LLVM \
        LC_ALL=C TZ=UTC LOCALVERSION= \
        KBUILD_BUILD_TIMESTAMP='Wed Jan  1 00:00:00 UTC 2025' KBUILD_BUILD_VERSION=1 \
        KBUILD_BUILD_USER=banger KBUILD_BUILD_HOST=banger \
        make -C "$TREE" O="$WORK/build" ARCH=x86_64 "$@"
}

# Prints the fragment's lines that are not so in the configuration.
unmet() {
    local line option
    while IFS= read -r line; do
        case $line in
            CONFIG_*=*) grep -qxF -- "$line" "$1" || printf '%s\n' "$line" ;;
            '# CONFIG_'*' is not set')
                option=${line#\# }
                ! grep -q "^${option%% *}=" "$1" || printf '%s\n' "$line"
                ;;
        esac
    done <"$FRAGMENT"
}

configure() {
    local lines
    say "configuring: allnoconfig and $(basename "$FRAGMENT")"
    # KCONFIG_ALLCONFIG is read again by each run, so a changed fragment counts; the build sees what it changes.
    KCONFIG_ALLCONFIG=$FRAGMENT kmake -s allnoconfig
    lines=$(unmet "$WORK/build/.config")
    [ -z "$lines" ] || die "these lines of $FRAGMENT did not take effect (a dependency is off, or the option no longer exists):
$lines"
}

build() {
    say "building with $JOBS compilers at once: log in $WORK/build.log"
    if ! kmake -j"$JOBS" vmlinux bzImage >"$WORK/build.log" 2>&1; then
        tail -n 30 "$WORK/build.log" >&2
        die "the build failed; the end of its log is above"
    fi
    # A VMM loads segments only. Symbols would double the file, and the kernel has its own table for its reports.
    strip -s -o "$WORK/vmlinux" "$WORK/build/vmlinux"
    readelf -Wn "$WORK/vmlinux" | grep -q '^ *Xen .*0x00000012' || die "vmlinux has no PVH note: no VMM could start it"
    install -m 644 "$WORK/vmlinux" "$WORK/build/arch/x86/boot/bzImage" "$OUT/"
    install -m 644 "$WORK/build/.config" "$OUT/config"
}

main() {
    parse "$@"
    "$REPO/scripts/setup.sh" kernel
    mkdir -p "$OUT/work"
    OUT=$(cd "$OUT" && pwd)
    WORK=$OUT/work
    get_sources
    configure
    build
    say "built Linux $(<"$WORK/build/include/config/kernel.release"):"
    (cd "$OUT" && for file in vmlinux bzImage config; do
        printf '  %s  %9d  %s\n' "$(sha256sum <"$file" | cut -c1-64)" "$(stat -c %s "$file")" "$OUT/$file"
    done) >&2
    say "import it with"
    printf 'banger kernel import %s --vmlinux %q --config %q\n' "$NAME" "$OUT/vmlinux" "$OUT/config"
}

main "$@"
