//! Imports through the store, looked at with e2fsprogs.

use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use banger_image::{Error, ImageRecord, ImageStore, ImportOptions, ImportSource};

fn tool(name: &str) -> Command {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(name);
    command.env("PATH", path).env("LC_ALL", "C");
    command
}

fn check(record: &ImageRecord) {
    let output = tool("e2fsck")
        .arg("-fn")
        .arg(&record.layers[0].path)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

fn debugfs(record: &ImageRecord, request: &str) -> String {
    let output = tool("debugfs")
        .args(["-R", request])
        .arg(&record.layers[0].path)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn import(store: &ImageStore, name: &str, mut tar: &[u8]) -> Result<ImageRecord, Error> {
    let source = ImportSource::Stream(&mut tar);
    store.import(
        &name.parse().unwrap(),
        source,
        &ImportOptions::default(),
        &mut |_, _| ControlFlow::Continue(()),
    )
}

fn header(kind: tar::EntryType, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_uid(1000);
    header.set_gid(1000);
    header.set_mtime(1_600_000_000);
    header
}

fn file(tar: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
    tar.append_data(&mut header(tar::EntryType::Regular, content.len()), name, content)
        .unwrap();
}

fn link(tar: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &str, target: &str) {
    tar.append_link(&mut header(kind, 0), name, target).unwrap();
}

fn sample() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    file(&mut tar, "etc/os-release", b"NAME=x\nPRETTY_NAME=\"Sample 1\"\n");
    file(&mut tar, "usr/lib/systemd/systemd", b"#!");
    link(&mut tar, tar::EntryType::Symlink, "lib", "usr/lib");
    link(
        &mut tar,
        tar::EntryType::Symlink,
        "sbin/init",
        "/lib/systemd/systemd",
    );
    // Through a link to a directory, as merged-/usr packages have it.
    file(&mut tar, "lib/through", b"a link");
    file(&mut tar, "twice", b"first");
    file(&mut tar, "twice", b"second");
    link(&mut tar, tar::EntryType::Link, "again", "twice");
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    file(&mut tar, &long, b"long");
    let records = [
        ("mtime", &b"1700000000.123456789"[..]),
        ("SCHILY.xattr.user.color", b"blue"),
    ];
    tar.append_pax_extensions(records).unwrap();
    file(&mut tar, "exact", b"x");
    tar.into_inner().unwrap()
}

#[test]
fn what_an_archive_says_is_what_the_image_has() {
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::open(dir.path()).unwrap();
    let record = import(&store, "sample", &sample()).unwrap();
    check(&record);
    assert_eq!(record.os.as_deref(), Some("Sample 1"));
    assert_eq!(record.init.as_deref(), Some("systemd"));
    assert!(debugfs(&record, "cat twice").ends_with("second"));
    assert!(debugfs(&record, "cat usr/lib/through").ends_with("a link"));
    let again = debugfs(&record, "stat again");
    assert!(
        again.contains("Links: 2") && again.contains("User:  1000"),
        "{again}"
    );
    let exact = debugfs(&record, "stat exact");
    // 123456789 ns, shifted beside the two bits that extend the seconds.
    assert!(exact.contains(&format!("{:x}", 123_456_789_u32 << 2)), "{exact}");
    assert!(debugfs(&record, "ea_get exact user.color").contains("blue"));
    let long = format!("cat {}/{}", "d".repeat(200), "f".repeat(200));
    assert!(debugfs(&record, &long).ends_with("long"));
}

#[test]
fn every_compression_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::open(dir.path()).unwrap();
    let plain = sample();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let forms = [
        ("gzip", gzip.finish().unwrap()),
        ("zstd", zstd::encode_all(&plain[..], 1).unwrap()),
        ("xz", liblzma::encode_all(&plain[..], 1).unwrap()),
        ("plain", plain),
    ];
    let bytes: Vec<Vec<u8>> = forms
        .iter()
        .map(|(name, form)| std::fs::read(&import(&store, name, form).unwrap().layers[0].path).unwrap())
        .collect();
    assert!(bytes.windows(2).all(|pair| pair[0] == pair[1]));
    // One that is cut short is told, whatever its form.
    for (name, form) in &forms {
        let cut = &form[..form.len() / 2];
        assert!(import(&store, &format!("{name}-cut"), cut).is_err(), "{name}");
    }
    assert_eq!(
        std::fs::read_dir(dir.path().join("images/tmp")).unwrap().count(),
        0
    );
}

