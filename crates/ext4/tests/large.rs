//! Images at the format's edges: many entries, long files, deep trees, deep maps.

mod host;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;

use banger_ext4::{Error, ImageWriter, Segment};
use banger_needs::{Need, tests};
use host::{Mounted, debugfs, image, look, meta, walk};

const GIB: u64 = 1 << 30;

fn fill_directory(writer: &mut ImageWriter, path: &str, count: usize) {
    writer.directory(path.as_bytes(), meta(0o755)).unwrap();
    for n in 0..count {
        let content = n.to_string();
        let name = format!("{path}/a-name-of-usual-length-{n}.txt");
        writer
            .file(
                name.as_bytes(),
                meta(0o644),
                content.len() as u64,
                &mut content.as_bytes(),
            )
            .unwrap();
    }
}

fn assert_full(mounted: &Mounted, path: &str, count: usize) {
    let directory = mounted.path().join(path);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), count);
    for n in (0..count).step_by(7) {
        let name = format!("a-name-of-usual-length-{n}.txt");
        assert_eq!(fs::read_to_string(directory.join(name)).unwrap(), n.to_string());
    }
    assert!(fs::symlink_metadata(directory.join("a-name-of-usual-length-x.txt")).is_err());
}

fn directories_of_any_length_find_every_name() {
    // Around the sizes at which a directory gets a second block, an index, a second level.
    let counts = [60, 90, 100, 350, 370, 400, 5_000, 40_000, 60_000];
    let image = image(|writer| {
        for count in counts {
            fill_directory(writer, &format!("d{count}"), count);
        }
    });
    let mounted = Mounted::new(&image.path, "ro");
    for count in counts {
        assert_full(&mounted, &format!("d{count}"), count);
    }
    assert!(debugfs(&image.path, "stat d5000").contains("Flags: 0x81000"));
}

fn a_directory_of_100_000_files_works() {
    let image = image(|writer| fill_directory(writer, "many", 100_000));
    assert_eq!(image.summary.files, 100_000);
    assert_full(&Mounted::new(&image.path, "ro"), "many", 100_000);
}

fn names_of_equal_hash_and_of_bytes_above_127_are_found_through_the_index() {
    let name = |n: u32| {
        let mut name = b"\xe9\xff".to_vec();
        name.extend(n.to_le_bytes().map(|byte| byte | 0x80));
        name.extend_from_slice(&n.to_string().repeat(20).as_bytes()[..40.min(n.to_string().len() * 20)]);
        name
    };
    let image = image(|writer| {
        for n in 0..3000 {
            writer
                .fifo(&[b"dir/", name(n).as_slice()].concat(), meta(0o600))
                .unwrap();
        }
    });
    let mounted = Mounted::new(&image.path, "ro");
    for n in 0..3000 {
        let path =
            mounted
                .path()
                .join("dir")
                .join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(
                    &name(n),
                ));
        assert_eq!(look(&path).kind, "fifo");
    }
}

fn more_subdirectories_than_a_link_count_holds() {
    let image = image(|writer| {
        for n in 0..65_100 {
            writer
                .directory(format!("many/{n}").as_bytes(), meta(0o755))
                .unwrap();
        }
        for n in 0..64_998 {
            writer
                .directory(format!("just/{n}").as_bytes(), meta(0o755))
                .unwrap();
        }
    });
    let mounted = Mounted::new(&image.path, "ro");
    assert_eq!(look(&mounted.path().join("many")).links, 1);
    assert_eq!(look(&mounted.path().join("just")).links, 65_000);
    assert!(mounted.path().join("many/65099").is_dir());
}

fn a_file_has_65_000_names_and_no_more() {
    let image = image(|writer| {
        writer.file(b"file", meta(0o644), 1, &mut &b"x"[..]).unwrap();
        for n in 1..65_000 {
            writer
                .hard_link(format!("links/{n}").as_bytes(), b"file")
                .unwrap();
        }
        assert!(matches!(
            writer.hard_link(b"links/more", b"file"),
            Err(Error::TooManyLinks { .. })
        ));
    });
    let mounted = Mounted::new(&image.path, "ro");
    assert_eq!(look(&mounted.path().join("links/64999")).links, 65_000);
}

fn paths_longer_than_the_kernel_resolves_at_once() {
    let deep = vec![b"directory-of-a-deep-tree".as_slice(); 1000].join(&b'/');
    let image = image(|writer| {
        writer
            .file(
                &[&deep, &b"/file"[..]].concat(),
                meta(0o644),
                4,
                &mut &b"deep"[..],
            )
            .unwrap();
    });
    assert_eq!(image.summary.directories, 1002);
}

