//! What pax records say about a sparse file.

use super::decimal::decimal;

/// What pax records say about a sparse file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) major: Vec<u8>,
    pub(super) minor: Vec<u8>,
    /// The file's name; the entry's own is made up for programs that know nothing of sparse files.
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    /// Offsets and lengths in turn.
    pub(super) map: Vec<u64>,
    any: bool,
}

impl Records {
    /// Takes the record `GNU.sparse.` and `key`, if its value can be.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        self.any = true;
        match key {
            b"major" => self.major = value.to_vec(),
            b"minor" => self.minor = value.to_vec(),
            b"name" if value.contains(&0) => return None,
            b"name" => self.name = Some(value.to_vec()).filter(|name| !name.is_empty()),
            b"size" | b"realsize" => self.size = Some(decimal(value)?),
            // 0.0 has a record for each number, in order.
            b"offset" if self.map.len().is_multiple_of(2) => self.map.push(decimal(value)?),
            b"numbytes" if !self.map.len().is_multiple_of(2) => self.map.push(decimal(value)?),
            b"offset" | b"numbytes" => return None,
            b"map" if value.is_empty() => self.map.clear(),
            b"map" => {
                self.map = value
                    .split(|&byte| byte == b',')
                    .map(decimal)
                    .collect::<Option<_>>()?
            }
            _ => {}
        }
        Some(())
    }

    /// Whether the entry is a sparse file.
    pub(super) fn any(&self) -> bool {
        self.any
    }
}
