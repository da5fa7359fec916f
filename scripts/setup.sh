#!/usr/bin/env bash
# Installs what building and testing banger needs and this host lacks, on Debian 12 or later and its kin.
#
#   scripts/setup.sh build|test|sandbox|kernel
#
# Says what it installs and why, asks nothing, and costs a fraction of a second when there is nothing to do.
set -euo pipefail

readonly MUSL_TARGET="$(uname -m)-unknown-linux-musl"

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# package|why|which purposes need it
packages() {
    cat <<'LIST'
gcc|compiles C, and links every Rust program|build test sandbox kernel
libc6-dev|links every program|build test sandbox kernel
musl-tools|builds the static guest agent|build test sandbox
git|reads the repository that goes into a guest|build test sandbox
qemu-system-x86|runs guests where Firecracker cannot|test sandbox
mmdebstrap|makes Debian images without root|test sandbox
e2fsprogs|checks the file systems that banger writes|test sandbox
busybox-static|is the smallest image that has a shell|test
zstd|packs and unpacks kernels|test kernel
xz-utils|packs images in tests, and unpacks kernel sources|test kernel
cpio|lists initrds in tests|test
nftables|filters what VMs send, by the root helper|test
iproute2|makes the network namespaces that the root helper is tested in|test
passt|leads the networks of plain users to the outside|test
openssl|makes the certificate of the registry that stories pull from|test
umoci|unpacks images as a container runtime does, to compare with|test
skopeo|puts images into registries and archives|test
docker-registry|is the registry that stories pull from|test
buildah|builds images of Dockerfiles|test
openssh-client|goes into VMs by ssh, scp and sftp|test
rsync|copies trees over SSH in tests|test
python3-venv|keeps what tests take from PyPI: SSH clients, generators of API clients|test
make|builds kernels|kernel
flex|makes the scanner that reads a kernel's options|kernel
bison|makes the parser that reads a kernel's options|kernel
bc|computes a kernel's time constants|kernel
libelf-dev|lets a kernel's build read its own objects|kernel
LIST
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo --preserve-env=DEBIAN_FRONTEND "$@"
    else
        die "needs root for: $* (no sudo here)"
    fi
}

install_packages() {
    local purpose=$1 name why purposes state installed
    local -a missing=()
    if ! command -v dpkg-query >/dev/null; then
        say "not a Debian host: make sure of $(packages | grep -w "$purpose" | cut -d'|' -f1 | paste -sd' ')"
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

add_musl_target() {
    local sysroot
    sysroot=$(rustc --print sysroot)
    [ -d "$sysroot/lib/rustlib/$MUSL_TARGET/lib" ] && return
    command -v rustup >/dev/null || die "rustc has no target $MUSL_TARGET, and there is no rustup to add it"
    say "adding the Rust target $MUSL_TARGET: the guest agent is static"
    rustup target add "$MUSL_TARGET"
}

# QEMU's microvm has no vsock device of its own that works without root; this daemon gives it Firecracker's kind.
install_vhost_device_vsock() {
    command -v vhost-device-vsock >/dev/null && return
    [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/vhost-device-vsock" ] && return
    say "installing vhost-device-vsock (cargo install, about two minutes): it connects QEMU guests"
    # From / so that no toolchain or configuration of this checkout applies.
    (cd / && cargo install --locked --quiet vhost-device-vsock)
}

main() {
    local purpose=${1:-build}
    case $purpose in
        build | test | sandbox) ;;
        kernel) install_packages kernel; return ;;
        *) die "usage: scripts/setup.sh build|test|sandbox|kernel" ;;
    esac
    command -v cargo >/dev/null || die "Rust is missing: install it with rustup, https://rustup.rs"
    install_packages "$purpose"
    add_musl_target
    case $purpose in
        test | sandbox) install_vhost_device_vsock ;;
    esac
}

main "$@"
