//! Values of the configuration that are more than their text: addresses, keys.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use ssh_key::PublicKey;

pub(super) fn upstreams<'de, D: Deserializer<'de>>(texts: D) -> Result<Vec<SocketAddr>, D::Error> {
    let texts = Vec::<String>::deserialize(texts)?;
    let parsed = texts.iter().map(|text| banger_dns::parse_upstream(text));
    parsed.collect::<Result<_, _>>().map_err(D::Error::custom)
}

pub(super) fn public_keys<'de, D: Deserializer<'de>>(lines: D) -> Result<Vec<[u8; 32]>, D::Error> {
    let wrong = |line: &String| {
        D::Error::custom(format!(
            "invalid public key `{line}`: expected an ed25519 key, such as `ssh-ed25519 AAAA… me@laptop`"
        ))
    };
    let lines = Vec::<String>::deserialize(lines)?;
    let parsed = lines
        .iter()
        .map(|line| public_key(line).ok_or_else(|| wrong(line)));
    parsed.collect()
}

/// An absolute path, or one below the user's home directory.
pub(super) fn file_of_user<'de, D: Deserializer<'de>>(path: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(path)?;
    let below_home = |rest: &str| Some(std::env::home_dir()?.join(rest));
    let path = match text.strip_prefix("~/") {
        Some(rest) => below_home(rest),
        None => Some(PathBuf::from(&text)).filter(|path| path.is_absolute()),
    };
    let wrong = || {
        D::Error::custom(format!(
            "invalid path `{text}`: expected an absolute path, or one that begins with `~/`"
        ))
    };
    path.map(Some).ok_or_else(wrong)
}

/// The key of a line such as OpenSSH keeps in `.pub` files, if it is one of our kind.
fn public_key(line: &str) -> Option<[u8; 32]> {
    let key = PublicKey::from_openssh(line.trim()).ok()?;
    key.key_data().ed25519().map(|key| key.0)
}

pub(super) fn loopback<'de, D: Deserializer<'de>>(text: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(text)?;
    if text == "off" {
        return Ok(None);
    }
    let address: Option<SocketAddr> = text.parse().ok();
    let inside = address.filter(|address| address.ip().is_loopback() && address.port() != 0);
    let wrong = || {
        D::Error::custom(format!(
            "invalid address `{text}`: expected a loopback address with a port, such as 127.0.0.1:5354, or `off`"
        ))
    };
    inside.map(Some).ok_or_else(wrong)
}
