//! Who is asked for an image: its registry or a mirror of that, with TLS or without.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use banger_fetch::{Limits, Reach, Trust};
use banger_logins::Login;
use oci_spec::distribution::Reference;

use crate::answer::Answer;
use crate::error::Error;
use crate::repository::Repository;

/// How registries are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryOptions {
    /// Trust any certificate, and take plain HTTP where there is no TLS. On loopback plain HTTP is taken anyway.
    pub insecure: bool,
    /// PEM certificates to trust beside the host's.
    pub ca_certs: Vec<PathBuf>,
    /// Registries to ask first, in this order: `HOST[:PORT]`, or with `http://` in front.
    pub mirrors: Vec<String>,
    /// Who we are to some of them, by `HOST[:PORT]`. To the others we are whom this process's environment says.
    pub logins: Vec<(String, Login)>,
    /// How long and how often they are asked.
    pub limits: Limits,
}

/// One registry that may have the image: its own or a mirror, by one protocol.
pub(crate) struct Endpoint {
    pub(crate) repository: Arc<Repository>,
}

/// A registry that may be asked, and by which protocol.
pub(crate) struct Candidate {
    reference: Reference,
    plain: bool,
    mirror: bool,
}

impl Candidate {
    /// Those to ask, in this order.
    pub(crate) fn all(reference: &Reference, options: &RegistryOptions) -> Vec<Self> {
        let mut all = Vec::new();
        for mirror in &options.mirrors {
            let (plain, host) = match mirror.strip_prefix("http://") {
                Some(host) => (true, host),
                None => (false, mirror.strip_prefix("https://").unwrap_or(mirror)),
            };
            let mut there = reference.clone();
            there.set_mirror_registry(host.trim_end_matches('/').to_owned());
            all.push(Self {
                reference: there,
                plain,
                mirror: true,
            });
        }
        let itself = |plain| Self {
            reference: reference.clone(),
            plain,
            mirror: false,
        };
        match (is_loopback(reference.registry()), options.insecure) {
            // What does not leave this host seldom has TLS.
            (true, _) => all.extend([itself(true), itself(false)]),
            (false, true) => all.extend([itself(false), itself(true)]),
            (false, false) => all.push(itself(false)),
        }
        all
    }

    /// Whose credentials are used. Those of a registry are for nobody else, a mirror of it included.
    fn login_host(&self) -> &str {
        match self.reference.resolve_registry() {
            "index.docker.io" => "docker.io",
            host => host,
        }
    }

    /// The login that the request brought for it.
    pub(crate) fn sent_login<'a>(&self, options: &'a RegistryOptions) -> Option<&'a Login> {
        let host = self.login_host();
        let sent = options.logins.iter().find(|(registry, _)| registry == host);
        sent.map(|(_, login)| login)
    }

    /// Whether it should have been asked with TLS.
    pub(crate) fn wants_tls(&self, answer: &Answer) -> bool {
        self.plain && answer.wants_tls()
    }

    /// Whether this is an answer of the registry itself, which by another protocol would be the same.
    pub(crate) fn is_final(&self, answer: &Answer) -> bool {
        !self.mirror && !self.wants_tls(answer) && !answer.is_silence()
    }
}

impl Endpoint {
    pub(crate) fn new(
        candidate: &Candidate,
        trust: &Trust,
        options: &RegistryOptions,
    ) -> Result<Self, Error> {
        let login = match candidate.sent_login(options) {
            Some(login) => login.clone(),
            None => banger_logins::find(candidate.login_host()).map_err(Error::Credentials)?,
        };
        Self::with(candidate, trust, options, login)
    }

    /// The same with this login.
    pub(crate) fn with(
        candidate: &Candidate,
        trust: &Trust,
        options: &RegistryOptions,
        login: Login,
    ) -> Result<Self, Error> {
        let Candidate { reference, plain, .. } = candidate;
        let named = without_port(reference.resolve_registry());
        let client = banger_fetch::client(named, options.limits, trust)
            .build()
            .map_err(|source| Error::Client {
                registry: reference.registry().to_owned(),
                source: io::Error::other(source),
            })?;
        Ok(Self {
            repository: Arc::new(Repository::new(
                client,
                Reach::of(named),
                reference.clone(),
                *plain,
                login,
            )),
        })
    }

    pub(crate) fn error(&self, what: &str, source: Answer) -> Error {
        Error::Registry {
            what: format!("{what} {}", self.repository.reference()),
            registry: self.repository.reference().resolve_registry().to_owned(),
            source: Box::new(source),
        }
    }
}

/// The host of `HOST[:PORT]`, where an IPv6 address has brackets.
fn without_port(registry: &str) -> &str {
    match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    }
}

fn is_loopback(registry: &str) -> bool {
    let host = without_port(registry);
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}
