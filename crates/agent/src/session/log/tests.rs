use proptest::prelude::*;

use super::*;

/// All that was ever written, and what a reader from any cursor must see of it.
#[derive(Default)]
struct Model {
    bytes: Vec<(OutputStream, u8)>,
}

fn stream() -> impl Strategy<Value = OutputStream> {
    prop::sample::select(vec![OutputStream::Stdout, OutputStream::Stderr])
}

fn pieces() -> impl Strategy<Value = Vec<(OutputStream, usize)>> {
    let len = prop_oneof![4 => 1_usize..100, 2 => 1_usize..5000, 1 => 1_usize..150_000];
    prop::collection::vec((stream(), len), 0..60)
}

fn write(log: &mut Log, model: &mut Model, pieces: &[(OutputStream, usize)]) {
    for (stream, len) in pieces {
        let from = model.bytes.len();
        let bytes: Vec<u8> = (from..from + len).map(|at| (at * 31 % 251) as u8).collect();
        log.append(*stream, from as u64, &bytes);
        model.bytes.extend(bytes.iter().map(|byte| (*stream, *byte)));
    }
}

/// Reads to the end, and checks everything against the model. Gives the bytes of gaps.
fn read(log: &Log, reader: &mut Reader, model: &Model, piece: usize) -> u64 {
    let mut buffer = vec![0; piece];
    let mut gaps = 0;
    loop {
        let before = reader.cursor();
        match reader.next(log, &mut buffer).unwrap() {
            Next::End => return gaps,
            Next::Gap(bytes) => {
                assert_eq!(reader.cursor(), before + bytes);
                gaps += bytes;
            }
            Next::Output {
                stream, cursor, len, ..
            } => {
                assert_eq!((cursor, reader.cursor()), (before, before + len as u64));
                let expected = &model.bytes[cursor as usize..][..len];
                assert!(expected.iter().all(|(of, _)| *of == stream));
                assert!(expected.iter().map(|(_, byte)| byte).eq(&buffer[..len]));
            }
        }
    }
}

fn size_on_disk(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap();
    entries
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written, a reader from any cursor gets all that is kept, exactly, and is told what is not.
    #[test]
    fn every_cursor_leads_to_its_byte(
        written in pieces(),
        max in 65_536_u64..400_000,
        from in any::<prop::sample::Index>(),
        piece in 1_usize..70_000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::create(&path, max).unwrap();
        let mut model = Model::default();
        write(&mut log, &mut model, &written);
        let end = model.bytes.len() as u64;
        let extent = log.extent();
        prop_assert_eq!((extent.end, extent.lost), (end, 0));
        prop_assert!(size_on_disk(&path) <= max);
        // A good part of what may be kept is kept.
        prop_assert!(end - extent.start >= end.min(max / 2), "{} of {}", end - extent.start, end);
        let from = from.index(end as usize + 1) as u64;
        let mut reader = Reader::at(from);
        let gaps = read(&log, &mut reader, &model, piece);
        prop_assert_eq!(reader.cursor(), end);
        prop_assert_eq!(gaps, extent.start.saturating_sub(from));
        // One who comes later finds the same.
        let again = Log::open(&path, max, 0).unwrap();
        prop_assert_eq!(again.extent(), extent);
        let mut reader = Reader::at(from);
        prop_assert_eq!(read(&again, &mut reader, &model, piece), gaps);
    }

    /// A reader that goes on while the log is written to and rotated loses nothing without being told.
    #[test]
    fn a_reader_at_any_pace_is_told_what_it_missed(
        rounds in prop::collection::vec((pieces(), any::<bool>()), 1..6),
        piece in 1_usize..70_000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::create(&dir.path().join("log"), 65_536).unwrap();
        let mut model = Model::default();
        let mut reader = Reader::at(0);
        let mut buffer = vec![0; piece];
        for (written, reads_all) in &rounds {
            write(&mut log, &mut model, written);
            if *reads_all {
                read(&log, &mut reader, &model, piece);
            } else if let Next::Output { cursor, len, .. } = reader.next(&log, &mut buffer).unwrap() {
                let expected = model.bytes[cursor as usize..][..len].iter().map(|(_, byte)| byte);
                prop_assert!(expected.eq(&buffer[..len]));
            }
        }
        read(&log, &mut reader, &model, piece);
        prop_assert_eq!(reader.cursor(), model.bytes.len() as u64);
    }

    /// A machine that ends in the middle of a write leaves all that was written before.
    #[test]
    fn a_torn_record_is_none(written in pieces(), torn in 1_u64..64) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::create(&path, 400_000).unwrap();
        let mut model = Model::default();
        write(&mut log, &mut model, &written);
        let whole = log.end();
        log.append(OutputStream::Stdout, 0, &[7; 64]);
        let last = log.segments.back().unwrap();
        let file = OpenOptions::new().write(true).open(log.path(last.start)).unwrap();
        file.set_len(last.size - torn).unwrap();
        let again = Log::open(&path, 400_000, 0).unwrap();
        prop_assert_eq!(again.end(), whole);
        let mut reader = Reader::at(again.extent().start);
        prop_assert_eq!(read(&again, &mut reader, &model, 1000), 0);
        prop_assert_eq!(reader.cursor(), whole);
    }
}

#[test]
fn what_the_disk_does_not_take_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut log = Log::create(&path, 1 << 20).unwrap();
    log.append(OutputStream::Stdout, 1, b"before");
    // A directory in the place of the next segment is a disk that fails.
    log.leave_segment();
    std::fs::create_dir(log.path(6)).unwrap();
    log.append(OutputStream::Stdout, 2, b"lost");
    log.append(OutputStream::Stderr, 3, b"after");
    assert_eq!((log.extent().end, log.extent().lost), (15, 4));
    let mut reader = Reader::at(0);
    let mut buffer = [0; 100];
    let mut seen = Vec::new();
    loop {
        match reader.next(&log, &mut buffer).unwrap() {
            Next::End => break,
            Next::Gap(bytes) => seen.push(format!("gap of {bytes}")),
            Next::Output { len, .. } => seen.push(String::from_utf8_lossy(&buffer[..len]).into_owned()),
        }
    }
    assert_eq!(seen, ["before", "gap of 4", "after"]);
}
