#!/usr/bin/env bash
# `make sandbox`: a shell in a VM with this checkout. A kernel and an image are made if they are missing.
#
#   scripts/sandbox.sh                       a shell, or the guest's name of itself when there is no terminal
#   CMD='cat /etc/os-release' scripts/sandbox.sh
set -euo pipefail

readonly top=$(cd "$(dirname "$0")/.." && pwd)
readonly bin=${BANGER_BIN:-$top/target/release}
readonly kernel=debian image=debian-bookworm
readonly include=ca-certificates,git,iproute2,less,procps,vim-tiny

say() { printf 'sandbox: %s\n' "$*" >&2; }

case $(dpkg --print-architecture 2>/dev/null || echo amd64) in
    arm64) readonly package=linux-image-cloud-arm64 ;;
    *) readonly package=linux-image-cloud-amd64 ;;
esac

if ! "$bin/banger" kernel show "$kernel" >/dev/null 2>&1; then
    say "importing a kernel from Debian's package $package (downloaded, not installed)"
    "$bin/banger" kernel import "$kernel" --package "$package"
fi
if ! "$bin/banger" image show "$image" >/dev/null 2>&1; then
    say "making the image $image with mmdebstrap (about a minute, once)"
    mmdebstrap --quiet --variant=minbase --include="$include" bookworm - | "$bin/banger" image import --name "$image" -
fi

cd "$top"
if [ -n "${CMD:-}" ]; then
    exec "$bin/banger" vm run --rm --image "$image" --kernel "$kernel" -- sh -c "$CMD"
elif [ -t 0 ] && [ -t 1 ]; then
    exec "$bin/banger" vm run --image "$image" --kernel "$kernel"
else
    exec "$bin/banger" vm run --rm --image "$image" --kernel "$kernel" -- sh -c 'uname -a; git status --short --branch'
fi
