//! A host gets its first image, and all that it lacks is said at once.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home, Output, fill_with_busybox};

use crate::{Scenario, images, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[on_the_host("setup_gets_what_is_missing", setup)];

fn setup(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    images::kernel(&home)?;
    let user = tempfile::tempdir()?;
    let (bin, nothing) = (user.path().join("bin"), user.path().join("nothing"));
    std::fs::create_dir(&bin)?;
    let usual = std::env::var("PATH")?;
    let before = format!("{}:{usual}", bin.display());
    let run = |path: &str, more: &[&str]| -> Result<Output> {
        let mut command = home.command(["setup"].iter().chain(more));
        command
            .env("PATH", path)
            .env("HOME", user.path())
            .env("SHELL", "/bin/bash");
        command.env_remove("XDG_DATA_HOME");
        home.finish(command, Vec::new())
    };
    let is_empty = || anyhow::Ok(home.banger(["image", "list", "-q"])?.ok()?.text().is_empty());
    run(&nothing.display().to_string(), &["--yes"])?
        .exited(5)?
        .saying("image debian-bookworm")?
        .saying("mmdebstrap, which makes the image, is not installed")?
        .saying("sudo apt-get install mmdebstrap")?;

    let root = user.path().join("root");
    fill_with_busybox(&root)?;
    let tar = user.path().join("root.tar");
    let mut pack = Command::new("tar");
    pack.arg("-cf").arg(&tar).arg("-C").arg(&root).arg(".");
    ensure!(pack.status()?.success());
    // Fails in the middle: its words are told, and nothing is kept.
    let broken = format!(
        "head -c 700000 '{}'; echo 'E: no mirror answers' >&2; exit 25",
        tar.display()
    );
    tool(&bin, &broken)?;
    run(&before, &["--dry-run"])?
        .ok()?
        .saying("image debian-bookworm: Debian bookworm with git")?;
    ensure!(is_empty()?, "a dry run did something");
    run(&before, &[])?.failed()?.saying("banger setup --yes")?;
    run(&before, &["--yes"])?
        .exited(1)?
        .saying("mmdebstrap failed")?
        .saying("E: no mirror answers")?;
    ensure!(is_empty()?, "half an image is kept");

    tool(
        &bin,
        &format!(
            "echo \"$*\" > '{}'; cat '{}'",
            user.path().join("said").display(),
            tar.display()
        ),
    )?;
    let done = run(&before, &["--yes", "--json"])?.ok()?.text();
    let done: serde_json::Value = serde_json::from_str(&done)?;
    ensure!(
        done["image"]["name"] == "debian-bookworm" && done["kernel"].is_null(),
        "{done}"
    );
    let said = std::fs::read_to_string(user.path().join("said"))?;
    ensure!(
        said.contains("--include=ca-certificates,git bookworm -"),
        "{said}"
    );
    let script = user
        .path()
        .join(".local/share/bash-completion/completions/banger");
    ensure!(
        std::fs::read_to_string(script)?.contains("banger"),
        "no completion"
    );

    // Nothing is left to do, and what is there stays.
    run(&before, &["--yes"])?.ok()?.saying("nothing is missing")?;
    home.end()
}

/// A program in the place of mmdebstrap.
fn tool(bin: &Path, script: &str) -> Result<()> {
    let path = bin.join("mmdebstrap");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}
