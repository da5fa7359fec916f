//! From an archive or a directory to an image, in one pass.

mod directory;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use banger_bounded::{Budget, Checked, decompressed};
use banger_store::OfFile;

use crate::changes::without_overlay;
use crate::error::WriteError;
use crate::facts::Facts;
use crate::metadata::Metadata;
use crate::options::PullOptions;
use crate::told::{Cancelled, Progress};
use crate::tree::{self, MOST_ENTRIES, Tree};

/// Where an image comes from.
pub enum ImportSource<'a> {
    /// A tar, plain or compressed with gzip, zstd, xz, lzma or bzip2.
    File(&'a Path),
    /// A directory, whose files are taken as they are.
    Directory(&'a Path),
    /// A tar as it comes.
    Stream(&'a mut (dyn Read + Send)),
}

/// Writes an image of `source` into an empty file.
pub(crate) fn into_image(
    file: File,
    source: ImportSource<'_>,
    limits: &PullOptions,
    progress: Progress<'_>,
) -> Result<Facts, WriteError> {
    let mut tree = Tree::new(tree::begin(file)?, MOST_ENTRIES.max(limits.most_entries));
    match source {
        ImportSource::Directory(path) => directory::add(&mut tree, path, progress)?,
        ImportSource::File(path) => {
            let file = File::open(path).of("open", path)?;
            let total = file
                .metadata()
                .ok()
                .map(|metadata| metadata.len())
                .filter(|&len| len > 0);
            from_stream(&mut tree, &mut &file, total, limits.budget(), progress)?;
        }
        ImportSource::Stream(stream) => from_stream(&mut tree, stream, None, limits.budget(), progress)?,
    }
    tree.finish()
}

/// The input is read and decompressed on a thread of its own, beside the writing of the image.
fn from_stream(
    tree: &mut Tree,
    stream: &mut (dyn Read + Send),
    total: Option<u64>,
    budget: Budget,
    progress: Progress<'_>,
) -> Result<(), WriteError> {
    let read = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let counted = Counted { stream, read: &read };
        let tar = decompressed(scope, counted, Checked::Here, budget)
            .map_err(|source| WriteError::archive(0, source))?;
        let metadata = Metadata::default();
        banger_archive::read(tar, &mut |mut entry, content| {
            if progress(read.load(Ordering::Relaxed), total).is_break() {
                return Err(Cancelled.into());
            }
            metadata.entry(&entry)?;
            without_overlay(&mut entry.meta);
            tree.entry(entry, content)
        })?;
        Ok(())
    })
}

struct Counted<'a, R: ?Sized> {
    stream: &'a mut R,
    read: &'a AtomicU64,
}

impl<R: Read + ?Sized> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
