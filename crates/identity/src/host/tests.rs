//! Files of the host's user, as they are packed and refused.

use std::os::unix::fs::symlink;

use super::*;

fn path(text: &str) -> HostPath {
    text.to_owned().try_into().unwrap()
}

fn read(home: &Path, text: &str) -> Result<Vec<u8>, Error> {
    packed(&path(text), home, b"it", FileMode::default())
}

#[test]
fn links_lead_to_the_users_own_files_and_nowhere_else() {
    let home = tempfile::tempdir().unwrap();
    let (home, dots) = (home.path(), home.path().join("dots"));
    std::fs::create_dir(&dots).unwrap();
    std::fs::write(dots.join("auth.json"), "within").unwrap();
    symlink("dots/auth.json", home.join("within")).unwrap();
    symlink(dots.join("auth.json"), home.join("absolute")).unwrap();
    symlink("/etc/passwd", home.join("outside")).unwrap();
    symlink("/etc", home.join("etc")).unwrap();
    assert!(read(home, "~/within").is_ok() && read(home, "~/absolute").is_ok());
    for leads in ["~/outside", "~/etc/passwd"] {
        assert!(matches!(read(home, leads), Err(Error::Leads(_))), "{leads}");
    }
    let named = format!("{}/outside", home.display());
    assert!(matches!(read(home, &named), Err(Error::Leads(_))));
    // Where the file is not below the home directory, the path is to be the file's.
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link");
    symlink("/etc/passwd", &link).unwrap();
    assert!(matches!(
        read(home, &link.to_string_lossy()),
        Err(Error::Leads(_))
    ));
    assert!(read(home, "/etc/passwd").is_ok());
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let pipe = home.path().join("pipe");
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
    )
    .unwrap();
    assert!(matches!(read(home.path(), "~/pipe"), Err(Error::Kind)));
    assert!(matches!(read(home.path(), "/dev/zero"), Err(Error::Kind)));
    assert!(matches!(read(home.path(), "~/none"), Err(Error::Absent)));
    assert!(matches!(read(home.path(), "~/pipe/none"), Err(Error::Absent)));
}

#[test]
fn links_in_a_directory_stay_links() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("dir/below");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("file"), "text").unwrap();
    symlink("/etc/passwd", dir.join("link")).unwrap();
    let tar = read(home.path(), "~/dir").unwrap();
    let mut seen = Vec::new();
    banger_archive::read(&tar[..], &mut |entry, _| {
        seen.push((
            String::from_utf8(entry.name).unwrap(),
            entry.meta.mode,
            entry.kind,
        ));
        Ok::<_, banger_archive::Error>(())
    })
    .unwrap();
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    let kinds: Vec<_> = seen
        .iter()
        .map(|(name, mode, _)| (name.as_str(), *mode))
        .collect();
    assert_eq!(
        kinds,
        [
            ("it/", 0o700),
            ("it/below/", 0o700),
            ("it/below/file", 0o600),
            ("it/below/link", 0o777)
        ]
    );
    assert_eq!(seen[3].2, EntryKind::Symlink(b"/etc/passwd".to_vec()));
}

#[test]
fn of_settings_only_what_is_asked_for_goes() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".claude.json");
    let keys = |keys: &[&str]| {
        packed_keys(
            &path("~/.claude.json"),
            home.path(),
            b"it",
            FileMode::default(),
            keys,
        )
    };
    std::fs::write(&file, "{\"login\": {\"a\": 1}, \"projects\": {\"/secret\": {}}}").unwrap();
    let tar = keys(&["login"]).unwrap().unwrap();
    let text = String::from_utf8_lossy(&tar);
    assert!(
        text.contains("{\"login\":{\"a\":1}}") && !text.contains("secret"),
        "{text}"
    );
    assert!(keys(&["other"]).unwrap().is_none());
    std::fs::write(&file, "no JSON").unwrap();
    assert!(matches!(keys(&["login"]), Err(Error::Json(_))));
}
