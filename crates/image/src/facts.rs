//! What is worth knowing of an image: its os-release(5), and which init it has.

use banger_ext4::{ImageWriter, Kind};
use serde::{Deserialize, Serialize};

use crate::follow::follow;

/// Longer than any os-release.
pub(crate) const LONGEST: u64 = 64 << 10;

/// What was noted while an image was written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Facts {
    /// `PRETTY_NAME` of its os-release.
    pub os: Option<String>,
    /// The init found in it.
    pub init: Option<String>,
}

pub(crate) fn is_os_release(path: &[u8]) -> bool {
    matches!(path, b"etc/os-release" | b"usr/lib/os-release")
}

/// `PRETTY_NAME` of an os-release.
pub(crate) fn pretty_name(content: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(content);
    let value = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

/// The init that the image brings, by the name of the program that its usual places lead to. The guest's agent decides
/// for itself, with the files at hand; this is what `image show` tells.
pub(crate) fn init(writer: &ImageWriter) -> Option<String> {
    let places: [&[&[u8]]; 4] = [
        &[b"sbin", b"init"],
        &[b"lib", b"systemd", b"systemd"],
        &[b"sbin", b"openrc-init"],
        &[b"sbin", b"runit-init"],
    ];
    let found = places.iter().find_map(|place| {
        let path = follow(writer, place).ok()?;
        (writer.lookup(&path) == Some(Kind::File)).then_some(path)
    })?;
    let name = found.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let has = |path: &[u8]| writer.lookup(path).is_some();
    let init = match name {
        b"systemd" => "systemd",
        b"openrc-init" => "openrc",
        b"runit-init" | b"runit" => "runit",
        b"tini" | b"dumb-init" | b"catatonit" => return None,
        b"busybox" if !has(b"etc/inittab") => return None,
        b"busybox" if has(b"etc/init.d") && !has(b"sbin/openrc") && !has(b"etc/init.d/rcS") => return None,
        _ if has(b"sbin/openrc") => "openrc",
        _ => "sysvinit",
    };
    Some(init.to_owned())
}
