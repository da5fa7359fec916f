//! What of its user a guest gets: files, whose commits git makes, variables and secrets.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, Output};

use crate::{Scenario, everywhere, in_guests, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("files_of_the_user_arrive_at_each_start", files_arrive),
    on_the_host("files_go_by_the_users_configuration_alone", by_configuration),
    in_guests("commits_in_a_guest_are_its_users", commits),
    on_the_host("a_repository_asks_for_secrets_and_gets_none", asks),
];

/// Writes a file of the user's, below the home directory.
pub(crate) fn write(home: &Home, name: &str, text: &str) -> Result<()> {
    let path = home.user_dir().join(name);
    std::fs::create_dir_all(path.parent().context("a directory")?)?;
    Ok(std::fs::write(path, text)?)
}

fn configure(home: &Home, text: &str) -> Result<()> {
    std::fs::create_dir_all(home.path().join("config"))?;
    Ok(std::fs::write(home.path().join("config/config.toml"), text)?)
}

pub(crate) fn create(home: &Home, backend: Backend, image: Image, more: &[&str]) -> Result<Output> {
    let mut args = vec!["vm", "create", "--name", "vm", "--image", image.name()];
    args.extend(["--memory", "512M", "--disk-size", "128M"]);
    args.extend(backend.options());
    args.extend(more);
    home.banger(args)?.ok()
}

/// Where the guest's root is: only the fake one's is not `/`.
pub(crate) fn root(home: &Home, backend: Backend) -> Result<String> {
    Ok(match backend.is_real() {
        true => String::new(),
        false => home.sh("vm", "cd && dirname $PWD")?,
    })
}

/// The user and the group of a guest's root. The fake one is the user who runs this.
pub(crate) fn user_of_root(backend: Backend) -> (u32, u32) {
    match backend.is_real() {
        true => (0, 0),
        false => (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        ),
    }
}

fn files_arrive(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    configure(
        &home,
        "[[file_sync]]\nhost = \"~/conf\"\nguest = \"/root/.config/conf\"\nmode = \"0640\"\n\
         [[file_sync]]\nhost = \"~/none.json\"\n",
    )?;
    write(&home, ".pi/agent/auth.json", "first")?;
    write(&home, "conf/below/file", "one")?;
    std::os::unix::fs::symlink("/etc/passwd", home.user_dir().join("conf/link"))?;
    let claude = "{\"hasCompletedOnboarding\": true, \"projects\": {\"/private\": {}}}";
    write(&home, ".claude.json", claude)?;
    create(&home, backend, Image::Busybox, &[])?
        .saying("~/none.json of this host was not copied: the file does not exist")?
        .saying("copied files of this host: ~/conf, ~/.claude.json, ~/.pi/agent/auth.json")?;
    let root = root(&home, backend)?;
    let look = "stat -c '%a %u %n' .pi/agent/auth.json .config/conf/below .config/conf/below/file";
    let us = user_of_root(backend).0;
    let seen = home.sh("vm", &format!("cd {root}/root && {look}"))?;
    let right = format!(
        "600 {us} .pi/agent/auth.json\n750 {us} .config/conf/below\n640 {us} .config/conf/below/file"
    );
    ensure!(seen == right, "{seen}");
    ensure!(home.sh("vm", "cd && readlink .config/conf/link")? == "/etc/passwd");
    ensure!(home.sh("vm", "cd && cat .claude.json")? == "{\"hasCompletedOnboarding\":true}");
    // The guest's own words stay, but for what comes again.
    let own =
        "cd && echo mine > .pi/agent/auth.json && echo mine > .config/conf/own && echo mine > .claude.json";
    home.sh("vm", own)?;
    write(&home, ".pi/agent/auth.json", "second")?;
    std::fs::remove_dir_all(home.user_dir().join("conf/below"))?;
    home.banger(["vm", "restart", "vm"])?
        .ok()?
        .saying("~/.pi/agent/auth.json")?;
    ensure!(home.sh("vm", "cd && cat .pi/agent/auth.json")? == "second");
    let known = home.vm("vm")?.host_files;
    ensure!(
        known
            == [
                "/root/.claude.json",
                "/root/.config/conf",
                "/root/.pi/agent/auth.json"
            ],
        "{known:?}"
    );
    if backend.is_real() {
        let there = home.sh(
            "vm",
            "cd && cat .claude.json .config/conf/own && ls .config/conf/below",
        )?;
        ensure!(there == "mine\nmine\nfile", "{there}");
        // An image that is made of it would have them.
        let image = format!("with-files-{}", backend.name());
        home.banger(["vm", "commit", "vm", "--name", &image])?
            .ok()?
            .saying("/root/.pi/agent/auth.json")?;
        home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
        home.banger(["image", "rm", &image])?.ok()?;
    }
    home.end()
}

