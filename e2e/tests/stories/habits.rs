//! Command lines as users of Docker and Lima type them.

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home, Image, repository};

use crate::{Story, everywhere, on_the_host};

pub(crate) const STORIES: &[Story] = &[
    everywhere("a_command_needs_no_dashes", no_dashes),
    on_the_host("short_forms_are_the_long_ones", short_forms),
    on_the_host("a_command_runs_where_one_stands", where_one_stands),
    on_the_host("a_word_that_is_no_command_gets_the_right_one", right_ones),
];

fn no_dashes(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let text = |args: &[&str]| anyhow::Ok(home.banger(args)?.ok()?.text());
    ensure!(text(&["vm", "exec", "vm", "echo", "-n", "--", "-e", "a"])? == "-- -e a");
    ensure!(text(&["exec", "vm", "-e", "A=b", "sh", "-c", "echo $A"])? == "b");
    ensure!(
        text(&[
            "exec", "-e", "A=a", "-e", "A=b", "vm", "--", "sh", "-c", "echo $A"
        ])? == "b"
    );
    home.banger(["exec", "vm", "--no-such-option", "true"])?
        .exited(2)?
        .saying("unexpected argument \"--no-such-option\"")?;
    home.banger(["vm", "session", "start", "vm", "--nmae", "s", "true"])?
        .exited(2)?
        .saying("unexpected argument \"--nmae\"")?;
    home.banger([
        "vm", "session", "start", "vm", "--name", "s", "sh", "-c", "exit 3",
    ])?
    .ok()?;
    home.banger(["vm", "session", "wait", "vm", "s"])?.exited(3)?;
    home.end()
}

fn short_forms(_: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(Backend::Fake, Image::Busybox, "vm", &[])?;
    home.create(Backend::Fake, Image::Busybox, "other", &[])?;
    home.banger(["vm", "stop", "other"])?.ok()?;
    let text = |args: &[&str]| anyhow::Ok(home.banger(args)?.ok()?.text());
    ensure!(text(&["ps", "-q"])? == "vm");
    ensure!(text(&["ps", "-aq"])? == text(&["vm", "list", "-q"])?);
    std::fs::write(home.path().join("file"), "copied")?;
    let file = home.path().join("file");
    text(&["cp", &file.to_string_lossy(), "vm:/root/file"])?;
    let back = home.path().join("back");
    text(&["cp", "vm:/root/file", &back.to_string_lossy()])?;
    ensure!(std::fs::read_to_string(&back)? == "copied");
    ensure!(text(&["vm", "inspect", "vm", "--json"])? == text(&["vm", "show", "vm", "--json"])?);
    text(&["logs", "vm"])?;
    // Of options that exclude repetition, the last one counts.
    home.create(
        Backend::Fake,
        Image::Busybox,
        "large",
        &["--memory", "300M", "--memory", "400M"],
    )?;
    ensure!(home.vm("large")?.memory.as_mib() == 400);
    text(&["rm", "-f", "vm", "other", "large"])?;
    ensure!(text(&["ps", "-aq"])?.is_empty());
    home.end()
}

fn where_one_stands(_: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let dir = repository(&[("src/deep/file", "x"), ("top", "y")])?;
    std::fs::create_dir(dir.path().join("empty"))?;
    let run = |below: &str, more: &[&str]| {
        let line = [
            "run", "--rm", "--vmm", "fake", "--image", "busybox", "--kernel", "debian",
        ];
        let mut command = home.command([&line, more].concat());
        command.current_dir(dir.path().join(below));
        anyhow::Ok(home.finish(command, Vec::new())?.ok()?.text())
    };
    let top = run("", &["pwd"])?;
    ensure!(top.ends_with("/root/repo"), "{top}");
    ensure!(run("src/deep", &["--", "cat", "file"])? == "x");
    ensure!(run("src/deep", &["-w", "src", "ls"])? == "deep");
    // A directory that git does not know is not in the guest.
    ensure!(run("empty", &["cat", "top"])? == "y");
    ensure!(run("", &["src", "ls"])? == "deep");
    ensure!(run("src", &["--entrypoint", "echo", "--", "ls", "-l"])? == "ls -l");
    home.end()
}

fn right_ones(_: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let dir = repository(&[("file", "x")])?;
    let refused = |args: &[&str], hint: &str| {
        let mut command = home.command(args);
        command.current_dir(dir.path());
        home.finish(command, Vec::new())?.exited(2)?.saying(hint)
    };
    refused(&["run", "busybox"], "`banger vm run --image busybox`")?;
    refused(
        &["run", "alpine:3.20"],
        "`banger image pull alpine:3.20 --name alpine`",
    )?;
    refused(&["run", "alpine:3.20"], "goes after `--`")?;
    refused(&["top"], "`banger vm exec web top`")?;
    refused(&["start"], "`banger vm start`")?;
    refused(&["vm", "lsit"], "did you mean `list`?")?;
    ensure!(home.banger(["vm", "list", "-q"])?.ok()?.text().is_empty());
    home.end()
}
