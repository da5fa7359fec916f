//! Repositories go into guests and come back: equal, or with a clear word, and never at the cost of either side.

mod awkward;
mod back;
mod compare;
mod hostile;
mod kills;
mod real;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image};

use self::compare::{Prints, fingerprint, git, in_guest, look, without};
use crate::{Scenario, everywhere, in_guests, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host(
        "awkward_repositories_arrive_as_they_are",
        awkward_repositories_arrive,
    ),
    on_the_host("again_only_what_changed_goes", again_only_what_changed_goes),
    on_the_host(
        "a_guests_own_changes_are_not_overwritten",
        own_changes_are_not_overwritten,
    ),
    on_the_host("modes_of_a_workspace", modes),
    on_the_host("what_stays_behind_is_named", what_stays_behind),
    on_the_host(
        "a_prepare_that_was_killed_is_finished_by_the_next",
        kills::of_a_fake_prepare,
    ),
    on_the_host("work_comes_back", back::work_comes_back),
    on_the_host(
        "work_comes_back_whatever_the_guest_did",
        back::whatever_the_guest_did,
    ),
    on_the_host("unsaved_work_is_told", back::unsaved_work_is_told),
    on_the_host("what_no_pull_brings_is_unsaved", back::what_no_pull_brings),
    on_the_host(
        "a_vm_of_an_ended_command_stays_with_work_that_no_pull_brings",
        back::work_that_no_pull_brings,
    ),
    on_the_host(
        "no_client_deletes_a_vm_with_unsaved_work_by_accident",
        back::no_client_deletes_work,
    ),
    on_the_host("work_is_pulled_before_a_stop_where_configured", back::auto_export),
    on_the_host(
        "work_is_pulled_before_a_vm_goes_with_a_killed_command",
        back::auto_export_of_killed_commands,
    ),
    on_the_host(
        "a_vm_of_a_killed_command_stays_while_its_work_has_no_place",
        back::work_without_a_place,
    ),
    on_the_host(
        "a_stopped_vm_of_a_killed_command_stays_with_its_work",
        back::work_of_a_stopped_vm,
    ),
    on_the_host(
        "a_hostile_guest_leaves_the_repository_alone",
        hostile::leaves_the_repository_alone,
    ),
    everywhere("without_git_in_the_guest_it_is_said", real::without_git),
    in_guests("a_workspace_goes_and_comes", real::goes_and_comes),
    in_guests("a_readonly_workspace", real::readonly),
    in_guests("a_prepare_is_killed_in_the_middle", kills::of_a_prepare),
    in_guests("a_pull_is_killed_in_the_middle", kills::of_a_pull),
];

fn vm(home: &Home, backend: Backend) -> Result<banger_api::Vm> {
    home.create(backend, Image::Busybox, "web", &[])?;
    home.vm("web")
}

fn prepare(home: &Home, path: &Path, more: &[&str]) -> Result<banger_e2e::Output> {
    let path = path.to_string_lossy().into_owned();
    let mut args = vec!["vm", "workspace", "prepare", "web", &path];
    args.extend(more);
    home.banger(args)
}

