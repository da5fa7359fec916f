//! Copies and synchronisations with a guest that is a directory, whose connections refuse and break.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use banger_archive::pack::Packing;
use banger_archive::unpack::{Unpacking, unpack};
use banger_guest_api::query::encoded;
use banger_guest_api::{
    Channel, Failure, FilesDone, FilesEnd, Listed, ListedKind, OfDirectory, PayloadReader, PayloadWriter,
    PutFiles,
};
use banger_hostfs::Dir;
use banger_transfer::copy::{packed, piped, receive};
use banger_transfer::sync::{Event, Extent, Sync, Syncing};
use banger_transfer::{Error, GuestFiles};
use banger_wire::files::{FilesError, GetStream, Handed, Listing, PutStream};
use tempfile::TempDir;

/// What the next copy meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The guest does not take it.
    Refused,
    /// The connection breaks.
    Broken,
}

/// A guest whose files are in a directory.
#[derive(Debug)]
struct Fake {
    dir: PathBuf,
    trouble: Mutex<Option<Trouble>>,
    /// How often the way to it is another one when it is looked for again.
    ways: u32,
}

impl Fake {
    fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            trouble: Mutex::new(None),
            ways: 0,
        }
    }

    fn with(self, trouble: Trouble) -> Self {
        Self {
            trouble: Mutex::new(Some(trouble)),
            ..self
        }
    }

    fn next_trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap().take()
    }
}

impl GuestFiles for Fake {
    type Error = Error;

    async fn put_files(&self, _: &PutFiles) -> Result<PutStream, Error> {
        let (dir, trouble) = (self.dir.clone(), self.next_trouble());
        Ok(PutStream::on(connection(move |socket| {
            take(&socket, &dir, trouble)
        })))
    }

    async fn list_files(&self, _: &OfDirectory) -> Result<Listing, Error> {
        let dir = self.dir.clone();
        Ok(Listing::on(connection(move |socket| list(&socket, &dir))))
    }

    async fn remove_files(&self, _: &OfDirectory, names: Vec<u8>) -> Result<FilesDone, Error> {
        let mut done = FilesDone::default();
        for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            let path = self.dir.join(std::ffi::OsStr::from_bytes(name));
            match path.is_dir() {
                true => fs::remove_dir_all(path).unwrap(),
                false => fs::remove_file(path).unwrap(),
            }
            done.entries += 1;
        }
        Ok(done)
    }

    async fn look_again(&mut self) -> Result<bool, Error> {
        let is_another = self.ways > 0;
        self.ways = self.ways.saturating_sub(1);
        Ok(is_another)
    }
}

/// A connection whose other side does `work`.
fn connection(work: impl FnOnce(UnixStream) + Send + 'static) -> Handed {
    let (agent, theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || work(theirs));
    Handed {
        agent,
        sent: Vec::new(),
    }
}

fn take(socket: &UnixStream, dir: &Path, trouble: Option<Trouble>) {
    let mut tar = PayloadReader::new(socket, Channel::Stdin);
    let unpacking = Unpacking {
        replace: true,
        ..Unpacking::default()
    };
    let end = match trouble {
        Some(Trouble::Broken) => return,
        Some(Trouble::Refused) => FilesEnd::Failed(Failure {
            causes: vec!["the disk is full".to_owned()],
            ..Failure::new("write a file")
        }),
        None => match unpack(&mut tar, Dir::open(dir).unwrap().into(), &unpacking, &mut |_| {}) {
            Ok(unpacked) => FilesEnd::Done(FilesDone {
                entries: unpacked.entries,
                bytes: unpacked.bytes,
                notes: unpacked.notes,
            }),
            Err(error) => FilesEnd::Failed(Failure::new(error.to_string())),
        },
    };
    say_end(PayloadWriter::new(socket, Channel::Stdout), &end);
    // As the agent does: who is stopped in the middle of what it sends would not see the end.
    let _ = io::copy(&mut &*socket, &mut io::sink());
}

fn list(socket: &UnixStream, dir: &Path) {
    let mut out = PayloadWriter::new(socket, Channel::Stdout);
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let kind = match metadata.is_dir() {
                true => ListedKind::Directory,
                false => ListedKind::File,
            };
            let name = path.strip_prefix(dir).unwrap().to_owned();
            let listed = Listed {
                path: encoded(&name.into_os_string().into_vec()),
                kind,
                mode: metadata.mode(),
                size: metadata.len(),
                mtime: (metadata.mtime(), metadata.mtime_nsec() as u32),
                target: None,
            };
            writeln!(out, "{}", serde_json::to_string(&listed).unwrap()).unwrap();
            if kind == ListedKind::Directory {
                dirs.push(path);
            }
        }
    }
    say_end(out, &FilesEnd::Done(FilesDone::default()));
}

fn say_end(out: PayloadWriter<&UnixStream>, end: &FilesEnd) {
    // Who has left needs no word.
    let _ = out.end_with(&serde_json::to_vec(end).unwrap());
}

/// A tree of this host, and a guest's directory.
fn both(here: &[(&str, &str)], there: &[(&str, &str)]) -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().canonicalize().unwrap();
    let sides = [("here", here), ("there", there)].map(|(side, files)| {
        let side = top.join(side);
        fs::create_dir(&side).unwrap();
        for (path, text) in files {
            let path = side.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        side
    });
    let [here, there] = sides;
    (dir, here, there)
}

