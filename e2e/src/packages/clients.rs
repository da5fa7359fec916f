//! What each client of a registry is set up with on this host, without what is secret.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

const MANIFEST: &str = "[package]\nname = \"fetches\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
                        [dependencies]\nitoa = \"1\"\n";

/// Whether an address is this host's loopback, which is no guest's.
pub(super) fn is_here(url: &str) -> bool {
    [
        "//localhost",
        "//127.",
        "//[::1]",
        "@localhost",
        "@127.",
        "@[::1]",
    ]
    .iter()
    .any(|here| url.contains(here))
}

pub(super) fn export(env: &mut String, name: &str, value: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(env, "export {name}='{}'", value.replace('\'', "'\\''"));
}

/// What a client prints, run where nothing is.
fn said(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command
        .output()
        .with_context(|| format!("this host's {name} does not start"))?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = words.lines().rfind(|line| !line.trim().is_empty());
    ensure!(
        output.status.success(),
        "this host's own client reaches no registry: {}",
        last.unwrap_or_default()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A variable for an address that a client is set up with, if it is no default.
pub(super) fn set(env: &mut String, name: &str, address: &str) -> Result<()> {
    let address = address.trim();
    if address.is_empty() || address == "undefined" || address == "null" {
        return Ok(());
    }
    ensure!(
        !is_here(address),
        "its registry is at this host's loopback, which is no guest's"
    );
    export(env, name, address);
    Ok(())
}

pub(super) fn npm(dir: &Path) -> Result<String> {
    let mut env = String::new();
    let registry = said(
        Command::new("npm")
            .args(["config", "get", "registry"])
            .current_dir("/"),
    )?;
    set(&mut env, "npm_config_registry", &registry)?;
    // The last that the guest's node runs.
    let work = tempfile::tempdir()?;
    let packed = said(
        Command::new("npm")
            .args(["pack", "--silent", "npm@10"])
            .current_dir(work.path()),
    )?;
    let name = packed.lines().last().unwrap_or_default().trim().to_owned();
    std::fs::copy(work.path().join(name), dir.join("npm.tgz"))?;
    Ok(env)
}

pub(super) fn pip(dir: &Path) -> Result<String> {
    let mut env = String::new();
    let pip = || {
        let mut command = Command::new("python3");
        command.args(["-m", "pip"]).current_dir("/");
        command
    };
    // `global.index-url='…'`, and `:env:.index-url='…'`, which counts more.
    let configured = said(pip().args(["config", "list"]))?;
    for (key, name) in [
        ("index-url", "PIP_INDEX_URL"),
        ("extra-index-url", "PIP_EXTRA_INDEX_URL"),
    ] {
        let value = |line: &str| {
            let (left, right) = line.split_once('=')?;
            let is_key = left.rsplit('.').next() == Some(key);
            is_key.then(|| right.trim_matches('\'').to_owned())
        };
        let mut values: Vec<_> = configured.lines().filter_map(value).collect();
        values.extend(std::env::var(name));
        set(&mut env, name, values.last().map_or("", String::as_str))?;
    }
    said(
        pip()
            .args([
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "pip",
                "--dest",
            ])
            .arg(dir),
    )?;
    Ok(env)
}

/// Sources, keys and proxies, which the guest has in place of its own.
pub(super) fn apt(dir: &Path) -> Result<String> {
    let ours = Path::new("/etc/apt");
    let theirs = dir.join("apt");
    ensure!(ours.is_dir(), "this is no host with apt");
    for sub in ["sources.list.d", "trusted.gpg.d", "keyrings", "apt.conf.d"] {
        std::fs::create_dir_all(theirs.join(sub))?;
    }
    let mut files = vec![PathBuf::from("sources.list")];
    for sub in ["sources.list.d", "trusted.gpg.d", "keyrings"] {
        for entry in std::fs::read_dir(ours.join(sub)).into_iter().flatten().flatten() {
            files.push(Path::new(sub).join(entry.file_name()));
        }
    }
    let mut sources = String::new();
    for file in files.iter().filter(|file| ours.join(file).is_file()) {
        let is_source = file.starts_with("sources.list") || file.starts_with("sources.list.d");
        let ending = file.extension().and_then(|ending| ending.to_str());
        if is_source && !matches!(ending, Some("list" | "sources")) {
            continue;
        }
        std::fs::copy(ours.join(file), theirs.join(file))?;
        if is_source {
            sources += &std::fs::read_to_string(ours.join(file))?;
        }
    }
    let is_remote = |word: &&str| word.starts_with("http://") || word.starts_with("https://");
    let active = sources.lines().filter(|line| !line.trim_start().starts_with('#'));
    let address = active.flat_map(str::split_whitespace).find(is_remote);
    let address = address.context("this host's apt has no source in a network")?;
    ensure!(
        !is_here(address),
        "its registry is at this host's loopback, which is no guest's"
    );
    let dumped = said(Command::new("apt-config").arg("dump"))?;
    let proxies = dumped
        .lines()
        .filter(|line| line.starts_with("Acquire::http") && line.contains("roxy") && !is_here(line));
    let mut settings: String = proxies.flat_map(|line| [line, "\n"]).collect();
    settings += "Acquire::Languages \"none\";\nAcquire::Check-Valid-Until \"false\";\n\
                 Acquire::Retries \"3\";\nAcquire::http::Timeout \"20\";\nAcquire::https::Timeout \"20\";\n";
    std::fs::write(theirs.join("apt.conf.d/90-of-the-host"), settings)?;
    // With nothing of this host's changed.
    let state = tempfile::tempdir()?;
    std::fs::create_dir_all(state.path().join("lists/partial"))?;
    let lists = format!("Dir::State::lists={}", state.path().join("lists").display());
    let command = ["-o", &lists, "-o", "APT::Sandbox::User=root", "indextargets"];
    said(Command::new("apt-get").args(command))?;
    let host = address.split("://").nth(1).unwrap_or_default();
    let host = host.split('/').next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let port = if address.starts_with("https") { 443 } else { 80 };
    let place = match host.contains(':') {
        true => host.to_owned(),
        false => format!("{host}:{port}"),
    };
    let has_proxy = dumped.contains("roxy \"http");
    let reached = std::net::TcpStream::connect(&place).is_ok();
    ensure!(has_proxy || reached, "its first source cannot be connected to");
    Ok(String::new())
}

/// The program, and its configuration without tokens and without what is about compiling.
pub(super) fn cargo(dir: &Path) -> Result<String> {
    let work = tempfile::tempdir()?;
    std::fs::write(dir.join("Cargo.toml"), MANIFEST)?;
    std::fs::write(work.path().join("Cargo.toml"), MANIFEST)?;
    std::fs::create_dir_all(work.path().join("src"))?;
    std::fs::write(work.path().join("src/lib.rs"), "")?;
    let which = Command::new("rustup")
        .args(["which", "cargo"])
        .current_dir("/")
        .output();
    let which = which.ok().filter(|output| output.status.success());
    let found = which.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let program = found.or_else(|| std::env::var_os("CARGO").map(PathBuf::from));
    let program = program.unwrap_or_else(|| PathBuf::from("/usr/bin/cargo"));
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let home = home.context("there is no home")?;
    let theirs = dir.join("cargo-home");
    std::fs::create_dir_all(&theirs)?;
    for name in ["config.toml", "config"] {
        if let Ok(text) = std::fs::read_to_string(home.join(name)) {
            let kept = cargo_sources(&text)?;
            ensure!(
                !is_here(&kept),
                "its registry is at this host's loopback, which is no guest's"
            );
            std::fs::write(theirs.join("config.toml"), kept)?;
            break;
        }
    }
    let mut env = String::from(
        "mkdir -p /tmp/cargo && cp -a \"$PWD/cargo-home/.\" /tmp/cargo/\nexport CARGO_HOME=/tmp/cargo\n",
    );
    let passed = |name: &str| {
        let is_index = name.starts_with("CARGO_REGISTRIES_") && name.ends_with("_INDEX");
        is_index || name.starts_with("CARGO_NET_") || name == "CARGO_REGISTRIES_CRATES_IO_PROTOCOL"
    };
    for (name, value) in std::env::vars().filter(|(name, _)| passed(name)) {
        set(&mut env, &name, &value)?;
    }
    let probe = work.path().join("home");
    std::fs::create_dir_all(&probe)?;
    if theirs.join("config.toml").exists() {
        std::fs::copy(theirs.join("config.toml"), probe.join("config.toml"))?;
    }
    said(
        Command::new(&program)
            .arg("vendor")
            .env("CARGO_HOME", &probe)
            .current_dir(work.path()),
    )?;
    std::fs::copy(&program, dir.join("cargo"))?;
    Ok(env)
}

/// What a configuration of cargo's says of registries.
pub(super) fn cargo_sources(text: &str) -> Result<String> {
    let mut table: toml::Table = text.parse().context("read cargo's configuration")?;
    table.retain(|key, _| ["source", "registries", "registry", "net", "http"].contains(&key));
    for key in ["registries", "registry"] {
        without_tokens(table.get_mut(key));
    }
    if let Some(toml::Value::Table(http)) = table.get_mut("http") {
        http.remove("cainfo");
    }
    Ok(toml::to_string(&table)?)
}

fn without_tokens(value: Option<&mut toml::Value>) {
    let Some(toml::Value::Table(table)) = value else {
        return;
    };
    table.retain(|key, _| !matches!(key, "token" | "secret-key" | "credential-provider"));
    table
        .iter_mut()
        .for_each(|(_, value)| without_tokens(Some(value)));
}
