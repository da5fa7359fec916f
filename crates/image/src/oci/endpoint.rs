//! Who is asked for an image: its registry or a mirror of that, with TLS or without.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError as Answer;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};

use super::{Error, credentials};
use crate::fetch::Limits;

/// How registries are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryOptions {
    /// Trust any certificate, and take plain HTTP where there is no TLS. On loopback plain HTTP is taken anyway.
    pub insecure: bool,
    /// PEM certificates to trust beside the host's.
    pub ca_certs: Vec<PathBuf>,
    /// Registries to ask first, in this order: `HOST[:PORT]`, or with `http://` in front.
    pub mirrors: Vec<String>,
    /// How long and how often they are asked.
    pub limits: Limits,
}

/// One registry that may have the image: its own or a mirror, by one protocol.
pub(super) struct Endpoint {
    pub(super) client: Arc<Client>,
    pub(super) reference: Reference,
    pub(super) auth: RegistryAuth,
}

/// A registry that may be asked, and by which protocol.
pub(super) struct Candidate {
    reference: Reference,
    plain: bool,
    mirror: bool,
}

impl Candidate {
    /// Those to ask, in this order.
    pub(super) fn all(reference: &Reference, options: &RegistryOptions) -> Vec<Self> {
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

    /// Whether this is what a server that wants TLS tells those who speak plain HTTP. A registry's own faults have a code
    /// in JSON.
    pub(super) fn wants_tls(&self, answer: &Answer) -> bool {
        self.plain && matches!(answer, Answer::ServerError { code: 400, .. })
    }

    /// Whether this is an answer of the registry itself, which by another protocol would be the same.
    pub(super) fn is_final(&self, answer: &Answer) -> bool {
        !self.mirror && !self.wants_tls(answer) && !matches!(answer, Answer::RequestError(_))
    }
}

impl Endpoint {
    pub(super) fn new(
        candidate: &Candidate,
        certs: &[Certificate],
        options: &RegistryOptions,
    ) -> Result<Self, Error> {
        let Candidate { reference, plain, .. } = candidate;
        let client = Client::new(ClientConfig {
            protocol: if *plain {
                ClientProtocol::Http
            } else {
                ClientProtocol::Https
            },
            accept_invalid_certificates: options.insecure,
            extra_root_certificates: certs.to_vec(),
            platform_resolver: None,
            read_timeout: Some(options.limits.stall),
            connect_timeout: Some(options.limits.connect),
            user_agent: concat!("banger/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        // Credentials of a registry are for nobody else, a mirror of it included.
        let host = match reference.resolve_registry() {
            "index.docker.io" => "docker.io",
            host => host,
        };
        Ok(Self {
            client: Arc::new(client),
            auth: credentials::find(host)?,
            reference: reference.clone(),
        })
    }

    /// Gets a token if the registry wants one. What is refused here would otherwise be asked for without one.
    pub(super) async fn log_in(&self) -> Result<(), Answer> {
        let login = self
            .client
            .auth(&self.reference, &self.auth, RegistryOperation::Pull);
        login.await.map(drop)
    }

    pub(super) fn error(&self, what: &str, source: Answer) -> Error {
        Error::Registry {
            what: format!("{what} {}", self.reference),
            registry: self.reference.resolve_registry().to_owned(),
            source: Box::new(source),
        }
    }
}

fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

/// The certificates of a PEM file.
pub(super) fn certificates(path: &PathBuf) -> io::Result<Vec<Certificate>> {
    const END: &str = "-----END CERTIFICATE-----";
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(named)?;
    let certs: Vec<_> = text
        .split_inclusive(END)
        .filter(|part| part.ends_with(END))
        .map(|part| Certificate {
            encoding: CertificateEncoding::Pem,
            data: part.as_bytes().to_vec(),
        })
        .collect();
    match certs.is_empty() {
        true => Err(named(io::Error::new(
            io::ErrorKind::InvalidData,
            "no PEM certificate in it",
        ))),
        false => Ok(certs),
    }
}
