//! Content that several threads write.

mod host;

use std::fs;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use banger_ext4::{ImageWriter, Landed, Lane, Segment, Stored};
use banger_needs::{Need, tests};
use host::{Mounted, image, meta};

const FILES: usize = 40;

/// The content of a lane's file: some of it zeros, and none like another's.
fn content(lane: usize, file: usize) -> Vec<u8> {
    let len = file * 70_001 % 3_000_000;
    (0..len)
        .map(|at| match at / 10_000 % 3 {
            1 => 0,
            _ => (at * 31 + lane * 7 + file) as u8 | 1,
        })
        .collect()
}

fn fill(mut lane: Lane, number: usize, pause: Duration) -> (Vec<Stored>, Landed) {
    let stored = (0..FILES).map(|file| {
        thread::sleep(pause);
        let content = content(number, file);
        let size = content.len() as u64;
        let segments = [Segment { offset: 0, len: size }];
        lane.store(b"f", size, &segments, &mut &content[..]).unwrap()
    });
    let stored = stored.collect();
    (stored, lane.finish().unwrap())
}

fn by_lanes(writer: &mut ImageWriter, pauses: [u64; 3]) {
    let lanes = writer.lanes(&[5, 1, 3]);
    let done: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = lanes
            .into_iter()
            .zip(pauses)
            .enumerate()
            .map(|(number, (lane, pause))| {
                scope.spawn(move || fill(lane, number, Duration::from_micros(pause)))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (number, (stored, landed)) in done.into_iter().enumerate() {
        writer.join(&landed);
        for (file, stored) in stored.into_iter().enumerate() {
            // Half of the files are replaced by the next lane's.
            let path = match file % 2 {
                0 => format!("{number}-{file}"),
                _ => format!("{file}"),
            };
            writer.stored_file(path.as_bytes(), meta(0o644), stored).unwrap();
        }
    }
}

fn files_of_all_lanes_are_whole_and_what_was_replaced_is_free() {
    let image = image(|writer| by_lanes(writer, [0, 0, 0]));
    let mounted = Mounted::new(&image.path, "ro");
    for file in 0..FILES {
        if file % 2 == 1 {
            assert_eq!(
                fs::read(mounted.path().join(file.to_string())).unwrap(),
                content(2, file)
            );
            continue;
        }
        for lane in 0..3 {
            let path = mounted.path().join(format!("{lane}-{file}"));
            assert_eq!(fs::read(path).unwrap(), content(lane, file), "{lane}-{file}");
        }
    }
}

fn the_bytes_do_not_depend_on_which_lane_is_faster() {
    let one = image(|writer| by_lanes(writer, [0, 300, 0]));
    let other = image(|writer| by_lanes(writer, [200, 0, 500]));
    assert_eq!(fs::read(&one.path).unwrap(), fs::read(&other.path).unwrap());
}

fn a_refused_file_gives_its_blocks_back() {
    let image = image(|writer| {
        let mut lane = writer.lanes(&[1]).remove(0);
        let stored = lane
            .store(
                b"f",
                9000,
                &[Segment { offset: 0, len: 9000 }],
                &mut &[1; 9000][..],
            )
            .unwrap();
        writer.join(&lane.finish().unwrap());
        assert!(writer.stored_file(b"../f", meta(0o644), stored).is_err());
    });
    assert_eq!(image.summary.data_blocks, 0);
}

fn main() -> ExitCode {
    let mounts = [Need::Root, Need::LoopDevices];
    banger_needs::run(
        None,
        &[
            (
                &[],
                tests![
                    the_bytes_do_not_depend_on_which_lane_is_faster,
                    a_refused_file_gives_its_blocks_back,
                ],
            ),
            (
                &mounts,
                tests![files_of_all_lanes_are_whole_and_what_was_replaced_is_free,],
            ),
        ],
    )
}
