//! Text of strangers that is printed: nothing of it reaches the terminal but as escapes.

use std::fs::File;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use banger_cases::refused;
use banger_e2e::{Backend, Home, Image, OciImage, Output, Terminal, repository};

use crate::pulling::layer;
use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("a_repository_does_not_play_with_the_terminal", repositories),
    on_the_host("an_image_does_not_play_with_the_terminal", images),
    on_the_host("a_guest_does_not_play_with_the_terminal", guests),
    on_the_host("a_log_on_a_terminal_moves_no_cursor", logs),
    on_the_host("a_full_output_is_an_error_and_a_closed_one_is_not", full),
    on_the_host("arguments_that_are_no_text_are_named", arguments),
];

/// What erases a line, goes up, sets the title, fills the clipboard, turns text around, hides it, and forges a line.
const ESCAPES: [(&str, &str); 8] = [
    ("erase", "\u{1b}[2K\r"),
    ("up", "\u{1b}[1A"),
    ("c1", "\u{9b}2J"),
    ("title", "\u{1b}]0;x\u{7}"),
    ("clipboard", "\u{1b}]52;c;eA==\u{7}"),
    ("bidi", "\u{202e}\u{2066}"),
    ("hidden", "\u{200b}\u{feff}\u{e0041}"),
    ("line", "\u{2028}\nnote: forged\n"),
];

/// Fails if something was printed that a terminal obeys.
fn plain(output: &Output) -> Result<()> {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr);
    let obeyed = |c: char| {
        c != '\n' && (c.is_control() || "\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}\u{2028}".contains(c))
    };
    ensure!(!text.contains(obeyed), "{text:?}");
    ensure!(!text.lines().any(|line| line == "note: forged"), "{text:?}");
    Ok(())
}

/// A text in TOML and JSON.
fn quoted(text: &str) -> String {
    let units = text.chars().map(|c| match c {
        ' '..='~' if c != '"' && c != '\\' => c.to_string(),
        c => c
            .encode_utf16(&mut [0; 2])
            .iter()
            .map(|unit| format!("\\u{unit:04x}"))
            .collect(),
    });
    format!("\"{}\"", units.collect::<String>())
}

fn home() -> Result<Home> {
    let home = Home::new(&[Image::Busybox])?;
    std::fs::create_dir_all(home.path().join("config"))?;
    let config = "vmm = \"fake\"\ndefault_kernel = \"debian\"\ndefault_image = \"busybox\"\n";
    std::fs::write(home.path().join("config/config.toml"), config)?;
    Ok(home)
}

fn repositories(_: Backend) -> Result<()> {
    let home = home()?;
    for (case, escape) in ESCAPES {
        let text = quoted(escape);
        for (field, json) in [
            (
                "variable-name",
                format!("{{\"containerEnv\": {{{text}: \"x\"}}}}"),
            ),
            (
                "variable-value",
                format!("{{\"containerEnv\": {{\"A\": {text}}}}}"),
            ),
            (
                "passed-over-name",
                format!("{{\"remoteEnv\": {{{text}: \"${{localEnv:X}}\"}}}}"),
            ),
            ("command", format!("{{\"postCreateCommand\": {text}}}")),
            ("image", format!("{{\"image\": {text}}}")),
            ("port", format!("{{\"forwardPorts\": [{text}]}}")),
            ("user", format!("{{\"remoteUser\": {text}}}")),
        ] {
            let dir = repository(&[(".devcontainer.json", &json)])?;
            let path = dir.path().to_string_lossy().into_owned();
            plain(&home.banger(["trust", "show", &path])?)?;
            plain(&home.banger(["trust", "show", "--json", &path])?)?;
            if case == "erase" || field == "variable-name" {
                plain(&home.banger(["vm", "run", "--dry-run", &path])?)?;
                plain(&home.banger([
                    "vm",
                    "run",
                    "--trust",
                    "--no-bootstrap",
                    "--rm",
                    &path,
                    "--",
                    "true",
                ])?)?;
            }
            refused("terminal", &format!("repository.{field}.{case}"));
        }
        // Names of files.
        let dir = tempfile::tempdir()?;
        let made = Command::new("git")
            .args(["init", "--quiet"])
            .arg(dir.path())
            .status()?;
        ensure!(made.success(), "git init failed");
        std::fs::write(dir.path().join(format!("{escape}.pem").replace('/', "_")), "x")?;
        let path = dir.path().to_string_lossy().into_owned();
        plain(&home.banger(["vm", "run", "--dry-run", &path])?.ok()?)?;
        refused("terminal", &format!("repository.file-name.{case}"));
    }
    // A parser's picture of what is wrong.
    let dir = repository(&[("banger.toml", "net = \"nat\"\n\u{9b}2J\u{202e} = [\n")])?;
    plain(
        &home
            .banger(["vm", "run", &dir.path().to_string_lossy()])?
            .failed()?,
    )?;
    refused("terminal", "repository.parse-error");
    home.end()
}

