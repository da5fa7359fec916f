//! Conversations with the SFTP server.

use super::*;

fn ask(files: &mut Files, kind: u8, put: impl FnOnce(&mut Vec<u8>)) -> (u8, Vec<u8>) {
    let mut request = vec![kind];
    request.put_number(7);
    put(&mut request);
    let answer = answer(files, &request).unwrap();
    let mut from = Reader::new(&answer);
    assert_eq!(from.number().unwrap() as usize, answer.len() - 4);
    let kind = from.byte().unwrap();
    assert_eq!(from.number().unwrap(), 7);
    (kind, answer[9..].to_vec())
}

fn code(answer: (u8, Vec<u8>)) -> u32 {
    assert_eq!(answer.0, message::STATUS);
    Reader::new(&answer.1).number().unwrap()
}

#[test]
fn a_file_of_any_name_is_written_read_and_renamed() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = Files::new(dir.path());
    let name = b"na\xffme";
    let (kind, handle) = ask(&mut files, message::OPEN, |to| {
        to.put_string(name);
        to.put_number(0x02 | 0x08 | 0x20);
        to.put_number(4);
        to.put_number(0o640);
    });
    assert_eq!(kind, message::HANDLE);
    let handle = Reader::new(&handle).string().unwrap().to_vec();
    let written = ask(&mut files, message::WRITE, |to| {
        to.put_string(&handle);
        to.put_long(3);
        to.put_string(b"abc");
    });
    assert_eq!(code(written), 0);
    assert_eq!(
        code(ask(&mut files, message::CLOSE, |to| to.put_string(&handle))),
        0
    );
    assert_eq!(
        code(ask(&mut files, message::CLOSE, |to| to.put_string(&handle))),
        4
    );
    // A rename takes nothing's place; the POSIX one does.
    std::fs::write(dir.path().join("there"), "old").unwrap();
    let rename = |to: &mut Vec<u8>| {
        to.put_string(name);
        to.put_string(b"there");
    };
    assert_eq!(code(ask(&mut files, message::RENAME, rename)), 4);
    let posix = ask(&mut files, message::EXTENDED, |to| {
        to.put_string(b"posix-rename@openssh.com");
        rename(to);
    });
    assert_eq!(code(posix), 0);
    assert_eq!(std::fs::read(dir.path().join("there")).unwrap(), b"\0\0\0abc");
    assert_eq!(
        code(ask(&mut files, message::STAT, |to| to.put_string(b"none"))),
        2
    );
}

/// Opens a file for reading and writing.
fn open(files: &mut Files, name: &str) -> Vec<u8> {
    let (kind, handle) = ask(files, message::OPEN, |to| {
        to.put_string(name.as_bytes());
        to.put_number(0x01 | 0x02 | 0x08);
        to.put_number(0);
    });
    assert_eq!(kind, message::HANDLE);
    Reader::new(&handle).string().unwrap().to_vec()
}

fn copy(files: &mut Files, from: (&[u8], u64), length: u64, to: (&[u8], u64)) -> u32 {
    code(ask(files, message::EXTENDED, |request| {
        request.put_string(b"copy-data");
        request.put_string(from.0);
        request.put_long(from.1);
        request.put_long(length);
        request.put_string(to.0);
        request.put_long(to.1);
    }))
}

#[test]
fn data_is_copied_between_handles() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = Files::new(dir.path());
    let content: Vec<u8> = (0..3_000_000_u32).map(|byte| (byte % 251) as u8).collect();
    std::fs::write(dir.path().join("from"), &content).unwrap();
    let (from, to) = (open(&mut files, "from"), open(&mut files, "to"));
    let read = |name| std::fs::read(dir.path().join(name)).unwrap();
    // No length is all there is, however long.
    assert_eq!(copy(&mut files, (&from, 0), 0, (&to, 0)), 0);
    assert_eq!(read("to"), content);
    // A part to another place; beyond the end, as much as there is.
    assert_eq!(copy(&mut files, (&from, 10), 5, (&to, 1)), 0);
    assert_eq!(read("to")[..8], [0, 10, 11, 12, 13, 14, 6, 7]);
    assert_eq!(copy(&mut files, (&from, 2_999_999), 9_000, (&to, 3_000_000)), 0);
    assert_eq!(read("to").len(), 3_000_001);
    assert_eq!(copy(&mut files, (&from, u64::MAX), 1, (&to, 0)), 4);
    // Within a file: apart, yes; onto itself, no, by whatever handle.
    std::fs::hard_link(dir.path().join("to"), dir.path().join("link")).unwrap();
    assert_eq!(copy(&mut files, (&to, 0), 4, (&to, 4)), 0);
    assert_eq!(read("to")[..8], [0, 10, 11, 12, 0, 10, 11, 12]);
    let before = read("to");
    let link = open(&mut files, "link");
    for (at, length, to_at) in [(0, 0, 1), (0, 5, 4), (4, 5, 0), (0, 0, 0), (1, u64::MAX, 0)] {
        assert_eq!(
            copy(&mut files, (&to, at), length, (&link, to_at)),
            4,
            "{at} {length} {to_at}"
        );
    }
    assert_eq!(read("to"), before);
    assert_eq!(copy(&mut files, (b"none", 0), 0, (&to, 0)), 4);
}

#[test]
fn handles_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = Files::new(dir.path());
    let mut open = 0;
    while ask(&mut files, message::OPENDIR, |to| to.put_string(b".")).0 == message::HANDLE {
        open += 1;
    }
    assert_eq!(open, files::MAX_HANDLES);
}

#[test]
fn what_is_cut_short_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = Files::new(dir.path());
    for kind in 0..=u8::MAX {
        if kind != message::INIT {
            ask(&mut files, kind, |to| to.put_byte(0));
        }
    }
    assert_eq!(answer(&mut files, &[message::STAT, 0]), None);
}
