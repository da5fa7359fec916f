//! How the host is connected, which changes: cables, Wi-Fi, resolvers that move.

use std::path::PathBuf;

use anyhow::Result;

use super::{Internet, SITE6, ip};

impl Internet {
    /// Another cable to the same far end, over which everything goes from now on; the first one is pulled.
    ///
    /// # Errors
    /// When it cannot be laid.
    pub fn change_cables(&self) -> Result<()> {
        let (host, far) = (&*self.host, &*self.far);
        ip(&[
            "-n", host, "link", "add", "up1", "type", "veth", "peer", "name", "far1", "netns", far,
        ])?;
        ip(&["-n", host, "addr", "add", "192.0.2.1/24", "dev", "up1"])?;
        ip(&["-n", far, "addr", "add", "192.0.2.2/24", "dev", "far1"])?;
        ip(&["-n", host, "link", "set", "up1", "up"])?;
        ip(&["-n", far, "link", "set", "far1", "up"])?;
        ip(&["-n", host, "route", "replace", "default", "via", "192.0.2.2"])?;
        ip(&["-n", host, "link", "set", "up0", "down"])
    }

    /// Lets the host have another resolver. The first time comes before its daemon is started.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn name_resolver(&self, address: Option<&str>) -> Result<()> {
        // What `ip netns exec` puts over /etc. It is the same file to the end, which programs have.
        let etc = self.etc();
        std::fs::create_dir_all(&etc)?;
        let line = address.map(|address| format!("nameserver {address}\n"));
        Ok(std::fs::write(etc.join("resolv.conf"), line.unwrap_or_default())?)
    }

    pub(super) fn etc(&self) -> PathBuf {
        PathBuf::from("/etc/netns").join(&self.host)
    }

    /// Takes the host its way out.
    ///
    /// # Errors
    /// When it has none.
    pub fn unplug(&self) -> Result<()> {
        ip(&["-n", &self.host, "route", "del", "default"])
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When it has one.
    pub fn plug(&self) -> Result<()> {
        ip(&["-n", &self.host, "route", "add", "default", "via", "198.51.100.2"])
    }

    /// A way out by IPv6, and behind it the web server at `SITE6` too.
    ///
    /// # Errors
    /// When it cannot be laid.
    pub fn plug_v6(&self) -> Result<()> {
        let (host, far) = (&*self.host, &*self.far);
        ip(&[
            "-n",
            far,
            "addr",
            "add",
            "2001:db8:1::2/64",
            "dev",
            "far0",
            "nodad",
        ])?;
        ip(&[
            "-n",
            far,
            "addr",
            "add",
            &format!("{SITE6}/128"),
            "dev",
            "lo",
            "nodad",
        ])?;
        // Back to whoever is on the other end.
        ip(&[
            "-n",
            host,
            "addr",
            "add",
            "2001:db8:1::1/64",
            "dev",
            "up0",
            "nodad",
        ])?;
        ip(&[
            "-n",
            host,
            "-6",
            "route",
            "add",
            "default",
            "via",
            "2001:db8:1::2",
        ])
    }
}
