#!/usr/bin/env bash
# Installs missing packages for building and testing banger, on Debian 12 or later and its derivatives.
#
#   scripts/setup.sh build|quick|test|sandbox|kernel|deny
#
# Prints what it installs and why, asks nothing, and takes a fraction of a second when there is nothing to do.
set -euo pipefail

readonly MUSL_TARGET="$(uname -m)-unknown-linux-musl"
readonly NEXTEST=0.9.143 DENY=0.19.0
readonly TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# package|why|which purposes need it
packages() {
    cat <<'LIST'
gcc|compiles C, and links every Rust program|build quick test sandbox kernel
libc6-dev|links every program|build quick test sandbox kernel
musl-tools|builds the static guest agent|build quick test sandbox
git|reads the repository that goes into a guest|build quick test sandbox
qemu-system-x86|runs guests where Firecracker cannot|test sandbox
mmdebstrap|makes Debian images without root|test sandbox
e2fsprogs|checks the file systems that banger writes|test sandbox
busybox-static|is the smallest image that has a shell|test
zstd|packs and unpacks kernels|test kernel
xz-utils|packs images in tests, and unpacks kernel sources|test kernel
cpio|lists initrds in tests|test
nftables|filters VM traffic, for the root helper|test
iproute2|makes the network namespaces for tests of the root helper|test
passt|connects rootless networks to the outside|test
openssl|makes the certificate of the scenarios' registry|test
umoci|unpacks images as a container runtime does, for comparison|test
skopeo|puts images into registries and archives|test
docker-registry|is the scenarios' registry|test
buildah|builds images of Dockerfiles|test
openssh-client|connects to VMs by ssh, scp and sftp|test
rsync|copies trees over SSH in tests|test
man-db|shows manual pages in tests|test
zsh|completes commands in tests|test
fish|completes commands in tests|test
python3-venv|holds the tests' Python packages: SSH clients, generators of API clients|test
make|builds kernels|kernel
flex|makes the scanner that reads a kernel's options|kernel
bison|makes the parser that reads a kernel's options|kernel
bc|computes a kernel's time constants|kernel
libelf-dev|reads object files in a kernel's build|kernel
LIST
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo --preserve-env=DEBIAN_FRONTEND "$@"
    else
        die "root is needed for: $* (sudo is not installed)"
    fi
}

install_packages() {
    local purpose=$1 name why purposes state installed
    local -a missing=()
    if ! command -v dpkg-query >/dev/null; then
        say "not a Debian host: install the equivalents of these packages yourself: $(packages | grep -w "$purpose" | cut -d'|' -f1 | paste -sd' ')"
        return
    fi
    installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' | sed -n 's/ installed$//p')
    while IFS='|' read -r name why purposes; do
        [[ " $purposes " == *" $purpose "* ]] || continue
        grep -qxF "$name" <<<"$installed" && continue
        say "installing $name: it $why"
        missing+=("$name")
    done < <(packages)
    [ "${#missing[@]}" -gt 0 ] || return 0
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get update -qq
    as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# rust-toolchain.toml names a version. A rustup that has it under another name, as `stable`, would fetch it once more, which
# not every host can; the version's name leads to what is there.
link_toolchain() {
    local wanted there home host
    command -v rustup >/dev/null || return 0
    wanted=$(sed -n 's/^channel = "\(.*\)"$/\1/p' "$TOP/rust-toolchain.toml")
    rustup toolchain list | grep -q "^$wanted" && return
    there=$(cd / && rustc --version | cut -d' ' -f2) || return 0
    [ "$there" = "$wanted" ] || return 0
    home=${RUSTUP_HOME:-$HOME/.rustup}
    host=$(cd / && rustc -vV | sed -n 's/^host: //p')
    say "linking the installed Rust $wanted to the name in rust-toolchain.toml"
    ln -s "$(cd / && rustc --print sysroot)" "$home/toolchains/$wanted-$host"
}

has_musl_target() {
    [ -d "$(cd "$TOP" && rustc --print sysroot)/lib/rustlib/$MUSL_TARGET/lib" ]
}

add_musl_target() {
    has_musl_target && return
    command -v rustup >/dev/null || die "rustc has no target $MUSL_TARGET, and there is no rustup to add it"
    say "adding the Rust target $MUSL_TARGET: the guest agent is static"
    # A toolchain that is a link is the default one under another name.
    (cd "$TOP" && rustup target add "$MUSL_TARGET") || (cd / && rustup target add "$MUSL_TARGET")
    has_musl_target || die "rustc has no target $MUSL_TARGET"
}

# install_tool PROGRAM PACKAGE VERSION WHY: with cargo, from / so that no toolchain or configuration of this checkout applies.
install_tool() {
    command -v "$1" >/dev/null && return
    [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/$1" ] && return
    say "installing $2 $3 (cargo install, some minutes): it $4"
    (cd / && cargo install --locked --quiet "$2" --version "$3")
}

main() {
    local purpose=${1:-build}
    case $purpose in
        build | quick | test | sandbox) ;;
        kernel) install_packages kernel; return ;;
        deny) install_tool cargo-deny cargo-deny "$DENY" "checks licenses and advisories of dependencies"; return ;;
        *) die "usage: scripts/setup.sh build|quick|test|sandbox|kernel|deny" ;;
    esac
    command -v cargo >/dev/null || die "Rust is missing: install it with rustup, https://rustup.rs"
    install_packages "$purpose"
    link_toolchain
    add_musl_target
    case $purpose in
        quick) install_tool cargo-nextest cargo-nextest "$NEXTEST" "runs the tests" ;;
    esac
    case $purpose in
        # QEMU's microvm has no vsock device of its own that works without root; this gives it Firecracker's kind.
        test | sandbox) install_tool vhost-device-vsock vhost-device-vsock 0.3.0 "connects QEMU guests" ;;
    esac
}

main "$@"
