//! Guests that mean harm: what they send is refused, and the user's repository stays byte for byte as it was.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image};

use super::compare::{fingerprint, git, in_guest, line};
use super::{awkward, report};

/// A git of the guest's that answers what the script after it says, when it is asked to pack; `$TIP` is the real HEAD.
const LIARS: &[(&str, &str, &str)] = &[
    (
        "a torn pack",
        r#"git_real "$@" | head -c 60"#,
        "the data from the guest is invalid",
    ),
    (
        "a flipped byte",
        r#"git_real "$@" | sed '1s/PACK/PACk/'"#,
        "the data from the guest is invalid",
    ),
    ("no pack at all", "exit 0", "the data from the guest is invalid"),
    (
        "noise",
        "head -c 100000 /dev/urandom",
        "the data from the guest is invalid",
    ),
    (
        "a pack without the commits",
        "printf '' | git_real pack-objects --stdout -q",
        "the data from the guest is invalid",
    ),
    (
        "a link as .git",
        r#"b=$(printf /etc | git_real hash-object -w --stdin); t=$(printf '120000 blob %s\t.git\n' $b | git_real mktree)
           c=$(git_real commit-tree $t -m x); git_real update-ref refs/heads/main $c; echo $c | git_real pack-objects --revs --stdout -q"#,
        "the data from the guest is invalid",
    ),
];

pub(super) fn leaves_the_repository_alone(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let liar = home.path().join("liar");
    std::fs::create_dir(&liar)?;
    let path = format!("PATH={}:/usr/bin:/bin", liar.display());
    home.create(backend, Image::Busybox, "web", &["--env", &path])?;
    let vm = home.vm("web")?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(
        dir.path(),
        &("victim", "init; echo 1 > f; commit; echo 2 > f; commit"),
    )?;
    report(&home, &repository, &[])?;
    let there = in_guest(home.path(), &vm, "/root/repo");
    git(&there, &["commit", "-q", "--allow-empty", "-m", "real"])?;
    std::fs::write(there.join("new"), "work")?;
    // The guest's hooks and settings are the guest's: none of them runs here.
    let trap = dir.path().join("trap");
    for (key, value) in [
        ("core.fsmonitor", format!("touch {}", trap.display())),
        ("uploadpack.packObjectsHook", format!("touch {}", trap.display())),
    ] {
        git(&there, &["config", key, &value])?;
    }
    let before = fingerprint(&repository)?;
    for (what, lie, said) in LIARS {
        lying(&liar, lie)?;
        let output = home.banger(["vm", "workspace", "pull", "web"])?;
        let output = output.failed().context(*what)?;
        ensure!(output.stderr.contains(said), "{what}: {}", output.stderr);
        ensure!(
            fingerprint(&repository)? == before,
            "{what}: the repository was touched"
        );
    }
    ensure!(!trap.exists(), "something of the guest's ran here");
    std::fs::remove_file(liar.join("git"))?;

    // Names that lead elsewhere are named, and not taken.
    let head = line(&there, &["rev-parse", "HEAD"])?;
    let packed = there.join(".git/packed-refs");
    let mut text = std::fs::read_to_string(&packed).unwrap_or_default();
    let long = "l".repeat(190);
    for name in [
        "a b",
        "x..y",
        "-x",
        "e\u{1b}[2J",
        "../../../heads/main",
        "a.lock",
        long.as_str(),
    ] {
        text.push_str(&format!("{head} refs/heads/{name}\n"));
    }
    std::fs::write(&packed, text)?;
    home.banger(["vm", "workspace", "pull", "web"])?.ok()?;
    let all = line(&repository, &["for-each-ref", "--format=%(refname)"])?;
    for name in all.lines() {
        let known = name == "refs/heads/main" || name.starts_with("refs/banger/web/");
        ensure!(known && !name.contains(".."), "{all}");
    }
    git(&repository, &["fsck", "--strict"])?;
    home.end()
}

/// Puts a git in the guest's way that lies when it is asked for a pack.
fn lying(bin: &Path, lie: &str) -> Result<()> {
    let script = format!(
        "#!/bin/sh\ngit_real() {{ /usr/bin/git \"$@\"; }}\n\
         case \" $* \" in *' pack-objects '*) ;; *) exec /usr/bin/git \"$@\";; esac\n{lie}\n"
    );
    std::fs::write(bin.join("git"), script)?;
    let executable = std::fs::Permissions::from_mode(0o755);
    Ok(std::fs::set_permissions(bin.join("git"), executable)?)
}