fn images(_: Backend) -> Result<()> {
    let home = home()?;
    let hostile: String = ESCAPES.iter().map(|(_, escape)| *escape).collect();
    let one_line = hostile.replace(['\n', '\r'], "");
    // The name of a system.
    let dir = tempfile::tempdir()?;
    std::fs::create_dir_all(dir.path().join("etc"))?;
    std::fs::write(
        dir.path().join("etc/os-release"),
        format!("ID=x\nPRETTY_NAME=\"{one_line}\"\n"),
    )?;
    std::fs::write(dir.path().join(format!("etc/{}", one_line.replace('/', ""))), "x")?;
    let path = dir.path().to_string_lossy().into_owned();
    plain(&home.banger(["image", "import", "--name", "hostile", &path])?)?;
    for command in [
        &["image", "list"][..],
        &["image", "show", "hostile"],
        &["image", "show", "--json", "hostile"],
    ] {
        plain(&home.banger(command)?.ok()?)?;
    }
    refused("terminal", "image.pretty-name");
    plain(&home.banger(["image", "diff", "hostile", "busybox"])?)?;
    refused("terminal", "image.file-name");
    home.banger(["image", "rm", "hostile"])?.ok()?;
    // What its maker says.
    let label = format!("--config.label=a={hostile}");
    let env = format!("--config.env=A={hostile}");
    let entry = format!("--config.entrypoint={hostile}");
    let author = format!("--history.created_by={hostile}");
    let image = OciImage::new(&[layer("./file", b"x")], &[&label, &env, &entry, &author])?;
    plain(
        &home
            .banger(["image", "pull", &image.reference(), "--name", "oci"])?
            .ok()?,
    )?;
    for command in [
        &["image", "show", "oci"][..],
        &["image", "inspect", "oci"],
        &["image", "history", "oci"],
        &["image", "history", "--json", "oci"],
    ] {
        plain(&home.banger(command)?.ok()?)?;
        refused(
            "terminal",
            &format!("image.{}", command[1..].join("-").replace("--", "")),
        );
    }
    home.banger(["image", "rm", "oci"])?.ok()?;
    home.end()
}

fn guests(_: Backend) -> Result<()> {
    let home = home()?;
    home.create(Backend::Fake, Image::Busybox, "vm", &[])?;
    let hostile: String = ESCAPES.iter().map(|(_, escape)| *escape).collect();
    for (field, command) in [
        ("no-such-command", vec!["vm", "exec", "vm", "--", &hostile]),
        (
            "no-such-directory",
            vec!["vm", "exec", "--cwd", &hostile, "vm", "--", "true"],
        ),
        (
            "no-such-user",
            vec!["vm", "exec", "--user", &hostile, "vm", "--", "true"],
        ),
        (
            "copied-file",
            vec!["vm", "cp", &*format!("vm:{hostile}").leak(), "."],
        ),
        ("session-name", vec!["vm", "session", "show", "vm", &hostile]),
        ("vm-name", vec!["vm", "show", &hostile]),
        ("option", vec!["vm", "show", &*format!("--{hostile}").leak()]),
    ] {
        plain(&home.banger(command)?.failed()?)?;
        refused("terminal", &format!("guest.{field}"));
    }
    home.banger([
        "vm", "session", "start", "--name", "s", "vm", "--", "sh", "-c", "true", &hostile,
    ])?
    .ok()?;
    for command in [
        &["vm", "session", "list", "vm"][..],
        &["vm", "session", "show", "vm", "s"],
    ] {
        plain(&home.banger(command)?.ok()?)?;
    }
    refused("terminal", "guest.session-command");
    home.banger([
        "vm",
        "set",
        "vm",
        "--label",
        &format!("a={hostile}"),
        "-e",
        &format!("A={hostile}"),
    ])?
    .ok()?;
    plain(&home.banger(["vm", "show", "vm"])?.ok()?)?;
    refused("terminal", "guest.label-and-variable");
    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    home.end()
}