fn by_configuration(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let restart = || home.banger(["vm", "restart", "vm"])?.ok();
    write(&home, ".pi/agent/auth.json", "{}")?;
    create(&home, backend, Image::Busybox, &["--no-identity"])?;
    ensure!(home.sh("vm", "cd && ls -A")?.is_empty());
    ensure!(!restart()?.stderr.contains("copied files of this host"));
    // It can be had later, and no more.
    let shown = || -> Result<String> { Ok(home.banger(["vm", "show", "vm"])?.ok()?.text()) };
    let has_none = |text: &str| {
        let words = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        words.into_iter().any(|words| words == ["identity", "none"])
    };
    ensure!(has_none(&shown()?), "{}", shown()?);
    home.banger(["vm", "set", "vm", "--identity", "on"])?.ok()?;
    restart()?.saying("copied files of this host: ~/.pi/agent/auth.json")?;
    home.banger(["vm", "set", "vm", "--identity", "off"])?.ok()?;
    ensure!(!restart()?.stderr.contains("copied files of this host"));
    ensure!(
        shown()?.contains("none; earlier: /root/.pi/agent/auth.json"),
        "{}",
        shown()?
    );
    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    configure(&home, "file_sync_defaults = false\n")?;
    let created = create(&home, backend, Image::Busybox, &[])?;
    ensure!(
        !created.stderr.contains("copied files of this host"),
        "{created:?}"
    );
    // Nothing that is behind a link out of the home directory.
    std::os::unix::fs::symlink("/etc/passwd", home.user_dir().join("out"))?;
    configure(&home, "[[file_sync]]\nhost = \"~/out\"\n")?;
    restart()?
        .saying("~/out of this host was not copied: it leads to /etc/passwd; specify that file")?
        .saying("~/.pi/agent/auth.json")?;
    ensure!(home.sh("vm", "cd && ls")?.is_empty());
    // Wrong entries are told.
    configure(&home, "[[file_sync]]\nhost = \"auth.json\"\n")?;
    home.banger(["vm", "restart", "vm"])?
        .failed()?
        .saying("invalid file path `auth.json`")?;
    configure(&home, "[[file_sync]]\nhots = \"~/x\"\n")?;
    home.banger(["vm", "start", "vm"])?
        .failed()?
        .saying("did you mean `host`?")?;
    configure(&home, "")?;
    // An image is nobody's.
    let build = [
        "image",
        "build",
        "--force",
        "--name",
        "nobodys",
        "--from-image",
        "busybox",
    ];
    configure(&home, "vmm = \"fake\"\ndefault_kernel = \"debian\"\n")?;
    let built = home.banger_with([&build[..], &["--script", "-"]].concat(), b"ls -A /root".to_vec())?;
    ensure!(!built.stderr.contains("copied files of this host"), "{built:?}");
    home.end()
}

fn commits(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Git])?;
    write(
        &home,
        ".gitconfig",
        "[user]\n\tname = \"A \\\"B\\\" C\"\n\temail = a@example.org\n",
    )?;
    create(&home, backend, Image::Git, &[])?;
    let make = "cd $(mktemp -d) && git init -q && git commit -q --allow-empty -m x && git log -1 --format='%an <%ae>'";
    let whose = || home.sh("vm", make);
    ensure!(whose()? == "A \"B\" C <a@example.org>", "{}", whose()?);
    // What the guest says itself goes before, in its system's settings too.
    home.sh("vm", "git config --system user.name Guest")?;
    ensure!(whose()? == "Guest <a@example.org>");
    home.sh("vm", "git config --global user.email g@guest")?;
    ensure!(whose()? == "Guest <g@guest>");
    home.sh(
        "vm",
        "git config --system --unset user.name; git config --global --unset user.email",
    )?;
    // At the next start it is who the host says then, and the settings have one line of ours.
    write(
        &home,
        ".gitconfig",
        "[user]\n\tname = Other\n\temail = o@example.org\n",
    )?;
    home.banger(["vm", "restart", "vm"])?.ok()?;
    ensure!(whose()? == "Other <o@example.org>");
    ensure!(home.sh("vm", "grep -c banger/gitconfig /etc/gitconfig")? == "1");
    // Or nobody.
    configure(&home, "git_identity = false\n")?;
    home.banger(["vm", "restart", "vm"])?.ok()?;
    ensure!(home.sh("vm", "git config user.name || echo nobody")? == "nobody");
    home.end()
}

fn asks(_: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?
        .with_env("NPM_TOKEN", "mine")
        .with_env("OTHER", "mine too");
    configure(
        &home,
        "vmm = \"fake\"\ndefault_kernel = \"debian\"\ngit_identity = false\n",
    )?;
    let dir = tempfile::tempdir()?;
    let git = |args: &[&str]| Command::new("git").args(args).current_dir(dir.path()).status();
    ensure!(git(&["init", "--quiet"])?.success());
    ensure!(git(&["config", "user.name", "Local"])?.success());
    let own = "secrets = [\"NPM_TOKEN\", \"OTHER\"]\n\
               image = \"busybox\"\n";
    std::fs::write(dir.path().join("banger.toml"), own)?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
    let run = |more: &[&str]| {
        let path = dir.path().to_string_lossy().into_owned();
        let list = [
            "--rm",
            &path,
            "--",
            "sh",
            "-c",
            "cd && ls $(dirname $PWD)/run/banger/secrets; cat repo/.git/config",
        ];
        home.banger([&["vm", "run", "--trust"], more, &list].concat())
    };
    let output = run(&[])?.saying("asks for secrets: pass them with --secret NPM_TOKEN --secret OTHER")?;
    ensure!(!output.text().contains("NPM_TOKEN"), "{output:?}");
    // Whose commits are made is nobody's to know, either.
    ensure!(
        output.text().contains("[core]") && !output.text().contains("Local"),
        "{output:?}"
    );
    let output =
        run(&["--secret", "NPM_TOKEN"])?.saying("asks for secrets: pass them with --secret OTHER")?;
    ensure!(output.text().starts_with("NPM_TOKEN\n["), "{output:?}");
    // Files of the host's are no repository's to ask for.
    std::fs::write(dir.path().join("banger.toml"), "[[file_sync]]\nhost = \"~/x\"\n")?;
    run(&[])?.failed()?.saying("file_sync")?;
    home.end()
}
