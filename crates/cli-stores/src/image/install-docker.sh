#!/bin/sh
# Installs Docker from the image's own distribution, for `banger image build --docker`. No service is started here: what
# Docker stores belongs on the disk of each VM, not into the image.
set -eu
# Standard output is for who asked for the image.
exec >&2

say() { echo "install-docker: $*" >&2; }

with_apt() {
    export DEBIAN_FRONTEND=noninteractive
    # Debian's policy layer: 101 forbids the start of services (invoke-rc.d).
    policy=/usr/sbin/policy-rc.d
    if ! [ -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    apt-get update
    # Without apparmor's parser, no container starts on a kernel that has AppArmor.
    apt-get install -y --no-install-recommends docker.io ca-certificates iptables apparmor
    # Later releases have the client in a package of its own.
    command -v docker >/dev/null || apt-get install -y --no-install-recommends docker-cli
    apt-get clean
    rm -rf /var/lib/apt/lists/*
}

with_apk() {
    apk add --no-cache docker
    if [ -x /sbin/rc-update ]; then
        rc-update add docker default
    fi
}

with_dnf() {
    dnf -y install moby-engine || dnf -y install docker
    dnf clean all
    if [ -d /etc/systemd/system ]; then
        systemctl enable docker
    fi
}

if command -v dockerd >/dev/null; then
    say "the image has Docker already"
elif command -v apt-get >/dev/null; then
    with_apt
elif command -v apk >/dev/null; then
    with_apk
elif command -v dnf >/dev/null; then
    with_dnf
else
    say "the image has none of apt-get, apk, dnf; install Docker by a script of your own (--script)"
    exit 1
fi
docker --version
dockerd --version
