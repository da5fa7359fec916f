//! File trees that exist in memory alone, the same each time, for measuring writers without what reading costs.

use std::fmt::Write;

/// One entry; its parent comes before it.
pub(super) struct Entry {
    /// From the root, without a slash in front.
    pub(super) path: String,
    /// Index of the directory that it is in, or nothing for the root.
    pub(super) parent: Option<usize>,
    pub(super) what: What,
}

pub(super) enum What {
    Directory,
    Symlink(String),
    /// Content: so many bytes from there of [`Generated::noise`].
    File {
        from: usize,
        len: usize,
    },
}

impl Entry {
    /// The last part of its path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or(&self.path, |(_, name)| name)
    }
}

/// A tree, and what its files hold.
pub(super) struct Generated {
    pub(super) entries: Vec<Entry>,
    /// Without a block of zeros, which writers could leave out.
    pub(super) noise: Vec<u8>,
}

/// Far more than the processor's caches hold.
const NOISE: usize = 512 << 20;

const DIRECTORIES: usize = 2_000;
const SYMLINKS: usize = 1_000;
const LARGE: usize = 100;
const ENTRIES: usize = 20_000;
const BYTES: usize = 790_000_000;

impl Generated {
    /// 790 MB in 20,000 entries, as a system has them: most files are small, half of the bytes are in a few large ones.
    pub(super) fn system() -> Self {
        let mut making = Making::new();
        for number in 0..DIRECTORIES {
            let parent = (number > 20).then(|| making.random.below(number / 2));
            making.add(parent, format!("directory-{number}"), What::Directory);
        }
        for number in 0..SYMLINKS {
            let parent = Some(making.random.below(DIRECTORIES));
            let mut target = "..".to_owned();
            for part in 0..1 + making.random.below(8) {
                // Writing to a string does not fail.
                let _ = write!(target, "/part-{part}");
            }
            making.add(parent, format!("link-{number}"), What::Symlink(target));
        }
        let small = ENTRIES - DIRECTORIES - SYMLINKS - LARGE;
        for number in 0..small {
            // Sizes of 1 byte to 256 KiB, with as many from one power of two to the next as to the one after.
            let magnitude = making.random.below(18);
            let len = 1 + making.random.below(2 << magnitude);
            making.file_somewhere(number, len);
        }
        let each = (BYTES - making.bytes) / LARGE;
        for number in small..small + LARGE {
            making.file_somewhere(number, each);
        }
        making.done()
    }

    /// 60,000 files in one directory, and one of 300 MiB.
    pub(super) fn flat() -> Self {
        let mut making = Making::new();
        making.add(None, "flat".to_owned(), What::Directory);
        for number in 0..60_000 {
            let len = 1 + making.random.below(4096);
            making.file(Some(0), format!("file-{number}"), len);
        }
        making.file(None, "large".to_owned(), 300 << 20);
        making.done()
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> usize {
        let len = |entry: &Entry| match entry.what {
            What::File { len, .. } => len,
            What::Directory | What::Symlink(_) => 0,
        };
        self.entries.iter().map(len).sum()
    }
}

struct Making {
    random: Random,
    entries: Vec<Entry>,
    bytes: usize,
}

impl Making {
    fn new() -> Self {
        Self {
            random: Random(0x9E37_79B9_7F4A_7C15),
            entries: Vec::new(),
            bytes: 0,
        }
    }

    fn add(&mut self, parent: Option<usize>, name: String, what: What) {
        let path = match parent {
            Some(parent) => format!("{}/{name}", self.entries[parent].path),
            None => name,
        };
        self.entries.push(Entry { path, parent, what });
    }

    fn file_somewhere(&mut self, number: usize, len: usize) {
        let parent = Some(self.random.below(DIRECTORIES));
        self.file(parent, format!("file-{number}"), len);
    }

    fn file(&mut self, parent: Option<usize>, name: String, len: usize) {
        // Different bytes for each, one after the other as far as there are.
        let from = self.bytes % (NOISE - len);
        self.bytes += len;
        self.add(parent, name, What::File { from, len });
    }

    fn done(mut self) -> Generated {
        let words = (0..NOISE / 8).flat_map(|_| self.random.next().to_le_bytes());
        Generated {
            noise: words.collect(),
            entries: self.entries,
        }
    }
}

/// Marsaglia's xorshift of 64 bits.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
