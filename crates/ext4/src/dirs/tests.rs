//! Directories as blocks.

use super::*;
use crate::fields::get16;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("name-{n:07}")).collect()
}

fn encoded(names: &[String]) -> EncodedDirectory {
    let entries: Vec<DirEntry<'_>> = names
        .iter()
        .map(|name| DirEntry {
            name: name.as_bytes(),
            inode: 12,
            kind: entry_type::FILE,
        })
        .collect();
    encode(2, 2, &entries, Seed::of_uuid(&[1; 16]), NameHasher::new(&[2; 16]))
}

#[test]
fn the_lengths_of_a_plain_block_s_entries_add_up() {
    let directory = encoded(&names(300));
    assert!(!directory.indexed);
    for block in directory.bytes.chunks_exact(BLOCK) {
        let mut at = 0;
        while at < ENTRY_SPACE {
            at += usize::from(get16(block, at + 4));
        }
        assert_eq!(at, ENTRY_SPACE);
    }
}

#[test]
fn a_large_directory_is_indexed_in_one_or_two_levels() {
    let one = encoded(&names(5_000));
    assert!(one.indexed);
    assert_eq!(one.bytes[0x1E], 0);
    let two = encoded(&names(150_000));
    assert!(two.indexed);
    assert_eq!(two.bytes[0x1E], 1);
}
