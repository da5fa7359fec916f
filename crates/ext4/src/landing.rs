//! Bringing file content to its blocks.

use crate::Error;
use crate::content::{Content, keep_nonzero};
use crate::extents::Extent;
use crate::layout::{BLOCK, BLOCK_BYTES};
use crate::sink::BlockSink;

/// Where content goes, block after block.
pub(crate) trait Places {
    /// The next block, and how many from there on may be taken: at least one.
    fn next(&mut self) -> Result<(u64, u64), Error>;

    /// That many were taken.
    fn take(&mut self, blocks: u64);
}

/// Copies content to the image and tells where it is. Blocks of zeros become holes.
pub(crate) fn land(
    content: &mut Content<'_>,
    sink: &mut BlockSink,
    places: &mut dyn Places,
) -> Result<Box<[Extent]>, Error> {
    let mut extents = Vec::new();
    for (first, end) in content.spans() {
        let mut logical = first;
        while logical < end {
            let (place, free) = places.next()?;
            sink.seek(place)?;
            let room = sink.room()?;
            let blocks = (end - logical).min((room.len() / BLOCK) as u64).min(free);
            let bytes = &mut room[..blocks as usize * BLOCK];
            content.fill(logical * BLOCK_BYTES, bytes)?;
            let kept = keep_nonzero(bytes, logical as u32, place, &mut extents);
            sink.accept(kept);
            places.take(kept as u64);
            logical += blocks;
        }
    }
    Ok(extents.into())
}
