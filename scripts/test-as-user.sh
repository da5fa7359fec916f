#!/usr/bin/env bash
# `make test-as-user`: the scenarios as an ordinary user, without root's rights.
#
#   scripts/test-as-user.sh [NAME...]     those whose names contain one of NAME; all when there is none
#
# For root, a user is created, with a copy of the built programs, and removed at the end with all of its files. Other users run
# the scenarios as themselves.
set -euo pipefail

readonly TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly NAME=banger-tester

say() { printf 'test-as-user: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# What of target/ the scenarios need: the programs, the agent as it ships, and images that take minutes to make.
stories() {
    (cd "$TOP" && cargo test --workspace --test stories --no-run --message-format=json 2>/dev/null) |
        sed -n 's/.*"name":"stories".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1
}

# run BINARY NAME...: what the harness itself says counts.
run() {
    local binary=$1 failed=0
    shift
    if [ $# -eq 0 ]; then
        "$binary" || failed=1
    else
        for name in "$@"; do "$binary" "$name" || failed=1; done
    fi
    return "$failed"
}

if [ "$(id -u)" -ne 0 ]; then
    binary=$(stories)
    [ -x "$binary" ] || die "the scenarios were not built: make test-binaries"
    run "$binary" "$@"
    exit
fi

binary=$(stories)
[ -x "$binary" ] || die "the scenarios were not built: make test-binaries"
! id "$NAME" >/dev/null 2>&1 || die "user $NAME exists already, left by a killed run: userdel -r $NAME"

home=$(mktemp -d /var/tmp/banger-tester.XXXXXX)
# Nothing of the user's stays: processes, files, the account.
clean_up() {
    local code=$?
    trap - EXIT INT TERM
    if id "$NAME" >/dev/null 2>&1; then
        # By id, and only those of the user that was made here.
        for _ in 1 2 3 4 5; do
            pids=$(ps -o pid= -u "$NAME" || true)
            [ -n "$pids" ] || break
            # shellcheck disable=SC2086 # They are numbers.
            kill -KILL $pids 2>/dev/null || true
            sleep 0.2
        done
        userdel "$NAME" || code=1
        ! getent group "$NAME" >/dev/null || groupdel "$NAME" || code=1
    fi
    keep_evidence
    rm -rf "$home" || code=1
    [ ! -e "$home" ] || { say "left behind: $home"; code=1; }
    exit "$code"
}
# What failed scenarios left goes where those of root's leave theirs.
keep_evidence() {
    [ -d "$home/target/e2e/failed" ] || return 0
    mkdir -p "$TOP/target/e2e/failed-as-user"
    cp -a --no-preserve=ownership "$home/target/e2e/failed/." "$TOP/target/e2e/failed-as-user/" || true
    say "evidence of failed scenarios is in target/e2e/failed-as-user"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

useradd --home-dir "$home" --no-create-home --shell /bin/bash --user-group "$NAME"
for device in /dev/kvm; do
    # The group of the device, as an installer of KVM gives it.
    [ ! -e "$device" ] || { group=$(stat -c %G "$device"); [ "$group" = root ] || usermod -aG "$group" "$NAME"; }
done
musl=$(uname -m)-unknown-linux-musl
mkdir -p "$home/target/debug/deps" "$home/target/$musl/agent" "$home/target/e2e" "$home/.cargo/bin" "$home/bin"
cp --reflink=auto "$binary" "$home/target/debug/deps/"
for program in banger bangerd banger-root banger-fake-guest banger-vsock-agent banger-hostile-guest; do
    [ ! -e "$TOP/target/debug/$program" ] || cp --reflink=auto "$TOP/target/debug/$program" "$home/target/debug/"
done
cp --reflink=auto "$TOP/target/$musl/agent/banger-vsock-agent" "$home/target/$musl/agent/"
# Images of Debian, which are made without any of root's rights as well, but in minutes.
for tar in "$TOP"/target/e2e/*.tar; do
    [ ! -e "$tar" ] || cp --reflink=auto "$tar" "$home/target/e2e/"
done
if [ -e "$TOP/target/e2e/vmlinux-test" ]; then
    cp --reflink=auto "$TOP/target/e2e/vmlinux-test" "$home/target/e2e/"
    export BANGER_TEST_KERNEL=$home/target/e2e/vmlinux-test
fi
# Programs that lie where only root may go.
for program in firecracker vhost-device-vsock; do
    found=$(PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin command -v "$program" || true)
    [ -z "$found" ] || cp --dereference --reflink=auto "$found" "$home/bin/"
done
chown -R "$NAME:$NAME" "$home"
chmod 700 "$home"
say "running the scenarios as $NAME (uid $(id -u "$NAME")), in $home"
cd "$home"
environment=(HOME="$home" CARGO_TARGET_DIR="$home/target" USER="$NAME" LOGNAME="$NAME" PATH="$home/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" LANG=C.UTF-8)
for name in BANGER_TEST_KERNEL BANGER_TEST_KERNEL_APPEND BANGER_REQUIRE; do
    [ -z "${!name:-}" ] || environment+=("$name=${!name}")
done
setpriv --reuid "$NAME" --regid "$NAME" --init-groups -- env -i "${environment[@]}" \
    bash -c "$(declare -f run)"$'\n''run "$@"' run "$home/target/debug/deps/$(basename "$binary")" "$@"