#[test]
fn links_on_the_way_stay_inside_and_circles_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::open(dir.path()).unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    link(&mut tar, tar::EntryType::Symlink, "up", "../../../..");
    file(&mut tar, "up/inside", b"the root is the end");
    let record = import(&store, "up", &tar.into_inner().unwrap()).unwrap();
    assert!(debugfs(&record, "cat inside").ends_with("the end"));
    let mut tar = tar::Builder::new(Vec::new());
    link(&mut tar, tar::EntryType::Symlink, "a", "b");
    link(&mut tar, tar::EntryType::Symlink, "b", "a");
    file(&mut tar, "a/x", b"");
    let error = import(&store, "circle", &tar.into_inner().unwrap()).unwrap_err();
    assert!(error.to_string().contains("lead nowhere"), "{error}");
    let mut tar = tar::Builder::new(Vec::new());
    link(&mut tar, tar::EntryType::Link, "a", "missing");
    assert!(import(&store, "missing", &tar.into_inner().unwrap()).is_err());
}

#[test]
fn of_two_imports_of_one_name_one_wins_and_nothing_is_left_of_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::open(dir.path()).unwrap();
    let tar = sample();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| import(&store, "same", &tar)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(
        outcomes
            .iter()
            .flat_map(|outcome| outcome.as_ref().err())
            .all(|error| matches!(error, Error::Store(banger_store::Error::Exists { .. })))
    );
    let count = |part: &str| {
        std::fs::read_dir(dir.path().join("images").join(part))
            .unwrap()
            .count()
    };
    assert_eq!((count("g"), count("tmp"), count("names")), (1, 0, 1));
}

#[test]
fn a_cancelled_import_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::open(dir.path()).unwrap();
    let tar = sample();
    let mut steps = 0;
    let mut progress = |_, _| {
        steps += 1;
        if steps < 4 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let source = ImportSource::Stream(&mut &tar[..]);
    let outcome = store.import(
        &"x".parse().unwrap(),
        source,
        &ImportOptions::default(),
        &mut progress,
    );
    assert!(matches!(outcome, Err(Error::Cancelled(_))));
    assert!(store.list().unwrap().is_empty());
    assert_eq!(
        std::fs::read_dir(dir.path().join("images/tmp")).unwrap().count(),
        0
    );
}

#[test]
fn a_directory_comes_with_its_links_and_holes() {
    let tree = tempfile::tempdir().unwrap();
    let at = |name: &str| tree.path().join(name);
    std::fs::create_dir(at("d")).unwrap();
    std::fs::write(at("d/file"), "content").unwrap();
    std::fs::hard_link(at("d/file"), at("d/other")).unwrap();
    std::os::unix::fs::symlink("d/file", at("link")).unwrap();
    let sparse = File::create(at("sparse")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"far", 1 << 29).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::open(dir.path()).unwrap();
    let record = store
        .import(
            &"tree".parse().unwrap(),
            ImportSource::Directory(tree.path()),
            &ImportOptions::default(),
            &mut |_, _| ControlFlow::Continue(()),
        )
        .unwrap();
    check(&record);
    assert!(record.bytes < 8 << 20, "{} bytes", record.bytes);
    assert!(debugfs(&record, "stat d/other").contains("Links: 2"));
    assert!(debugfs(&record, "stat sparse").contains("Size: 1073741824"));
    assert!(!debugfs(&record, "ls /").contains("socket"));
}

#[test]
fn a_store_may_be_moved() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    import(&ImageStore::open(&from).unwrap(), "sample", &sample()).unwrap();
    std::fs::rename(&from, &to).unwrap();
    let record = ImageStore::open(&to)
        .unwrap()
        .get(&"sample".parse().unwrap())
        .unwrap();
    assert!(record.layers[0].path.starts_with(&to) && Path::new(&record.layers[0].path).exists());
}
