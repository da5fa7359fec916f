//! The same in guests that really boot.

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image};

use super::compare::{fingerprint, git, line};
use super::{awkward, prepare, report};

pub(super) fn without_git(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "web", &["--env", "PATH=/nowhere"])?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(dir.path(), &awkward::KINDS[0])?;
    report(&home, &repository, &[])?;
    for verb in ["status", "diff", "export", "pull"] {
        let path = if backend.is_real() { "/bin" } else { "/nowhere" };
        home.banger(["vm", "set", "web", "--env", &format!("PATH={path}")])?
            .ok()?;
        home.banger(["vm", "workspace", verb, "web"])?
            .failed()?
            .saying("git is not installed in the guest")?
            .saying("install git in the guest")?;
    }
    // The agent sees by itself that something changed.
    if backend.is_real() {
        home.sh("web", "cd /root/repo && cat a b d/e/f >/dev/null && echo x >> a")?;
        home.banger(["vm", "stop", "web"])?
            .ok()?
            .saying("VM web has work at /root/repo that was not pulled: 1 changed file")?;
    }
    home.end()
}

pub(super) fn goes_and_comes(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Git])?;
    home.create(backend, Image::Git, "web", &[])?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(dir.path(), &awkward::KINDS[0])?;
    let before = fingerprint(&repository)?;
    report(&home, &repository, &[])?;
    ensure!(fingerprint(&repository)? == before, "the repository was touched");
    let there = home.sh(
        "web",
        "cd /root/repo && git status --porcelain && git fsck --strict --no-dangling",
    )?;
    let here = line(&repository, &["status", "--porcelain"])?;
    ensure!(there.trim() == here.trim(), "here:\n{here}\nthere:\n{there}");
    // Again, with a little more.
    std::fs::write(repository.join("b"), "more\n")?;
    let again = report(&home, &repository, &[])?;
    ensure!(again.sent_files == 1 && again.sent_bytes < 16 << 10, "{again:?}");
    home.sh(
        "web",
        "cd /root/repo && git config user.name g && git config user.email g@g && git checkout -q -b topic && git commit -q -am guest && echo u > untracked-there",
    )?;
    home.banger(["vm", "workspace", "status", "web"])?
        .ok()?
        .saying("1 new commit")?;
    let changes = home.banger(["vm", "workspace", "diff", "web"])?.ok()?.text();
    ensure!(changes.contains("+++ b/untracked-there"), "{changes}");
    let patch = dir.path().join("patch");
    let patch = patch.to_str().context("a path")?;
    home.banger(["vm", "workspace", "export", "web", "-o", patch])?
        .ok()?;
    git(&repository, &["apply", "--check", patch])?;
    home.banger(["vm", "workspace", "pull", "web"])?
        .ok()?
        .saying("banger vm workspace apply web")?;
    let head = home.sh("web", "cd /root/repo && git rev-parse HEAD")?;
    ensure!(
        line(&repository, &["rev-parse", "refs/banger/web/heads/topic"])? == head,
        "it is another commit"
    );
    let shown = git(&repository, &["show", "refs/banger/web/work:untracked-there"])?;
    ensure!(shown == b"u\n", "it did not come");
    git(&repository, &["fsck", "--strict"])?;
    // It is there after a restart, and known.
    home.banger(["vm", "restart", "web"])?.ok()?;
    let again = report(&home, &repository, &[])?;
    ensure!(again.sent_files == 0, "{again:?}");
    home.end()
}

pub(super) fn readonly(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "web", &[])?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(dir.path(), &awkward::KINDS[0])?;
    prepare(&home, &repository, &["--readonly"])?.ok()?;
    let write = ["sh", "-c", "echo x > /root/repo/x"];
    home.exec("web", &write)?.failed()?.saying("Read-only")?;
    home.banger(["vm", "restart", "web"])?.ok()?;
    home.exec("web", &write)?.failed()?.saying("Read-only")?;
    // One that is refused changes nothing of that.
    prepare(&home, &repository, &["--branch", "no..name"])?.failed()?;
    home.exec("web", &write)?.failed()?.saying("Read-only")?;
    prepare(&home, &repository, &[])?.ok()?;
    home.exec("web", &write)?.ok()?;
    home.end()
}
