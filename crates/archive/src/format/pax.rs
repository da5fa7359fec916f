//! Extended headers: records of `length key=value\n` that say more about the next entry than its header can.
//!
//! Sources: IEEE 1003.1, `pax`, "pax Extended Header"; star(5) for `SCHILY.xattr.`; libarchive's
//! `archive_write_set_format_pax.c` for `LIBARCHIVE.xattr.`; the GNU tar manual, "Storing Sparse Files", for
//! `GNU.sparse.`. Where they leave a choice, it is that of Go's `archive/tar`, with which container runtimes read
//! layers: an empty value leaves the header's, and of two records the last counts.
//!
//! `SCHILY.acl.*` is passed over: no container runtime looks at it, its names belong to the host that packed it, and
//! with `--xattrs` GNU tar has the same lists, with numbers, as `system.posix_acl_access` and `_default`.
//! `RHT.security.selinux` is passed over too: the label is the host's. So are attributes in namespaces that Linux does
//! not have (xattr(7)), such as those of macOS: a runtime cannot set them and goes on.

use banger_inode::{Timestamp, Xattr};

use super::decimal::decimal;
use super::sparse_records;

/// The most attributes of an entry.
const MOST_ATTRIBUTES: usize = 1024;

/// What the records of one header say, as far as it matters to an image.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) linkpath: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<i64>,
    pub(super) gid: Option<i64>,
    pub(super) mtime: Option<Timestamp>,
    pub(super) xattrs: Vec<Xattr>,
    pub(super) sparse: sparse_records::Records,
    /// Keys with an empty value: the header's own counts, whatever a global header says.
    emptied: Vec<Vec<u8>>,
}

impl Records {
    /// Takes the records from a header's content, or says what is wrong with it.
    pub(super) fn parse(mut content: &[u8]) -> Result<Self, String> {
        let mut records = Self::default();
        while !content.is_empty() {
            let (key, value, rest) = record(content).ok_or("a pax record has a wrong length or no `=`")?;
            records.take(key, value).ok_or_else(|| {
                let key = String::from_utf8_lossy(key);
                format!("the pax record `{}` has a bad value", key.escape_debug())
            })?;
            content = rest;
        }
        Ok(records)
    }

    /// Takes from the records of global headers what these do not say themselves. What those say of sparse files is not
    /// taken: their maps belong to one file.
    pub(super) fn over(&mut self, global: &Self) {
        let emptied = std::mem::take(&mut self.emptied);
        let is_free = |key: &[u8]| !emptied.iter().any(|emptied| emptied == key);
        fn take<T: Clone>(own: &mut Option<T>, global: &Option<T>, is_free: bool) {
            if own.is_none() && is_free {
                own.clone_from(global);
            }
        }
        take(&mut self.path, &global.path, is_free(b"path"));
        take(&mut self.linkpath, &global.linkpath, is_free(b"linkpath"));
        take(&mut self.size, &global.size, is_free(b"size"));
        take(&mut self.uid, &global.uid, is_free(b"uid"));
        take(&mut self.gid, &global.gid, is_free(b"gid"));
        take(&mut self.mtime, &global.mtime, is_free(b"mtime"));
        for xattr in &global.xattrs {
            if !self.xattrs.iter().any(|own| own.name == xattr.name) {
                self.xattrs.push(xattr.clone());
            }
        }
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        // There are six that count; whoever empties more means nothing by it.
        if value.is_empty() && self.emptied.len() < 64 {
            self.emptied.push(key.to_vec());
        }
        match key {
            b"path" => self.path = name(value)?,
            b"linkpath" => self.linkpath = name(value)?,
            b"size" => self.size = unless_empty(value, decimal)?,
            b"uid" => self.uid = unless_empty(value, signed)?,
            b"gid" => self.gid = unless_empty(value, signed)?,
            b"mtime" => self.mtime = unless_empty(value, timestamp)?,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.attribute(gnu_unquoted(name), value.to_vec())?;
                } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    self.attribute(unquoted(name, |_| true), base64(value)?)?;
                } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.take(key, value)?;
                }
            }
        }
        Some(())
    }

    fn attribute(&mut self, name: Vec<u8>, value: Vec<u8>) -> Option<()> {
        const OF_LINUX: [&[u8]; 4] = [b"user.", b"trusted.", b"security.", b"system.posix_acl_"];
        if OF_LINUX.iter().any(|namespace| name.starts_with(namespace)) {
            // No file system holds that many for one file.
            (self.xattrs.len() < MOST_ATTRIBUTES).then_some(())?;
            self.xattrs.push(Xattr { name, value });
        }
        Some(())
    }
}

