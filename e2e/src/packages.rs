//! Packages from the registries that this host's clients are set up for, for guests. No address is known here: what the
//! clients' configuration says at run time goes to the guest, and for the rest its clients' own defaults hold, as on the host.

mod clients;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};

use self::clients::{apt, cargo, export, is_here, npm, pip};
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::clients::cargo_sources;
    use crate::packages::clients::set;

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
