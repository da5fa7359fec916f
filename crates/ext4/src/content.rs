//! File content on its way from a reader into the image: segments put together, zero blocks left out.

use std::io::{ErrorKind, Read};

use crate::extents::{self, Extent};
use crate::layout::{BLOCK, BLOCK_BYTES};
use crate::{Error, Segment};

const ZEROS: [u8; BLOCK] = [0; BLOCK];

/// A file's bytes by offset, read strictly forward; zeros where no segment is.
pub(crate) struct Content<'a> {
    path: &'a [u8],
    segments: &'a [Segment],
    data: &'a mut dyn Read,
    /// The first segment that is not wholly read.
    current: usize,
    read: u64,
}

impl<'a> Content<'a> {
    /// Checks that the segments are in order and inside the file.
    pub(crate) fn new(
        path: &'a [u8],
        size: u64,
        segments: &'a [Segment],
        data: &'a mut dyn Read,
    ) -> Result<Self, Error> {
        let mut end = 0;
        for (index, segment) in segments.iter().enumerate() {
            let stop = segment
                .offset
                .checked_add(segment.len)
                .filter(|&stop| stop <= size);
            match stop {
                Some(stop) if segment.offset >= end => end = stop,
                _ => {
                    return Err(Error::InvalidSegment {
                        path: path.to_vec(),
                        index,
                    });
                }
            }
        }
        Ok(Self {
            path,
            segments,
            data,
            current: 0,
            read: 0,
        })
    }

    /// The block ranges that may hold data, joined where they touch.
    pub(crate) fn spans(&self) -> Vec<(u64, u64)> {
        let mut spans: Vec<(u64, u64)> = Vec::new();
        for segment in self.segments.iter().filter(|segment| segment.len > 0) {
            let first = segment.offset / BLOCK_BYTES;
            let end = (segment.offset + segment.len).div_ceil(BLOCK_BYTES);
            match spans.last_mut() {
                Some(last) if first <= last.1 => last.1 = end,
                _ => spans.push((first, end)),
            }
        }
        spans
    }

    /// Fills `buffer` with the bytes from `offset` on, which is where the last call ended or later.
    pub(crate) fn fill(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let end = offset + buffer.len() as u64;
        let mut at = offset;
        while at < end {
            let rest = &mut buffer[(at - offset) as usize..];
            let Some(segment) = self.segments.get(self.current) else {
                rest.fill(0);
                return Ok(());
            };
            if segment.offset + segment.len <= at {
                self.current += 1;
                continue;
            }
            if at < segment.offset {
                let gap = (segment.offset.min(end) - at) as usize;
                rest[..gap].fill(0);
                at += gap as u64;
                continue;
            }
            let len = ((segment.offset + segment.len).min(end) - at) as usize;
            self.read_exact(&mut rest[..len])?;
            at += len as u64;
        }
        Ok(())
    }

    fn read_exact(&mut self, mut buffer: &mut [u8]) -> Result<(), Error> {
        while !buffer.is_empty() {
            match self.data.read(buffer) {
                Ok(0) => {
                    let expected = self.segments.iter().map(|segment| segment.len).sum();
                    return Err(Error::Truncated {
                        path: self.path.to_vec(),
                        expected,
                        got: self.read,
                    });
                }
                Ok(len) => {
                    self.read += len as u64;
                    buffer = &mut buffer[len..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::ReadContent {
                        path: self.path.to_vec(),
                        source,
                    });
                }
            }
        }
        Ok(())
    }
}

/// Moves the blocks that hold anything but zeros to the front, notes where they belong, and tells how many they are.
/// The first of `bytes` is block `logical` of the file; the first kept one will be block `physical` of the image.
pub(crate) fn keep_nonzero(
    bytes: &mut [u8],
    logical: u32,
    physical: u64,
    extents: &mut Vec<Extent>,
) -> usize {
    let mut kept = 0;
    for index in 0..bytes.len() / BLOCK {
        let from = index * BLOCK;
        if bytes[from..from + BLOCK] == ZEROS {
            continue;
        }
        if kept < index {
            bytes.copy_within(from..from + BLOCK, kept * BLOCK);
        }
        extents::append(extents, logical + index as u32, physical + kept as u64, 1);
        kept += 1;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_and_gaps_are_put_together_across_calls() {
        let segments = [
            Segment { offset: 3, len: 4 },
            Segment { offset: 7, len: 0 },
            Segment { offset: 9, len: 2 },
        ];
        let mut data: &[u8] = b"abcdef";
        let mut content = Content::new(b"f", 20, &segments, &mut data).unwrap();
        let mut whole = Vec::new();
        for offset in (0..20).step_by(5) {
            let mut buffer = [0xFF; 5];
            content.fill(offset, &mut buffer).unwrap();
            whole.extend_from_slice(&buffer);
        }
        assert_eq!(whole, *b"\0\0\0abcd\0\0ef\0\0\0\0\0\0\0\0\0");
    }

    #[test]
    fn bad_segments_are_refused() {
        let refused = |segments: &[Segment]| Content::new(b"f", 10, segments, &mut std::io::empty()).is_err();
        assert!(!refused(&[Segment { offset: 0, len: 10 }]));
        assert!(refused(&[Segment { offset: 1, len: 10 }]));
        assert!(refused(&[
            Segment { offset: 5, len: 1 },
            Segment { offset: 4, len: 1 }
        ]));
        assert!(refused(&[Segment {
            offset: u64::MAX,
            len: 2
        }]));
    }

    #[test]
    fn spans_join_where_blocks_touch() {
        let segments = [
            Segment { offset: 100, len: 1 },
            Segment {
                offset: 4000,
                len: 200,
            },
            Segment {
                offset: 20_480,
                len: 1,
            },
            Segment {
                offset: 30_000,
                len: 0,
            },
        ];
        let mut data = std::io::empty();
        let content = Content::new(b"f", 40_000, &segments, &mut data).unwrap();
        assert_eq!(content.spans(), [(0, 2), (5, 6)]);
    }
}