/// Key, value, and what follows.
fn record(content: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = content.iter().position(|&byte| byte == b' ')?;
    let len = usize::try_from(decimal(&content[..space])?).ok()?;
    // The length counts itself; the last byte is the newline.
    if len > content.len() || len < space + 2 {
        return None;
    }
    let (whole, rest) = content.split_at(len);
    let record = whole[space + 1..].strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    let key = &record[..equals];
    (!key.is_empty() && !key.contains(&0)).then_some((key, &record[equals + 1..], rest))
}

fn name(value: &[u8]) -> Option<Option<Vec<u8>>> {
    if value.contains(&0) {
        return None;
    }
    Some((!value.is_empty()).then(|| value.to_vec()))
}

fn unless_empty<T>(value: &[u8], parse: fn(&[u8]) -> Option<T>) -> Option<Option<T>> {
    if value.is_empty() {
        return Some(None);
    }
    parse(value).map(Some)
}

fn signed(value: &[u8]) -> Option<i64> {
    match value.strip_prefix(b"-") {
        Some(digits) => decimal(digits)?.try_into().map(|number: i64| -number).ok(),
        None => decimal(value)?.try_into().ok(),
    }
}

/// A time: seconds with a fraction, negative before 1970. What is finer than a nanosecond is cut off.
fn timestamp(value: &[u8]) -> Option<Timestamp> {
    let dot = value.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match dot {
        Some(dot) => (&value[..dot], &value[dot + 1..]),
        None => (value, &[][..]),
    };
    let secs = signed(whole)?;
    let digits = fraction.get(..9).unwrap_or(fraction);
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanos = match digits.len() {
        0 => 0,
        len => decimal(digits)? as u32 * 10_u32.pow(9 - len as u32),
    };
    // The fraction counts away from zero, ours from the second below.
    if whole.starts_with(b"-") && nanos > 0 {
        return Some(Timestamp {
            secs: secs.checked_sub(1)?,
            nanos: 1_000_000_000 - nanos,
        });
    }
    Some(Timestamp { secs, nanos })
}

/// GNU tar quotes what would end a key, and its own quote, and nothing else. Go quotes nothing, but could not have
/// written the first, and nobody means the second.
fn gnu_unquoted(name: &[u8]) -> Vec<u8> {
    unquoted(name, |byte| matches!(byte, b'=' | b'%'))
}

/// A name with `%XX` replaced where `which` holds.
fn unquoted(name: &[u8], which: fn(u8) -> bool) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut at = 0;
    while let Some(&byte) = name.get(at) {
        let quoted = name
            .get(at + 1..at + 3)
            .filter(|_| byte == b'%')
            .and_then(|digits| Some(hex(digits[0])? << 4 | hex(digits[1])?))
            .filter(|&byte| which(byte));
        plain.push(quoted.unwrap_or(byte));
        at += if quoted.is_some() { 3 } else { 1 };
    }
    plain
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Base 64 (RFC 4648), with or without padding: libarchive leaves it out.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let mut held = 0_u32;
    let mut bits = 0;
    for &byte in &text[..text.len() - padding] {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    // One character alone is no byte.
    (bits < 6).then_some(bytes)
}

#[cfg(test)]
mod tests;
