//! Packages from the registries that this host's clients are set up for, for guests. No address is known here: what the
//! clients' configuration says at run time goes to the guest, and for the rest its clients' own defaults hold, as on the host.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::place;

/// A client of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// npm, under the guest's node.
    Npm,
    /// pip, under the guest's python.
    Pip,
    /// The guest's own apt.
    Apt,
    /// This host's cargo, which is one program and needs nothing else to fetch.
    Cargo,
}

impl Client {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Npm, Self::Pip, Self::Apt, Self::Cargo];

    /// Its program's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pip => "pip",
            Self::Apt => "apt-get",
            Self::Cargo => "cargo",
        }
    }

    /// What installs a small package in a guest, and shows that it is there. The environment is that of [`Stuff`].
    pub const fn line(self) -> &'static str {
        match self {
            Self::Npm => {
                "mkdir -p /tmp/js && tar -xzf npm.tgz -C /tmp/js && cd /tmp/js && \
                 node --no-enable-avx --no-enable-avx2 package/bin/npm-cli.js install --no-audit --no-fund is-number >&2 && \
                 node -e \"console.log(require('is-number')(7))\" | grep -x true"
            }
            Self::Pip => {
                "python3 \"$(echo \"$PWD\"/pip-*.whl)/pip\" install --no-cache-dir --root-user-action=ignore \
                 --target /tmp/py six >&2 && \
                 PYTHONPATH=/tmp/py python3 -c 'import six; print(six.__file__)' | grep /tmp/py/"
            }
            Self::Apt => {
                "cp -a apt/. /etc/apt/ && mkdir -p /etc/gcrypt && echo all > /etc/gcrypt/hwf.deny && apt-get -qq update >&2 && test ! -e /etc/protocols && \
                 apt-get -qq install --yes --no-install-recommends netbase >&2 && grep -c tcp /etc/protocols"
            }
            Self::Cargo => {
                "mkdir -p /tmp/rs/src && cd /tmp/rs && : > src/lib.rs && cp $OLDPWD/Cargo.toml . && \
                 $OLDPWD/cargo vendor >&2 && ls vendor/itoa/src/lib.rs"
            }
        }
    }
}

/// What a guest's clients need, in a directory that is to be copied into it.
#[derive(Debug)]
pub struct Stuff {
    dir: PathBuf,
    /// The clients that can install something, and why the others cannot.
    absent: Vec<(Client, String)>,
}

/// Puts what a client needs into the directory, and gives lines for the environment.
type Look = fn(&Path) -> Result<String>;

const MANIFEST: &str = "[package]\nname = \"fetches\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
                        [dependencies]\nitoa = \"1\"\n";

impl Stuff {
    /// Looked for once: each client is asked on this host for what the guest needs of it, which shows as well that its registry
    /// can be reached.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn found() -> Result<&'static Self> {
        static FOUND: OnceLock<std::result::Result<Stuff, String>> = OnceLock::new();
        let found = FOUND.get_or_init(|| Self::look().map_err(|error| format!("{error:#}")));
        found.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// What another process found a moment ago holds, too: every scenario may be a process of its own.
    fn look() -> Result<Self> {
        let dir = place::shared()?.join("packages");
        let _looking = place::exclusive("packages")?;
        let record = dir.join("absent.json");
        if let Some(absent) = lately(&record) {
            return Ok(Self { dir, absent });
        }
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir)?;
        let mut env = base_environment(&dir)?;
        let tries: [(Client, Look); 4] = [
            (Client::Npm, npm),
            (Client::Pip, pip),
            (Client::Apt, apt),
            (Client::Cargo, cargo),
        ];
        let trying = tries.map(|(client, look)| {
            let dir = dir.clone();
            (client, std::thread::spawn(move || look(&dir)))
        });
        let mut absent = Vec::new();
        for (client, trying) in trying {
            match trying.join() {
                Ok(Ok(lines)) => env += &lines,
                Ok(Err(error)) => absent.push((client, format!("{error:#}"))),
                Err(_) => absent.push((client, "it could not be looked for".to_owned())),
            }
        }
        std::fs::write(dir.join("env"), env)?;
        let named: BTreeMap<&str, &String> =
            absent.iter().map(|(client, why)| (client.name(), why)).collect();
        std::fs::write(&record, serde_json::to_vec(&named)?)?;
        Ok(Self { dir, absent })
    }

    /// One guest at a time asks the registries: until this is dropped, it is the caller's.
    ///
    /// # Errors
    /// When there is no directory of built programs.
    pub fn asking() -> Result<File> {
        place::exclusive("asking")
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The clients that have a registry.
    pub fn clients(&self) -> impl Iterator<Item = Client> {
        let has = |client: &Client| !self.absent.iter().any(|(absent, _)| absent == client);
        Client::ALL.into_iter().filter(has)
    }

    /// Why the others have none, a line each.
    pub fn absences(&self) -> Vec<String> {
        let line = |(client, why): &(Client, String)| {
            let why = why.lines().next().unwrap_or_default();
            format!("{}: {why}", client.name())
        };
        self.absent.iter().map(line).collect()
    }
}

