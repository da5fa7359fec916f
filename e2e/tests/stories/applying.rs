//! Taking work into a work tree that has changes of its own; and repositories of which not all is here, or not as it is stored.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use banger_cases::refused;
use banger_e2e::{Backend, Home, Image, git};

use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("work_is_applied_to_a_dirty_work_tree", applied),
    on_the_host("a_conflict_is_found_before_a_file_is_written", conflicts),
    on_the_host("a_hostile_tree_is_not_applied", hostile_tree),
    on_the_host("a_partial_clone_goes_as_far_as_it_is_here", partial),
];

const LINES: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";

/// A repository with changes that are not committed, placed in the VM `web`.
fn placed(home: &Home, backend: Backend, repo: &Path) -> Result<()> {
    std::fs::create_dir_all(repo.join("dir"))?;
    git(repo, &["init", "-q", "-b", "main"])?;
    for name in ["both", "theirs", "mine", "gone", "dir/deep", "run"] {
        std::fs::write(repo.join(name), LINES)?;
    }
    git(repo, &["add", "-A"])?;
    git(repo, &["commit", "-q", "-m", "first"])?;
    std::fs::write(repo.join("both"), LINES.replace('1', "mine"))?;
    std::fs::write(repo.join("untracked"), "mine\n")?;
    home.create(backend, Image::Busybox, "web", &[])?;
    home.banger(["vm", "workspace", "prepare", "web", path(repo)?])?
        .ok()
        .map(drop)
}

pub(crate) fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path")
}

pub(crate) fn in_guest(home: &Home, line: &str) -> Result<()> {
    let line = format!("cd repo && {line}");
    home.exec("web", &["sh", "-c", &line])?.ok().map(drop)
}

pub(crate) fn pull(home: &Home) -> Result<banger_e2e::Output> {
    home.banger(["vm", "workspace", "pull", "web"])?.ok()
}

