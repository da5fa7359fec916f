//! `make install` and `make uninstall`: the programs find each other, manual pages are found, and shells complete.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Terminal};

use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("installed_programs_work_and_are_removed", programs).with("man"),
    on_the_host("installed_completion_works_in_bash", bash),
    on_the_host("installed_completion_works_in_zsh", zsh).with("zsh"),
    on_the_host("installed_completion_works_in_fish", fish).with("fish"),
];

const PREFIX: &str = "/opt/banger";

/// What is installed below a directory, as by a package.
struct Installed {
    dir: tempfile::TempDir,
}

impl Installed {
    fn new(home: &Home) -> Result<Self> {
        let installed = Self {
            dir: tempfile::tempdir()?,
        };
        let built = home.programs();
        // The quick tests do not build the static agent.
        let agents = [
            built.with_file_name("x86_64-unknown-linux-musl/agent/banger-vsock-agent"),
            built.join("banger-vsock-agent"),
        ];
        let agent = agents.iter().find(|agent| agent.exists()).context("the agent")?;
        // The test has programs with debugging information, and this does not build others.
        installed.make(
            home,
            &[
                "install-built",
                &format!("BUILT={}", built.display()),
                &format!("AGENT={}", agent.display()),
            ],
        )?;
        Ok(installed)
    }

    fn make(&self, home: &Home, args: &[&str]) -> Result<()> {
        let mut make = home.program("make");
        make.arg("-C")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .args(args)
            .arg(format!("DESTDIR={}", self.dir.path().display()))
            .arg(format!("PREFIX={PREFIX}"))
            .env_remove("MAKEFLAGS");
        home.finish(make, Vec::new())?.ok().map(drop)
    }

    fn below(&self, path: &str) -> PathBuf {
        self.dir.path().join(PREFIX.trim_start_matches('/')).join(path)
    }

    /// Every installed file.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut dirs = vec![self.dir.path().to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir)? {
                let path = entry?.path();
                match path.is_dir() {
                    true => dirs.push(path),
                    false => found.push(path),
                }
            }
        }
        Ok(found)
    }

    /// A program of the host that finds what is installed.
    fn shell(&self, home: &Home, words: &[&str]) -> Result<Command> {
        let path = std::env::var_os("PATH").context("PATH")?;
        let dirs = [self.below("bin")]
            .into_iter()
            .chain(std::env::split_paths(&path));
        let mut command = home.program(words[0]);
        command
            .args(&words[1..])
            .env("HOME", home.user_dir())
            .env("PATH", std::env::join_paths(dirs)?)
            .env("TERM", "xterm")
            .env_remove("BANGER_DAEMON");
        Ok(command)
    }
}

fn programs(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    let installed = Installed::new(&home)?;
    let run = |words: &[&str]| home.finish(installed.shell(&home, words)?, Vec::new());
    // The daemon beside banger is started, and it finds the agent in ../lib/banger.
    run(&["banger", "vm", "list"])?.ok()?;
    let version = run(&["banger", "version", "--json"])?.ok()?.text();
    let daemon = serde_json::from_str::<serde_json::Value>(&version)?["daemon"].clone();
    ensure!(daemon.is_object(), "{version}");
    let started = std::fs::read_link(format!("/proc/{}/exe", home.daemon_pid()?))?;
    ensure!(
        started == installed.below("bin/bangerd"),
        "{} was started",
        started.display()
    );
    let doctor = run(&["banger", "doctor"])?;
    let agent = installed.below("bin/../lib/banger/banger-vsock-agent");
    ensure!(
        doctor
            .text()
            .contains(&format!("the guest agent is {}", agent.display())),
        "{}",
        doctor.text()
    );
    run(&["banger-root"])?
        .exited(2)?
        .saying("usage: banger-root serve")?;

    // Each command of the first level has a page, which `man` finds and renders.
    let pages = installed.below("share/man");
    let page = |name: &str| {
        let mut man = installed.shell(&home, &["man", name])?;
        man.env("MANPATH", &pages)
            .env("MANPAGER", "cat")
            .env("MANWIDTH", "100");
        Ok::<_, anyhow::Error>(home.finish(man, Vec::new())?.ok()?.text())
    };
    for (name, words) in [
        ("banger", "microVM"),
        ("banger-vm-run", "--rm"),
        ("banger-image-catalog-add", "EXAMPLES"),
    ] {
        let text = page(name)?;
        ensure!(
            text.to_lowercase().contains(&words.to_lowercase()),
            "{name}: {text}"
        );
    }

    ensure!(installed.files()?.len() > 50, "{:?}", installed.files()?);
    home.banger(["daemon", "stop"])?.ok()?;
    installed.make(&home, &["uninstall"])?;
    ensure!(
        installed.files()?.is_empty(),
        "what stays: {:?}",
        installed.files()?
    );
    home.end()
}

/// Types the beginning of a command and the tabulator key.
fn completes(home: &Home, shell: Command, setup: &str) -> Result<()> {
    let mut terminal = Terminal::start(shell, 24, 80)?;
    terminal.write(&format!("{setup}; echo rea''dy\n"))?;
    terminal.expect("ready")?;
    terminal.write("banger vm prun\t")?;
    terminal.expect("vm prune")?;
    // The name of an option, too.
    terminal.write("--dry-r\t")?;
    terminal.expect("--dry-run")?;
    drop(terminal);
    home.banger(["daemon", "stop"])?;
    Ok(())
}

fn bash(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    let installed = Installed::new(&home)?;
    let script = installed.below("share/bash-completion/completions/banger");
    let shell = installed.shell(
        &home,
        &[
            "setsid",
            "--ctty",
            "--wait",
            "bash",
            "--norc",
            "--noprofile",
            "-i",
        ],
    )?;
    completes(&home, shell, &format!("source '{}'", script.display()))?;
    home.end()
}

fn zsh(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    let installed = Installed::new(&home)?;
    let functions = installed.below("share/zsh/site-functions");
    let shell = installed.shell(&home, &["setsid", "--ctty", "--wait", "zsh", "-f", "-i"])?;
    let setup = format!(
        "fpath=('{}' $fpath); autoload -Uz compinit; compinit -u -D",
        functions.display()
    );
    completes(&home, shell, &setup)?;
    home.end()
}

fn fish(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    let installed = Installed::new(&home)?;
    let candidates = |line: &str| {
        let complete = format!("complete -C '{line}'");
        let mut shell = installed.shell(&home, &["fish", "-c", &complete])?;
        shell.env("XDG_DATA_DIRS", installed.below("share"));
        Ok::<_, anyhow::Error>(home.finish(shell, Vec::new())?.ok()?.text())
    };
    // Candidates have their help beside them.
    ensure!(
        candidates("banger vm prun")?.starts_with("prune\t"),
        "{}",
        candidates("banger vm prun")?
    );
    ensure!(candidates("banger vm prune --dry-r")?.starts_with("--dry-run"));
    home.banger(["daemon", "stop"])?;
    home.end()
}