/// How long it is taken to be known which registries are reached.
const LATELY: Duration = Duration::from_secs(900);

/// Which clients have no registry, as was found lately.
fn lately(record: &Path) -> Option<Vec<(Client, String)>> {
    let found = std::fs::metadata(record).ok()?.modified().ok()?;
    if found.elapsed().ok()? > LATELY {
        return None;
    }
    let mut named: BTreeMap<String, String> = serde_json::from_slice(&std::fs::read(record).ok()?).ok()?;
    let absent = |client: Client| Some((client, named.remove(client.name())?));
    Some(Client::ALL.into_iter().filter_map(absent).collect())
}

/// Variables of every client: certificates, proxies, and what keeps programs that choose their instructions themselves from
/// those that the kernel of tests does not keep (see the Makefile).
fn base_environment(dir: &Path) -> Result<String> {
    let bundles = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let mut places = named.into_iter().chain(bundles.map(PathBuf::from));
    let bundle = places
        .find(|path| path.is_file())
        .context("this host has no certificates of authorities")?;
    std::fs::copy(bundle, dir.join("authorities.pem"))?;
    let mut env = String::from(
        "export HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive\n\
         export OPENSSL_ia32cap=~0x1000000000000000:0 GNUTLS_CPUID_OVERRIDE=0x1 SIMDUTF_FORCE_IMPLEMENTATION=westmere\n\
         for name in SSL_CERT_FILE PIP_CERT npm_config_cafile NODE_EXTRA_CA_CERTS CARGO_HTTP_CAINFO; do\n\
         export $name=$PWD/authorities.pem; done\n",
    );
    for name in ["http_proxy", "https_proxy", "no_proxy", "all_proxy"] {
        for name in [name.to_owned(), name.to_uppercase()] {
            let value = std::env::var(&name).unwrap_or_default();
            if !value.is_empty() && !is_here(&value) {
                export(&mut env, &name, &value);
            }
        }
    }
    Ok(env)
}

/// Whether an address is this host's loopback, which is no guest's.
fn is_here(url: &str) -> bool {
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

fn export(env: &mut String, name: &str, value: &str) {
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
fn set(env: &mut String, name: &str, address: &str) -> Result<()> {
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

fn npm(dir: &Path) -> Result<String> {
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

fn pip(dir: &Path) -> Result<String> {
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
fn apt(dir: &Path) -> Result<String> {
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
fn cargo(dir: &Path) -> Result<String> {
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
fn cargo_sources(text: &str) -> Result<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_is_told_of_cargo_has_no_secret() {
        let ours = "[build]\nrustc-wrapper = \"x\"\n[registries.own]\nindex = \"sparse+https://r.example/\"\ntoken = \"s3\"\n\
                    [source.crates-io]\nreplace-with = \"own\"\n[http]\ncainfo = \"/x\"\ntimeout = 7\n";
        let theirs = cargo_sources(ours).unwrap();
        assert!(
            theirs.contains("r.example") && theirs.contains("replace-with") && theirs.contains("timeout")
        );
        for gone in ["s3", "rustc-wrapper", "cainfo"] {
            assert!(!theirs.contains(gone), "{theirs}");
        }
    }

    #[test]
    fn a_registry_of_this_hosts_loopback_is_no_guests() {
        for here in [
            "http://localhost:4873/",
            "http://127.0.0.1/",
            "http://u:p@localhost/",
            "https://[::1]:8/",
        ] {
            assert!(
                is_here(here) && set(&mut String::new(), "X", here).is_err(),
                "{here}"
            );
        }
        let mut env = String::new();
        set(&mut env, "X", "https://r.example/it's\n").unwrap();
        assert_eq!(env, "export X='https://r.example/it'\\''s'\n");
    }
}