fn a_sparse_file_of_20_gib_costs_only_its_data() {
    let segments: Vec<Segment> = (0..20)
        .map(|n| Segment {
            offset: n * GIB + 4096 * n,
            len: 100_000,
        })
        .collect();
    let size = 20 * GIB;
    let image = image(|writer| {
        writer
            .file_segments(b"sparse", meta(0o644), size, &segments, &mut std::io::repeat(7))
            .unwrap();
    });
    assert!(image.summary.bytes < 3 << 20, "{:?}", image.summary);
    let mounted = Mounted::new(&image.path, "ro");
    let file = File::open(mounted.path().join("sparse")).unwrap();
    assert_eq!(file.metadata().unwrap().len(), size);
    for segment in &segments {
        let mut around = vec![0xFF; 100_000 + 8192];
        file.read_exact_at(&mut around[..108_192 - 4096], segment.offset)
            .unwrap();
        assert!(around[..100_000].iter().all(|&byte| byte == 7));
        assert!(around[100_000..104_096].iter().all(|&byte| byte == 0));
    }
}

/// Blocks that are zeros and blocks that are not, in turn.
struct Comb {
    at: u64,
}

impl Read for Comb {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        for byte in buffer.iter_mut() {
            let block = self.at / 4096;
            *byte = if block.is_multiple_of(2) {
                (block % 251) as u8 + 1
            } else {
                0
            };
            self.at += 1;
        }
        Ok(buffer.len())
    }
}

fn a_file_of_many_fragments_needs_a_deep_map() {
    // 4000 extents are two levels of tree blocks; the small ones stand around the inode's own four.
    let blocks = [7, 8, 9, 10, 2 * 340, 2 * 340 + 1, 8 * 340 + 2, 8_000];
    let image = image(|writer| {
        for count in blocks {
            let path = format!("comb{count}");
            writer
                .file(path.as_bytes(), meta(0o644), count * 4096, &mut Comb { at: 0 })
                .unwrap();
        }
    });
    let mounted = Mounted::new(&image.path, "ro");
    for count in blocks {
        let content = fs::read(mounted.path().join(format!("comb{count}"))).unwrap();
        let mut expected = vec![0; content.len()];
        Comb { at: 0 }.read_exact(&mut expected).unwrap();
        assert_eq!(content.len() as u64, count * 4096);
        assert!(content == expected);
    }
}

fn an_image_across_many_groups_with_holes_in_it() {
    let block_of = |n: u64| vec![(n % 250) as u8 + 1; 40 << 20];
    let image = image(|writer| {
        for n in 0..12 {
            let data = block_of(n);
            let path = format!("file{n}");
            writer
                .file(path.as_bytes(), meta(0o644), data.len() as u64, &mut &data[..])
                .unwrap();
        }
        for n in [2, 3, 4, 9] {
            assert!(writer.remove(format!("file{n}").as_bytes()).unwrap());
        }
        let data = block_of(100);
        writer
            .file(b"in-a-hole", meta(0o644), data.len() as u64, &mut &data[..])
            .unwrap();
    });
    let allocated = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&image.path).unwrap()) * 512;
    assert!(
        allocated < (9 * 40 + 4) << 20,
        "removed content must be punched out: {allocated}"
    );
    let mounted = Mounted::new(&image.path, "ro");
    assert_eq!(walk(mounted.path()).len(), 10);
    for n in [0, 1, 5, 11] {
        assert!(fs::read(mounted.path().join(format!("file{n}"))).unwrap() == block_of(n));
    }
    assert!(fs::read(mounted.path().join("in-a-hole")).unwrap() == block_of(100));
}

fn images_that_end_just_before_and_after_a_group_does() {
    for blocks in [
        32_740_u64, 32_750, 32_754, 32_755, 32_756, 32_757, 32_758, 32_760, 32_768,
    ] {
        image(|writer| {
            writer
                .file(b"f", meta(0o644), blocks * 4096, &mut std::io::repeat(1))
                .unwrap()
        });
    }
}

fn main() -> ExitCode {
    let mounts = [Need::Root, Need::LoopDevices];
    banger_needs::run(
        None,
        &[
            (
                &[],
                tests![
                    paths_longer_than_the_kernel_resolves_at_once,
                    images_that_end_just_before_and_after_a_group_does,
                ],
            ),
            (
                &mounts,
                tests![
                    directories_of_any_length_find_every_name,
                    a_directory_of_100_000_files_works,
                    names_of_equal_hash_and_of_bytes_above_127_are_found_through_the_index,
                    more_subdirectories_than_a_link_count_holds,
                    a_file_has_65_000_names_and_no_more,
                    a_sparse_file_of_20_gib_costs_only_its_data,
                    a_file_of_many_fragments_needs_a_deep_map,
                    an_image_across_many_groups_with_holes_in_it,
                ],
            ),
        ],
    )
}
