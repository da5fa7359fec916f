//! The images that scenarios boot.

/// An image that scenarios boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// busybox and nothing else: a shell and no init.
    Busybox,
    /// One static program, which is the only file.
    OneProgram,
    /// busybox with its own init, which starts what `/etc/inittab` says.
    Init,
    /// Debian with systemd.
    Systemd,
    /// Debian as a host of its own: systemd with its resolver, nftables, and the modules of Debian's kernel.
    Host,
    /// Debian with git.
    Git,
    /// Debian with an SSH server of its own, which nothing starts.
    Sshd,
    /// Debian with what clients of registries run under.
    Clients,
}

impl Image {
    /// Its name in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busybox => "busybox",
            Self::OneProgram => "one-program",
            Self::Init => "init",
            Self::Systemd => "systemd",
            Self::Host => "host",
            Self::Git => "git",
            Self::Sshd => "sshd",
            Self::Clients => "clients",
        }
    }
}