fn report(home: &Home, path: &Path, more: &[&str]) -> Result<banger_api::WorkspaceReport> {
    let output = prepare(home, path, &[&["--json"], more].concat())?.ok()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Fails with the first difference.
fn same(
    what: &str,
    ours: &std::collections::BTreeMap<String, String>,
    theirs: &std::collections::BTreeMap<String, String>,
) -> Result<()> {
    for (name, ours) in ours {
        let theirs = theirs.get(name).map(String::as_str).unwrap_or_default();
        let short = |text: &str| text.chars().take(4000).collect::<String>();
        ensure!(
            ours == theirs,
            "{what}: {name} differs\nhere:\n{}\nthere:\n{}",
            short(ours),
            short(theirs)
        );
    }
    Ok(())
}

/// Fails with what is not as it was.
fn untouched(what: &str, before: &Prints, dir: &Path) -> Result<()> {
    let after = fingerprint(dir)?;
    let paths = before.keys().chain(after.keys());
    let touched: Vec<_> = paths
        .filter(|path| before.get(*path) != after.get(*path))
        // git that reads a sparse index touches the times of trees.
        .filter(|path| {
            what != "a sparse index"
                || before.get(*path).map(|print| &print.3) != after.get(*path).map(|print| &print.3)
        })
        .collect();
    ensure!(touched.is_empty(), "{what}: touched: {touched:?}");
    Ok(())
}

fn awkward_repositories_arrive(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let vm = vm(&home, backend)?;
    for (number, kind) in awkward::KINDS.iter().enumerate() {
        let what = kind.0;
        let dir = tempfile::tempdir()?;
        let repository = awkward::make(dir.path(), kind)?;
        let before = fingerprint(dir.path())?;
        let guest_path = format!("/srv/{number}");
        prepare(&home, &repository, &["--guest-path", &guest_path])?
            .ok()
            .context(what)?;
        untouched(what, &before, dir.path())?;
        let there = in_guest(home.path(), &vm, &guest_path);
        // A repository inside stays behind, and is named; so does what is ignored.
        let left = ["inner", "deep/ly", "ignored1"];
        same(
            what,
            &without(look(&repository)?, &left),
            &without(look(&there)?, &left),
        )?;
        git(&there, &["fsck", "--strict", "--no-dangling"]).context(what)?;
        // What is known to be there is not sent again, and nothing counts as the guest's work.
        let again = report(&home, &repository, &["--guest-path", &guest_path])?;
        ensure!(
            again.sent_files == 0 && again.kept.is_empty(),
            "{what}: sent again: {again:?}"
        );
        let status = home
            .banger(["vm", "workspace", "status", "web", &guest_path, "--json"])?
            .ok()?;
        let status: banger_api::WorkspaceStatus = serde_json::from_slice(&status.stdout)?;
        ensure!(!status.unsaved && status.changes.is_empty(), "{what}: {status:?}");
    }
    home.end()
}

fn again_only_what_changed_goes(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let vm = vm(&home, backend)?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(dir.path(), &awkward::KINDS[0])?;
    let noise: Vec<u8> = (0..1_u32 << 20)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    std::fs::write(repository.join("large"), &noise)?;
    git(&repository, &["add", "large"])?;
    let first = report(&home, &repository, &[])?;
    ensure!(first.sent_bytes > 1 << 20, "{first:?}");
    let there = in_guest(home.path(), &vm, "/root/repo");
    let steps: &[&str] = &[
        "echo more >> a",
        "git commit -q -am all",
        "git checkout -q -b topic; echo t > t; git add t; git commit -q -m t",
        "git checkout -q main",
        "git reset -q --hard HEAD~1",
        "git rm -q -r d; mkdir d; echo x > d/x; rm -f a; mkdir a; echo y > a/y",
        "git stash -q -u",
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do echo $i > f; git add f; git commit -q -m $i; done",
        "git checkout -q --detach HEAD~2; chmod 600 b; ln -sf b new",
    ];
    for step in steps {
        let made = std::process::Command::new("sh")
            .args(["-e", "-c", step])
            .current_dir(&repository)
            .envs([
                ("GIT_AUTHOR_NAME", "me"),
                ("GIT_AUTHOR_EMAIL", "me@here"),
                ("GIT_COMMITTER_NAME", "me"),
                ("GIT_COMMITTER_EMAIL", "me@here"),
            ])
            .output()?;
        ensure!(
            made.status.success(),
            "{step}: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let again = report(&home, &repository, &[])?;
        ensure!(
            again.sent_bytes < 64 << 10 || step.contains("stash") || step.contains("reset"),
            "{step}: {again:?}"
        );
        let left = ["ignored1"];
        same(
            step,
            &without(look(&repository)?, &left),
            &without(look(&there)?, &left),
        )?;
        git(&there, &["fsck", "--strict", "--no-dangling"]).context(*step)?;
    }
    home.end()
}

fn own_changes_are_not_overwritten(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let vm = vm(&home, backend)?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(
        dir.path(),
        &("two files", "init; echo 1 > a; echo 1 > b; echo 1 > c; commit"),
    )?;
    report(&home, &repository, &[])?;
    let there = in_guest(home.path(), &vm, "/root/repo");
    std::fs::write(there.join("a"), "the guest's")?;
    std::fs::write(there.join("new"), "the guest's")?;
    // The host changed something else: the guest's stays.
    std::fs::write(repository.join("b"), "the host's")?;
    let again = report(&home, &repository, &[])?;
    ensure!(again.kept == ["a"] && again.sent_files == 1, "{again:?}");
    ensure!(
        std::fs::read_to_string(there.join("a"))? == "the guest's",
        "it was overwritten"
    );
    // Both changed the same: refused, and nothing is sent.
    std::fs::write(repository.join("a"), "the host's")?;
    std::fs::write(repository.join("new"), "the host's")?;
    std::fs::write(repository.join("c"), "the host's")?;
    prepare(&home, &repository, &[])?.exited(4)?.saying("a, new")?;
    ensure!(
        std::fs::read_to_string(there.join("c"))? == "1\n",
        "a part was sent"
    );
    // What was pulled and merged is not in the way.
    home.banger(["vm", "workspace", "pull", "web"])?.ok()?;
    git(&there, &["add", "a", "new"])?;
    git(&there, &["commit", "-q", "-m", "mine"])?;
    home.banger(["vm", "workspace", "pull", "web"])?.ok()?;
    git(&repository, &["stash", "-q", "-u"])?;
    git(&repository, &["merge", "-q", "--ff-only", "refs/banger/web/HEAD"])?;
    std::fs::write(repository.join("a"), "the host's again")?;
    report(&home, &repository, &[])?;
    ensure!(
        std::fs::read_to_string(there.join("a"))? == "the host's again",
        "it was not sent"
    );
    // By force it goes.
    std::fs::write(there.join("a"), "the guest's again")?;
    std::fs::write(repository.join("a"), "the host's at last")?;
    prepare(&home, &repository, &[])?.exited(4)?;
    report(&home, &repository, &["--force"])?;
    ensure!(
        std::fs::read_to_string(there.join("a"))? == "the host's at last",
        "it was not forced"
    );
    // A directory that is somebody else's is not taken.
    prepare(&home, &repository, &["--guest-path", "/root"])?
        .exited(4)?
        .saying("is not a workspace")?;
    home.end()
}

fn modes(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let vm = vm(&home, backend)?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(dir.path(), &awkward::KINDS[0])?;
    report(&home, &repository, &["--guest-path", "/clean", "--mode", "clean"])?;
    let clean = in_guest(home.path(), &vm, "/clean");
    ensure!(
        git(&clean, &["status", "--porcelain"])?.is_empty(),
        "it is not clean"
    );
    ensure!(
        std::fs::read_to_string(clean.join("gone"))? == "gone\n",
        "it is not HEAD"
    );
    report(
        &home,
        &repository,
        &["--guest-path", "/full", "--mode", "full-copy", "--full"],
    )?;
    let full = in_guest(home.path(), &vm, "/full");
    same("a full copy", &look(&repository)?, &look(&full)?)?;
    report(
        &home,
        &repository,
        &["--guest-path", "/from", "--branch", "fix", "--from", "HEAD"],
    )?;
    let from = in_guest(home.path(), &vm, "/from");
    let status = git(&from, &["status", "--porcelain", "--branch"])?;
    ensure!(status == b"## fix\n", "{}", String::from_utf8_lossy(&status));
    for (bad, said) in [
        ("--from=v9", "is not a commit"),
        ("--branch=a..b", "invalid branch name"),
    ] {
        prepare(&home, &repository, &["--guest-path", "/bad", bad])?
            .failed()?
            .saying(said)?;
    }
    // The fake guest's files are this user's, and so is the daemon that removes them.
    let writable = Command::new("chmod")
        .args(["-R", "u+rwX"])
        .args([&clean, &full, &from])
        .status()?;
    ensure!(writable.success(), "the guest's files stay as they are");
    home.end()
}

fn what_stays_behind(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let vm = vm(&home, backend)?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(
        dir.path(),
        &(
            "secrets",
            "init; echo a > a; mkdir assets; echo big > assets/big; commit; printf 'assets/\\n*.tmp\\n' > .bangerignore; echo x > x.tmp; echo S > .env; echo k > id_ed25519; echo y > y; \
             mkdir -p sub/deep; echo g > sub/deep/a.gen; echo g > sub/keep.gen; echo g > b.gen; printf '*.gen\n!keep.gen\n' > sub/.bangerignore",
        ),
    )?;
    let dry = prepare(&home, &repository, &["--dry-run"])?.ok()?;
    for said in [
        ".env is not copied: it looks like a secret",
        "assets/big is not copied: it is named by .bangerignore",
        "x.tmp is not copied: it is named by .bangerignore",
        "sub/deep/a.gen is not copied: it is named by .bangerignore",
    ] {
        ensure!(dry.stderr.contains(said), "no `{said}` in {}", dry.stderr);
    }
    ensure!(dry.text().contains("untracked  2 B   y"), "{}", dry.text());
    report(&home, &repository, &[])?;
    let there = in_guest(home.path(), &vm, "/root/repo");
    for absent in [".env", "id_ed25519", "assets/big", "x.tmp"] {
        ensure!(!there.join(absent).exists(), "{absent} went");
    }
    // What is tracked and stays behind is not deleted there.
    let status = String::from_utf8(git(&there, &["status", "--porcelain"])?)?;
    ensure!(
        status == "?? .bangerignore\n?? b.gen\n?? sub/\n?? y\n",
        "{status}"
    );
    report(&home, &repository, &["--include-secrets"])?;
    ensure!(
        there.join(".env").exists() && there.join("id_ed25519").exists(),
        "they stayed"
    );
    home.end()
}
