//! Which blocks of a growing image are in use.
//!
//! Everything below the *frontier* is in use, except for the free ranges; everything above is untouched. A run is
//! opened, filled from its start as far as needed, and then closed, which is what takes the blocks: an abandoned run
//! costs nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::Error;
use crate::layout::BLOCK_BYTES;

/// The allocator of one image.
#[derive(Debug)]
pub(crate) struct Allocator {
    frontier: u64,
    limit: u64,
    /// Start to length; neither touching each other nor the frontier.
    free: BTreeMap<u64, u64>,
}

/// Consecutive blocks that may be taken from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    start: u64,
    end: u64,
}

impl Run {
    /// The first block.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// How many blocks may be taken.
    pub(crate) fn room(&self) -> u64 {
        self.end - self.start
    }
}

impl Allocator {
    /// Blocks below `frontier` are in use; none at or above `limit` is ever given.
    pub(crate) fn new(frontier: u64, limit: u64) -> Self {
        Self {
            frontier,
            limit,
            free: BTreeMap::new(),
        }
    }

    /// The lowest free range of at least `blocks`, else everything above the frontier (which may be less).
    pub(crate) fn open(&self, blocks: u64) -> Run {
        let fitting = self.free.iter().find(|&(_, &len)| len >= blocks);
        match fitting {
            Some((&start, &len)) => Run {
                start,
                end: start + len,
            },
            None => Run {
                start: self.frontier,
                end: self.limit,
            },
        }
    }

    /// Takes the first `used` blocks of an open run.
    pub(crate) fn close(&mut self, run: &Run, used: u64) {
        debug_assert!(used <= run.room());
        if run.start == self.frontier {
            self.frontier += used;
        } else if used > 0 && self.free.remove(&run.start).is_some() && used < run.room() {
            self.free.insert(run.start + used, run.room() - used);
        }
    }

    /// Takes `blocks` consecutive blocks and tells the first.
    pub(crate) fn take(&mut self, blocks: u64) -> Result<u64, Error> {
        let run = self.open(blocks);
        if run.room() < blocks {
            return Err(self.full());
        }
        self.close(&run, blocks);
        Ok(run.start)
    }

    /// Takes blocks at the frontier, passing over free ranges, and tells the first.
    pub(crate) fn take_above(&mut self, blocks: u64) -> Result<u64, Error> {
        let start = self.frontier;
        if self.limit - start < blocks {
            return Err(self.full());
        }
        self.frontier += blocks;
        Ok(start)
    }

    /// Takes blocks that someone else has chosen; none of them is in use.
    pub(crate) fn occupy(&mut self, range: Range<u64>) {
        if range.start >= self.frontier {
            if range.start > self.frontier {
                self.free.insert(self.frontier, range.start - self.frontier);
            }
            self.frontier = range.end;
            return;
        }
        let around = self.free.range(..=range.start).next_back();
        let (start, end) = around
            .map(|(&start, &len)| (start, start + len))
            .filter(|&(_, end)| range.end <= end)
            .expect("blocks that are occupied are free");
        self.free.remove(&start);
        for rest in [start..range.start, range.end..end] {
            if !rest.is_empty() {
                self.free.insert(rest.start, rest.end - rest.start);
            }
        }
    }

    /// The block that nothing at or above is ever given from.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Gives blocks back.
    pub(crate) fn release(&mut self, range: Range<u64>) {
        let Range { mut start, mut end } = range;
        if start == end {
            return;
        }
        if let Some((&before, &len)) = self.free.range(..start).next_back()
            && before + len == start
        {
            self.free.remove(&before);
            start = before;
        }
        if let Some(len) = self.free.remove(&end) {
            end += len;
        }
        if end == self.frontier {
            self.frontier = start;
        } else {
            self.free.insert(start, end - start);
        }
    }

    /// The first block that was never taken, or was given back with all above it.
    pub(crate) fn frontier(&self) -> u64 {
        self.frontier
    }

    /// The free ranges below the frontier, in order.
    pub(crate) fn free_ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.free.iter().map(|(&start, &len)| start..start + len)
    }

    /// The error for an image that has reached its limit.
    pub(crate) fn full(&self) -> Error {
        Error::ImageFull {
            max_bytes: self.limit * BLOCK_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_neighbours_join_and_are_taken_again() {
        let mut allocator = Allocator::new(10, 100);
        assert_eq!(allocator.take(30).unwrap(), 10);
        allocator.release(12..14);
        allocator.release(16..18);
        allocator.release(14..16);
        assert_eq!(
            allocator
                .free_ranges()
                .map(|range| (range.start, range.end))
                .collect::<Vec<_>>(),
            [(12, 18)]
        );
        assert_eq!(allocator.take(7).unwrap(), 40);
        assert_eq!(allocator.take(4).unwrap(), 12);
        assert_eq!(
            allocator
                .free_ranges()
                .map(|range| (range.start, range.end))
                .collect::<Vec<_>>(),
            [(16, 18)]
        );
    }

    #[test]
    fn the_frontier_falls_back_over_what_is_released_below_it() {
        let mut allocator = Allocator::new(10, 100);
        allocator.take(30).unwrap();
        allocator.release(20..30);
        allocator.release(30..40);
        assert_eq!(allocator.frontier(), 20);
        assert_eq!(allocator.free_ranges().count(), 0);
    }

    #[test]
    fn occupied_blocks_leave_what_is_around_them_free() {
        let mut allocator = Allocator::new(10, 1000);
        allocator.occupy(50..60);
        allocator.occupy(20..30);
        allocator.occupy(10..20);
        allocator.occupy(60..70);
        let free: Vec<_> = allocator
            .free_ranges()
            .map(|range| (range.start, range.end))
            .collect();
        assert_eq!((free, allocator.frontier()), (vec![(30, 50)], 70));
    }

    #[test]
    fn an_abandoned_run_takes_nothing_and_the_limit_holds() {
        let mut allocator = Allocator::new(10, 20);
        let run = allocator.open(5);
        assert_eq!((run.start(), run.room()), (10, 10));
        assert_eq!(allocator.frontier(), 10);
        assert!(matches!(
            allocator.take(11),
            Err(Error::ImageFull { max_bytes: 81920 })
        ));
        assert_eq!(allocator.take(10).unwrap(), 10);
    }
}
