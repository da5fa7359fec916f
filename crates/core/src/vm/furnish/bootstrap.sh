# Prepares a checkout in a guest, for `banger vm run`: the tools that the repository names, then its post-create commands,
# which follow this text. Runs as root, in the checkout.
set -eu

say() { printf 'bootstrap: %s\n' "$*"; }

get_mise() {
    say "installing mise"
    if command -v curl >/dev/null; then
        curl -fsSL https://mise.run | sh
    elif command -v wget >/dev/null; then
        wget -qO- https://mise.run | sh
    fi
    if ! command -v mise >/dev/null; then
        say "there is no mise; put it into the image, or let the VM reach the Internet (--nat) and have curl or wget"
        exit 127
    fi
}

# The repository's own files; nothing outside this VM is at stake.
use_mise() {
    export PATH="$HOME/.local/share/mise/shims:$HOME/.local/bin:$PATH"
    export MISE_YES=1 MISE_TRUSTED_CONFIG_PATHS="$PWD"
    export MISE_IDIOMATIC_VERSION_FILE_ENABLE_TOOLS=node,python,rust,go
}

# mise reads no go.mod: the version that it names, for all of this VM.
use_go() {
    [ -f go.mod ] || return 0
    version=$(sed -n 's/^go \([0-9.]*\).*/\1/p' go.mod)
    [ -z "$version" ] || mise use --global "go@$version"
}

# Login shells find them, as those of `banger vm shell` are.
show_tools() {
    if [ -d /etc/profile.d ]; then
        printf 'export PATH="$HOME/.local/share/mise/shims:$HOME/.local/bin:$PATH"\n' > /etc/profile.d/banger-tools.sh
    fi
}

install_tools() {
    use_mise
    command -v mise >/dev/null || get_mise
    mise install
    use_go
    show_tools
}

# Without a network: what the image has is used, nothing is fetched, and what is missing keeps nothing else from being done.
find_tools() {
    use_mise
    export MISE_OFFLINE=1
    if command -v mise >/dev/null && mise install && use_go; then
        show_tools
    else
        say "the tools are not installed: this VM reaches no network"
    fi
}

