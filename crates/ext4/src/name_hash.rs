//! The hash that orders the names of an indexed directory: half of MD4's rounds over the name.
//!
//! Source: the kernel's documentation, `Documentation/filesystems/ext4/directory.rst` (hash tree directories); the
//! rounds are those of RFC 1320 with fewer steps, in the order that the kernel's `fs/ext4/hash.c` defines.

use crate::fields::get32;

/// The largest hash is reserved as the end mark of reading a directory.
const END: u32 = 0x7FFF_FFFF << 1;

/// State of a new hash where a file system has no seed.
const DEFAULT_SEED: [u32; 4] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476];

/// Hashes names with one file system's seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NameHasher {
    seed: [u32; 4],
}

impl NameHasher {
    pub(crate) fn new(seed: &[u8; 16]) -> Self {
        let words = [0, 4, 8, 12].map(|at| get32(seed, at));
        Self {
            seed: if words == [0; 4] { DEFAULT_SEED } else { words },
        }
    }

    /// The name's hash, always even, and the second word that orders names of equal hash.
    pub(crate) fn hash(&self, name: &[u8]) -> (u32, u32) {
        let mut state = self.seed;
        let mut rest = name;
        while !rest.is_empty() {
            transform(&mut state, &input_words(rest));
            rest = &rest[rest.len().min(32)..];
        }
        let hash = state[1] & !1;
        (if hash == END { END - 2 } else { hash }, state[2])
    }
}

/// Up to 32 bytes as eight words, first byte highest, filled up with the length of what is left of the name.
fn input_words(rest: &[u8]) -> [u32; 8] {
    let len = rest.len() as u32;
    let pad = (len | len << 8) | (len | len << 8) << 16;
    let mut words = [pad; 8];
    for (word, chunk) in words.iter_mut().zip(rest.chunks(4)) {
        *word = chunk.iter().fold(pad, |word, &byte| word << 8 | u32::from(byte));
    }
    words
}

fn transform(state: &mut [u32; 4], input: &[u32; 8]) {
    type Mix = fn(u32, u32, u32) -> u32;
    const ROUNDS: [(Mix, u32, [usize; 8], [u32; 4]); 3] = [
        (
            |x, y, z| z ^ (x & (y ^ z)),
            0,
            [0, 1, 2, 3, 4, 5, 6, 7],
            [3, 7, 11, 19],
        ),
        (
            |x, y, z| (x & y).wrapping_add((x ^ y) & z),
            0x5A82_7999,
            [1, 3, 5, 7, 0, 2, 4, 6],
            [3, 5, 9, 13],
        ),
        (
            |x, y, z| x ^ y ^ z,
            0x6ED9_EBA1,
            [3, 7, 2, 6, 1, 5, 0, 4],
            [3, 9, 11, 15],
        ),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (mix, constant, order, shifts) in ROUNDS {
        for (step, word) in order.into_iter().enumerate() {
            let sum = a
                .wrapping_add(mix(b, c, d))
                .wrapping_add(input[word])
                .wrapping_add(constant);
            (a, b, c, d) = (d, sum.rotate_left(shifts[step % 4]), b, c);
        }
    }
    for (word, added) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(added);
    }
}