async fn copied(guest: &Fake, from: &Path) -> Result<FilesDone, Error> {
    let (from, put) = (from.to_owned(), PutFiles::default());
    let sent = packed(
        guest,
        &put,
        Packing::default(),
        |_| {},
        move |packer| packer.tree(&from, b"copy"),
    );
    tokio::time::timeout(Duration::from_secs(20), sent).await.unwrap()
}

#[tokio::test]
async fn a_tree_arrives_as_it_is() {
    let (_dir, here, there) = both(&[("a", "text"), ("d/b", "more")], &[]);
    let done = copied(&Fake::new(&there), &here).await.unwrap();
    assert_eq!((done.entries, done.bytes), (4, 8));
    assert_eq!(fs::read_to_string(there.join("copy/d/b")).unwrap(), "more");
}

#[tokio::test]
async fn why_the_guest_takes_no_more_is_told_in_its_words() {
    let (_dir, here, there) = both(&[("large", &"x".repeat(8 << 20))], &[]);
    let guest = Fake::new(&there).with(Trouble::Refused);
    let Err(Error::Guest(FilesError::Guest(failure))) = copied(&guest, &here).await else {
        panic!("the guest refused");
    };
    assert_eq!(failure.message, "write a file");
    assert_eq!(failure.causes, ["the disk is full"]);
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_copy() {
    let (_dir, here, there) = both(&[("large", &"x".repeat(8 << 20))], &[]);
    let guest = Fake::new(&there).with(Trouble::Broken);
    let failed = copied(&guest, &here).await;
    assert!(
        matches!(
            failed,
            Err(Error::Guest(FilesError::Stream(_) | FilesError::Ended))
        ),
        "{failed:?}"
    );
}

#[tokio::test]
async fn an_archive_that_cannot_be_read_is_this_sides_failure() {
    struct Unreadable;

    impl Read for Unreadable {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("a bad disk"))
        }
    }

    let (_dir, _, there) = both(&[], &[]);
    let guest = Fake::new(&there);
    let failed = piped(Unreadable, &guest, &PutFiles::default(), |_| {}).await;
    assert!(matches!(failed, Err(Error::Read(_))), "{failed:?}");
}

#[tokio::test]
async fn a_copy_that_is_interrupted_leaves_nothing() {
    let (_dir, here, _) = both(&[], &[]);
    // A guest that never sends anything, until its client hangs up.
    let silent = GetStream::on(connection(|socket| {
        let _ = io::copy(&mut &socket, &mut io::sink());
    }));
    let to = Dir::open(&here).unwrap().into();
    let received = receive(silent, to, Unpacking::default(), |_| {}, std::future::ready(()));
    let received = tokio::time::timeout(Duration::from_secs(20), received).await;
    assert!(matches!(received.unwrap(), Err(Error::Interrupted)));
    assert_eq!(fs::read_dir(&here).unwrap().count(), 0);
}

/// Synchronises once, and gives what was told of it but for what it is of.
async fn synchronised(here: &Path, guest: Fake) -> (Result<(), Error>, Vec<&'static str>) {
    let sync = Sync {
        root: here.to_owned(),
        to: b"/srv".to_vec(),
        delete: true,
        extent: Extent::All,
        owner: None,
    };
    let mut told = Vec::new();
    let mut tell = |event: &Event<'_>| {
        told.push(match event {
            Event::Pushed(_) => "push",
            Event::Removed(_) => "remove",
            Event::Done { .. } => "done",
            Event::Restarted => "restarted",
            Event::Skipped(..) | Event::Unasked(_) | Event::Watching => "other",
        });
    };
    let syncing = Syncing::begin(&sync, false, guest, &mut tell).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), syncing.run())
        .await
        .unwrap();
    (ended, told)
}

#[tokio::test]
async fn what_differs_goes_and_what_is_too_many_is_removed() {
    let (_dir, here, there) = both(&[("a", "new"), ("d/b", "")], &[("a", "older"), ("gone/c", "")]);
    let (ended, told) = synchronised(&here, Fake::new(&there)).await;
    ended.unwrap();
    assert_eq!(told, ["push", "push", "push", "remove", "done"]);
    assert_eq!(fs::read_to_string(there.join("a")).unwrap(), "new");
    assert!(there.join("d/b").exists() && !there.join("gone").exists());
    let (ended, told) = synchronised(&here, Fake::new(&there)).await;
    ended.unwrap();
    assert!(told.is_empty(), "{told:?}");
}

#[tokio::test]
async fn a_way_that_broke_is_followed_by_a_pass_over_the_next() {
    let (_dir, here, there) = both(&[("a", "text")], &[]);
    let guest = Fake {
        ways: 1,
        ..Fake::new(&there).with(Trouble::Broken)
    };
    let (ended, told) = synchronised(&here, guest).await;
    ended.unwrap();
    assert_eq!(told, ["restarted", "push", "done"]);
    assert_eq!(fs::read_to_string(there.join("a")).unwrap(), "text");
}

#[tokio::test]
async fn what_fails_although_the_way_is_the_same_is_told() {
    let (_dir, here, there) = both(&[("a", "text")], &[]);
    let guest = Fake::new(&there).with(Trouble::Refused);
    let (ended, told) = synchronised(&here, guest).await;
    assert!(
        matches!(ended, Err(Error::Guest(FilesError::Guest(_)))),
        "{ended:?}"
    );
    assert!(told.is_empty(), "{told:?}");
}
