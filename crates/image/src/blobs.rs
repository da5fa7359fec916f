//! The archive that an image is exported into: blobs named by their content, and compressors for them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use banger_model::Compression;
use banger_store::{Digest, Digesting};
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::error::ExportError;

/// Like the layers of other tools; above this level zstd gains little and takes much longer.
const LEVEL: i32 = 3;

const BLOCK: u64 = 512;

/// An archive could not be written.
pub(crate) fn unwritten(source: io::Error) -> ExportError {
    ExportError::Write(source)
}

/// A compressor.
pub(crate) enum Packer<W: Write> {
    Zstd(zstd::Encoder<'static, W>),
    Gzip(GzEncoder<W>),
    None(W),
}

impl<W: Write> Packer<W> {
    pub(crate) fn new(to: W, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(to, LEVEL)?;
                // With any number of them the bytes are the same, but not the same as with none.
                let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
                encoder.multithread(workers.min(8) as u32)?;
                Self::Zstd(encoder)
            }
            Compression::Gzip => Self::Gzip(GzEncoder::new(to, flate2::Compression::default())),
            Compression::None => Self::None(to),
        })
    }

    pub(crate) fn finish(self) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.finish()?.flush(),
            Self::Gzip(encoder) => encoder.finish()?.flush(),
            Self::None(mut to) => to.flush(),
        }
    }
}

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Zstd(encoder) => encoder.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::None(to) => to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::None(to) => to.flush(),
        }
    }
}

/// A blob in the archive.
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
    /// The digest of what is in it, unpacked.
    pub(crate) unpacked: Digest,
}

/// The archive. A blob is named by its content, so its header is written when that is there.
pub(crate) struct Blobs<'a> {
    file: &'a File,
    at: u64,
}

impl<'a> Blobs<'a> {
    /// One in an empty file.
    pub(crate) const fn new(file: &'a File) -> Self {
        Self { file, at: 0 }
    }

    /// Adds what `fill` writes; it gives the digest of what that is, unpacked.
    pub(crate) fn blob(
        &mut self,
        fill: impl FnOnce(&mut dyn Write) -> Result<Digest, ExportError>,
    ) -> Result<Blob, ExportError> {
        let at = At {
            file: self.file,
            at: self.at + BLOCK,
        };
        let mut to = Digesting::new(BufWriter::with_capacity(1 << 20, at));
        let unpacked = fill(&mut to)?;
        to.flush().map_err(unwritten)?;
        let bytes = to.bytes();
        let (_, digest) = to.finish();
        self.header(&format!("blobs/sha256/{digest}"), bytes)?;
        Ok(Blob {
            digest,
            bytes,
            unpacked,
        })
    }

    pub(crate) fn document(&mut self, value: &Value) -> Result<Blob, ExportError> {
        let text = value.to_string();
        let mut digest = Digesting::new(io::sink());
        digest.write_all(text.as_bytes()).map_err(unwritten)?;
        let (_, digest) = digest.finish();
        self.blob(|to| to.write_all(text.as_bytes()).map_err(unwritten).map(|()| digest))
    }

    pub(crate) fn file(&mut self, name: &str, value: &Value) -> Result<(), ExportError> {
        let text = value.to_string();
        self.write(text.as_bytes(), self.at + BLOCK)?;
        self.header(name, text.len() as u64)
    }

    /// Writes the header of a member whose content is there, and goes on after it.
    fn header(&mut self, name: &str, bytes: u64) -> Result<(), ExportError> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).map_err(unwritten)?;
        header.set_mode(0o644);
        header.set_size(bytes);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        self.write(header.as_bytes(), self.at)?;
        self.at += BLOCK + bytes.next_multiple_of(BLOCK);
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<(), ExportError> {
        self.file.set_len(self.at + 2 * BLOCK).map_err(unwritten)
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<(), ExportError> {
        self.file.write_all_at(bytes, at).map_err(unwritten)
    }
}

/// Writes from a place of a file on.
struct At<'a> {
    file: &'a File,
    at: u64,
}

impl Write for At<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.at)?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
