//! File content from several threads at once.
//!
//! Each lane has stripes of the image to itself, which follow from the lanes' weights alone: whichever thread is faster,
//! the same input gives the same bytes.
//!
//! ```text
//!  round 0                           round 1
//! │ lane 0       │ lane 1 │ lane 2 │ lane 0       │ lane 1 │ lane 2 │ …
//! ```
//!
//! Stripes that a lane does not reach are free space, and holes in the image's file.

use std::ops::Range;

use crate::content::Content;
use crate::extents::Extent;
use crate::landing::{Places, land};
use crate::layout::BLOCK_BYTES;
use crate::sink::BlockSink;
use crate::{Error, Segment};

/// Blocks of a round: 64 MiB, or more when there are many lanes.
const ROUND: u64 = (64 << 20) / BLOCK_BYTES;

/// The fewest blocks of a stripe: 1 MiB, so that small files keep together.
const NARROWEST: u64 = (1 << 20) / BLOCK_BYTES;

/// Writes file content into an image that other lanes write to as well.
#[derive(Debug)]
pub struct Lane {
    sink: BlockSink,
    stripes: Stripes,
}

/// Content that lies in an image, and that no entry has yet.
#[derive(Debug)]
pub struct Stored {
    pub(crate) size: u64,
    pub(crate) extents: Box<[Extent]>,
}

impl Stored {
    /// Bytes of the content, holes included.
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// What a lane has written, for [`ImageWriter::join`](crate::ImageWriter::join).
#[derive(Debug)]
pub struct Landed(Stripes);

impl Landed {
    /// The block ranges in use, in order.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        let whole = (0..self.0.round).map(|round| {
            let start = self.0.start_of(round);
            start..start + self.0.width
        });
        let started = self.0.start_of(self.0.round)..self.0.at;
        whole.chain((!started.is_empty()).then_some(started))
    }
}

impl Lane {
    pub(crate) fn new(sink: BlockSink, stripes: Stripes) -> Self {
        Self { sink, stripes }
    }

    /// Stores content as [`ImageWriter::file_segments`](crate::ImageWriter::file_segments) does; `path` is for errors.
    /// After an error nothing more can be stored.
    ///
    /// # Errors
    /// If the segments are not as they should be, `data` fails or ends early, or the image is full.
    pub fn store(
        &mut self,
        path: &[u8],
        size: u64,
        segments: &[Segment],
        data: &mut dyn std::io::Read,
    ) -> Result<Stored, Error> {
        let mut content = Content::new(path, size, segments, data)?;
        let extents = land(&mut content, &mut self.sink, &mut self.stripes)?;
        Ok(Stored { size, extents })
    }

    /// Writes what is pending.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<Landed, Error> {
        self.sink.flush()?;
        Ok(Landed(self.stripes))
    }
}

/// The places of one lane.
#[derive(Debug)]
pub(crate) struct Stripes {
    /// The first block of the first one.
    first: u64,
    width: u64,
    /// From one stripe to the lane's next.
    stride: u64,
    /// No block at or above it may be taken.
    limit: u64,
    /// The stripe that is being filled.
    round: u64,
    at: u64,
}

impl Stripes {
    /// The stripes of lanes with these weights, which begin at block `first`.
    pub(crate) fn of(weights: &[u64], first: u64, limit: u64) -> Vec<Self> {
        let total: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
        let share = |weight: u64| (u128::from(weight) * u128::from(ROUND) / total.max(1)) as u64;
        let widths: Vec<u64> = weights
            .iter()
            .map(|&weight| share(weight).max(NARROWEST))
            .collect();
        let stride = widths.iter().sum();
        let mut next = first;
        widths
            .into_iter()
            .map(|width| {
                let first = next;
                next += width;
                Self {
                    first,
                    width,
                    stride,
                    limit,
                    round: 0,
                    at: first,
                }
            })
            .collect()
    }

    fn start_of(&self, round: u64) -> u64 {
        self.first + round * self.stride
    }
}

impl Places for Stripes {
    fn next(&mut self) -> Result<(u64, u64), Error> {
        if self.at == self.start_of(self.round) + self.width {
            self.round += 1;
            self.at = self.start_of(self.round);
        }
        let end = (self.start_of(self.round) + self.width).min(self.limit);
        if self.at >= end {
            return Err(Error::ImageFull {
                max_bytes: self.limit * BLOCK_BYTES,
            });
        }
        Ok((self.at, end - self.at))
    }

    fn take(&mut self, blocks: u64) {
        self.at += blocks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_share_a_round_by_weight_and_never_meet() {
        let mut lanes = Stripes::of(&[3, 1, 0], 100, u64::MAX);
        assert_eq!(
            lanes.iter().map(|lane| lane.width).collect::<Vec<_>>(),
            [12288, 4096, 256]
        );
        let mut taken = Vec::new();
        for lane in &mut lanes {
            for _ in 0..3 {
                let (place, room) = lane.next().unwrap();
                taken.push(place..place + room);
                lane.take(room);
            }
        }
        taken.sort_by_key(|range| range.start);
        assert_eq!(taken[0].start, 100);
        assert!(taken.windows(2).all(|pair| pair[0].end == pair[1].start));
    }

    #[test]
    fn what_landed_is_whole_stripes_and_a_started_one() {
        let mut lane = Stripes::of(&[1, 1], 10, u64::MAX).remove(1);
        let width = lane.width;
        lane.next().unwrap();
        lane.take(width);
        lane.next().unwrap();
        lane.take(5);
        let ranges: Vec<_> = Landed(lane).ranges().collect();
        assert_eq!(
            ranges,
            [10 + width..10 + 2 * width, 10 + 3 * width..10 + 3 * width + 5]
        );
    }

    #[test]
    fn the_limit_ends_a_stripe() {
        let mut lane = Stripes::of(&[1], 0, 100).remove(0);
        assert_eq!(lane.next().unwrap(), (0, 100));
        lane.take(100);
        assert!(matches!(lane.next(), Err(Error::ImageFull { .. })));
    }
}
