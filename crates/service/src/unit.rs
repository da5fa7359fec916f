//! The systemd unit: a template, whose instance is the owner's user id.

use banger_model::network::Room;

/// Where the program is on the host that runs it.
pub(super) const PROGRAM: &str = "/usr/local/lib/banger/banger-root";

/// What root decided for an owner, as the unit reads it: lines of `NAME=value`.
pub(super) fn settings(owner: &str) -> String {
    format!("/etc/banger-root/{owner}.conf")
}

/// The name of the range in it.
pub(super) const RANGE: &str = "BANGER_ROOT_RANGE";

/// The template.
///
/// The helper confines itself more closely than this (`docs/privilege.md`), also where no systemd runs. This is a second
/// fence, and holds from before its first instruction. The capabilities beyond the helper's own two are those with which
/// it gives its socket to the owner and its records to the user that it becomes, becomes that, and drops the rest.
/// `/proc/sys` stays writable, and `/dev/net/tun` there. It is after those who load rules of their own and may flush others' in
/// doing so, and before nobody: VMs are not of the boot.
pub(super) fn template() -> String {
    let (settings, range) = (settings("%i"), Room::default());
    format!(
        "\
[Unit]
Description=banger's network helper for the VMs of user %i
After=nftables.service firewalld.service ufw.service docker.service systemd-resolved.service

[Service]
Type=notify
Environment={RANGE}={range}
EnvironmentFile=-{settings}
ExecStart={PROGRAM} serve --owner %i --range ${{{RANGE}}}
Restart=on-failure
RuntimeDirectory=banger-root
RuntimeDirectoryPreserve=yes
StateDirectory=banger-root
StateDirectoryMode=0700

CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_CHOWN CAP_SETPCAP CAP_SETUID CAP_SETGID
DeviceAllow=/dev/net/tun rw
DevicePolicy=closed
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateTmp=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectKernelLogs=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
UMask=0077

[Install]
WantedBy=multi-user.target
"
    )
}