fn applied(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let dir = tempfile::tempdir()?;
    let repo = dir.path().join("repo");
    placed(&home, backend, &repo)?;
    let apply = |more: &[&str]| home.banger([&["vm", "workspace", "apply", "web"], more].concat());
    apply(&[])?
        .failed()?
        .saying("nothing was pulled")?
        .saying("banger vm workspace pull web")?;
    in_guest(
        &home,
        "sed -i s/9/guest/ both && sed -i s/5/guest/ theirs && rm gone && mkdir -p new/dir && echo new > new/dir/file \
         && chmod +x run && ln -s theirs link && git -c user.name=g -c user.email=g@g commit -qam guest && echo more >> theirs",
    )?;
    // The VM need not run for what was pulled.
    pull(&home)?
        .saying("uncommitted changes")?
        .saying("banger vm workspace apply web")?;
    home.banger(["vm", "stop", "web"])?.ok()?;
    // Changed once more meanwhile.
    std::fs::write(repo.join("mine"), "mine\n")?;
    let (head, index) = (
        git(&repo, &["rev-parse", "HEAD"])?,
        git(&repo, &["ls-files", "--stage"])?,
    );
    let output = apply(&["--json"])?.ok()?;
    let report: banger_api::WorkspaceApplied = serde_json::from_slice(&output.stdout)?;
    let changed: Vec<String> = report
        .changes
        .iter()
        .map(|it| format!("{} {}", it.status, it.path))
        .collect();
    let expected = [
        "M both",
        "D gone",
        "A link",
        "A new/dir/file",
        "M run",
        "M theirs",
    ];
    ensure!(changed == expected, "{changed:?}");
    let read = |name: &str| std::fs::read_to_string(repo.join(name));
    ensure!(
        read("both")? == LINES.replace('1', "mine").replace('9', "guest"),
        "{}",
        read("both")?
    );
    ensure!(read("theirs")? == LINES.replace('5', "guest") + "more\n" && read("mine")? == "mine\n");
    ensure!(
        !repo.join("gone").exists() && read("new/dir/file")? == "new\n" && read("untracked")? == "mine\n"
    );
    ensure!(std::fs::read_link(repo.join("link"))? == Path::new("theirs"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&repo.join("run").metadata()?.permissions());
    ensure!(mode & 0o111 != 0, "{mode:o}");
    ensure!(head == git(&repo, &["rev-parse", "HEAD"])? && index == git(&repo, &["ls-files", "--stage"])?);
    // Once more, there is nothing to do.
    apply(&[])?.ok()?.saying("0 files changed")?;
    home.end()
}

fn conflicts(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let dir = tempfile::tempdir()?;
    let repo = dir.path().join("repo");
    placed(&home, backend, &repo)?;
    std::fs::write(repo.join(".git/info/exclude"), "ignored\n")?;
    in_guest(
        &home,
        "sed -i s/5/guest/ theirs && echo guest > new && echo guest > ignored && git add -f ignored && rm mine",
    )?;
    pull(&home)?;
    let apply = || home.banger(["vm", "workspace", "apply", "web"]);
    let same = |what: &str| {
        ensure!(
            std::fs::read_to_string(repo.join("theirs"))? != LINES.replace('5', "guest"),
            "{what}: written"
        );
        Ok(())
    };
    // The same line, a new file of each side, a file that git ignores here, one that only one side removed.
    for (what, name, text) in [
        ("line", "theirs", LINES.replace('5', "host")),
        ("new", "new", "host\n".to_owned()),
        ("ignored", "ignored", "host\n".to_owned()),
        ("removed", "mine", LINES.replace('5', "host")),
    ] {
        let before = std::fs::read(repo.join(name)).ok();
        std::fs::write(repo.join(name), &text)?;
        apply()?.failed()?.saying("nothing was applied")?.saying(name)?;
        ensure!(std::fs::read_to_string(repo.join(name))? == text, "{what}");
        same(what)?;
        match before {
            Some(before) => std::fs::write(repo.join(name), before)?,
            None => std::fs::remove_file(repo.join(name))?,
        }
    }
    apply()?.ok()?;
    ensure!(std::fs::read_to_string(repo.join("ignored"))? == "guest\n" && !repo.join("mine").exists());
    home.end()
}

fn hostile_tree(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let dir = tempfile::tempdir()?;
    let repo = dir.path().join("repo");
    placed(&home, backend, &repo)?;
    let outside = dir.path().join("outside");
    std::fs::create_dir(&outside)?;
    for (what, line) in [
        ("absolute-link", "ln -s /etc/passwd out"),
        ("relative-link", "ln -s ../outside out"),
        ("git-link", "ln -s .git/hooks out"),
    ] {
        in_guest(&home, &format!("rm -rf out && {line}"))?;
        pull(&home)?;
        let applied = home.banger(["vm", "workspace", "apply", "web"])?;
        applied.failed()?.saying("out (leads out of the work tree)")?;
        ensure!(!repo.join("out").is_symlink(), "{what}");
        refused("host-files", &format!("apply.{what}"));
    }
    // A directory here that has become a link: nothing is written through it.
    in_guest(&home, "rm out && echo guest > dir/deep")?;
    pull(&home)?;
    std::fs::rename(repo.join("dir"), dir.path().join("away"))?;
    std::os::unix::fs::symlink(&outside, repo.join("dir"))?;
    home.banger(["vm", "workspace", "apply", "web"])?.failed()?;
    ensure!(std::fs::read_dir(&outside)?.next().is_none());
    refused("host-files", "apply.through-a-link");
    home.end()
}

fn partial(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let dir = tempfile::tempdir()?;
    let origin = dir.path().join("origin");
    std::fs::create_dir(&origin)?;
    git(&origin, &["init", "-q", "-b", "main"])?;
    git(&origin, &["config", "uploadpack.allowFilter", "true"])?;
    for text in ["1", "2", "3"] {
        std::fs::write(origin.join("file"), text)?;
        git(&origin, &["add", "-A"])?;
        git(&origin, &["commit", "-q", "-m", text])?;
    }
    for filter in ["blob:none", "tree:0"] {
        let name = filter.replace(':', "-");
        let url = format!("file://{}", origin.display());
        git(
            dir.path(),
            &["clone", "-q", &format!("--filter={filter}"), &url, &name],
        )?;
        // Gone: nothing can be fetched.
        let away = dir.path().join("away");
        std::fs::rename(&origin, &away)?;
        let clone = dir.path().join(&name);
        home.create(backend, Image::Busybox, &name, &[])?;
        let prepared = home
            .banger(["vm", "workspace", "prepare", &name, path(&clone)?])?
            .ok();
        prepared.context(filter)?.saying("partial clone")?;
        let line = "cd repo && cat file && git status --porcelain && git log --format=%s && git config extensions.partialclone \
                    && echo more > more && git add more && git -c user.name=g -c user.email=g@g commit -qm guest";
        let told = home.exec(&name, &["sh", "-c", line])?.ok()?;
        ensure!(told.text().contains("origin"), "{filter}: {}", told.text());
        home.banger(["vm", "workspace", "pull", &name])?
            .ok()
            .context(filter)?;
        let subject = git(
            &clone,
            &["log", "-1", "--format=%s", &format!("refs/banger/{name}/HEAD")],
        )?;
        ensure!(subject == "guest", "{filter}: {subject}");
        // What is not here is named with the command that gets it, and that command does.
        let older = || {
            let prepare = [
                "vm",
                "workspace",
                "prepare",
                &name,
                path(&clone)?,
                "--from",
                "HEAD~1",
            ];
            home.banger(prepare.iter().chain(&["--guest-path", "/root/older"]))
        };
        let refused = older()?.failed()?.saying("is a partial clone")?;
        std::fs::rename(&away, &origin)?;
        let command = refused.stderr.split('`').nth(1).context("a hint")?;
        let ran = Command::new("sh").args(["-c", command]).output()?;
        ensure!(ran.status.success(), "{filter}: {command}: {ran:?}");
        older()?
            .ok()
            .with_context(|| format!("{filter} after {command}"))?;
    }
    home.end()
}