fn logs(_: Backend) -> Result<()> {
    let home = home()?;
    home.create(Backend::Fake, Image::Busybox, "vm", &[])?;
    let line = "printf 'a\\033[2J\\033]0;x\\007\\033[31mred\\033[m end\\n'";
    home.banger([
        "vm", "session", "start", "--name", "s", "vm", "--", "sh", "-c", line,
    ])?
    .ok()?;
    home.banger(["vm", "session", "wait", "vm", "s"])?.ok()?;
    let mut terminal = Terminal::start(home.command(["vm", "session", "logs", "vm", "s"]), 24, 80)?;
    terminal.expect("a\\u{1b}[2J\\u{1b}]0;x\\u{7}\u{1b}[31mred\u{1b}[m end")?;
    ensure!(terminal.end()? == 0);
    refused("terminal", "log.on-a-terminal");
    // Who wants the bytes has them: elsewhere, and where it is said.
    let bytes = home.banger(["vm", "session", "logs", "vm", "s"])?.ok()?.stdout;
    ensure!(bytes.starts_with(b"a\x1b[2J"), "{bytes:?}");
    let mut terminal = Terminal::start(
        home.command(["vm", "session", "logs", "--raw", "vm", "s"]),
        24,
        80,
    )?;
    terminal.expect("a\u{1b}[2J")?;
    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    home.end()
}

fn full(_: Backend) -> Result<()> {
    let home = home()?;
    home.create(Backend::Fake, Image::Busybox, "vm", &[])?;
    let into_full = |args: &[&str]| -> Result<Output> {
        let mut command = home.command(args);
        let full = File::options().write(true).open("/dev/full")?;
        let done = command.stdout(Stdio::from(full)).spawn()?.wait_with_output()?;
        Ok(Output {
            line: args.join(" "),
            code: done.status.code().context("a signal ended it")?,
            stdout: done.stdout,
            stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
        })
    };
    for command in [
        &["vm", "list"][..],
        &["vm", "list", "--json"],
        &["vm", "show", "vm"],
        &["vm", "ports", "vm"],
        &["image", "list"],
        &["image", "list", "--json"],
        &["kernel", "list"],
        &["doctor"],
        &["doctor", "--json"],
        &["version"],
        &["trust", "list"],
        &["completion", "bash"],
        &["--help"],
    ] {
        into_full(command)?
            .exited(1)?
            .saying("failed to write to standard output")?
            .saying("No space left on device")?;
    }
    into_full(&["vm", "exec", "vm", "--", "echo", "x"])?
        .failed()?
        .saying("No space left on device")?;
    // Standard error that is full keeps nothing from being done.
    let full = File::options().write(true).open("/dev/full")?;
    let status = home
        .command(["vm", "show", "nothing"])
        .stderr(Stdio::from(full))
        .status()?;
    ensure!(status.code() == Some(3), "{status:?}");
    // Who has seen enough is no failure.
    for command in [&["vm", "list"][..], &["doctor"], &["completion", "bash"]] {
        let mut child = home.command(command).spawn()?;
        drop(child.stdout.take());
        let done = child.wait_with_output()?;
        ensure!(
            done.status.code() != Some(101) && done.stderr.is_empty(),
            "{done:?}"
        );
    }
    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    home.end()
}

fn arguments(_: Backend) -> Result<()> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let home = home()?;
    let bytes = OsStr::from_bytes(b"a\xff\x9b2J");
    for args in [["vm", "show"], ["image", "show"], ["vm", "start"]] {
        let mut command = home.command(args);
        command.arg(bytes);
        let output = home.finish(command, Vec::new())?.exited(2)?;
        plain(&output)?;
        ensure!(output.stderr.contains("a\\xff\\x9b2J"), "{output:?}");
        refused("terminal", &format!("argument.{}", args.join("-")));
    }
    home.end()
}
