//! The content of files.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::Node;
use super::map;
use super::tables::Tables;
use crate::Error;

/// Reads the bytes of a file that are not holes, one after the other.
#[derive(Debug)]
pub struct Content<'a> {
    file: &'a File,
    /// Places and lengths in the file system's file, the next one last.
    ahead: Vec<(u64, u64)>,
}

impl<'a> Content<'a> {
    pub(super) fn new(file: &'a File, tables: &Tables, node: &Node) -> Result<Self, Error> {
        let mapped = map::read(file, tables, node)?.into_iter();
        let mut ahead: Vec<(u64, u64)> = mapped
            .map(|mapped| {
                let offset = u64::from(mapped.logical) * tables.block;
                let len = u64::from(mapped.blocks) * tables.block;
                let left = node.size.saturating_sub(offset);
                (mapped.physical * tables.block, len.min(left))
            })
            .collect();
        ahead.reverse();
        Ok(Self { file, ahead })
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some((at, left)) = self.ahead.last_mut() {
            if *left == 0 {
                self.ahead.pop();
                continue;
            }
            let len = (*left).min(buffer.len() as u64) as usize;
            let read = self.file.read_at(&mut buffer[..len], *at)?;
            if read == 0 && len > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            *at += read as u64;
            *left -= read as u64;
            return Ok(read);
        }
        Ok(0)
    }
}
