//! Which certificates of servers are trusted.
//!
//! The CA certificates of a host are about 150 files. They are read when the first server shows its certificate: plain HTTP needs
//! none of them, and to read them takes longer than to ask a registry on loopback for a digest.

use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

/// Which certificates are trusted. CA certificates are read once for a value of this type and its clones.
#[derive(Debug, Clone)]
pub struct Trust(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Authorities(Arc<Authorities>),
    Anybody,
}

impl Trust {
    /// Certificates of the authorities that this host trusts, or that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    pub fn host() -> Self {
        Self::beside(Vec::new())
    }

    /// As [`host`](Self::host), and certificates of the authorities in these PEM files.
    ///
    /// # Errors
    /// When one of the files cannot be read or has something else in it.
    pub fn with_files<P: AsRef<Path>>(files: &[P]) -> io::Result<Self> {
        let mut extra = Vec::new();
        for file in files {
            extra.extend(certificates(file.as_ref())?);
        }
        Ok(Self::beside(extra))
    }

    /// Any certificate: the server is not identified.
    pub const fn anybody() -> Self {
        Self(Kind::Anybody)
    }

    fn beside(extra: Vec<CertificateDer<'static>>) -> Self {
        Self(Kind::Authorities(Arc::new(Authorities {
            provider: provider(),
            extra,
            verifier: OnceLock::new(),
        })))
    }

    /// Configures a client to trust these certificates.
    pub(crate) fn give(&self, client: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        match &self.0 {
            Kind::Authorities(authorities) => {
                client.tls_backend_preconfigured(configuration(Arc::clone(authorities)))
            }
            Kind::Anybody => {
                // reqwest takes the process's provider.
                let _ = provider();
                client.tls_danger_accept_invalid_certs(true)
            }
        }
    }
}

/// The configuration that reqwest makes itself when it is built without HTTP/2, except for the verifier.
fn configuration(authorities: Arc<Authorities>) -> ClientConfig {
    let mut tls = ClientConfig::builder_with_provider(Arc::clone(&authorities.provider))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .expect("every provider has suites of the versions that are built in")
        .dangerous()
        .with_custom_certificate_verifier(authorities)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    tls
}

/// The cryptography of TLS in this process: ring, unless another provider was installed.
fn provider() -> Arc<CryptoProvider> {
    if let Some(chosen) = CryptoProvider::get_default() {
        return Arc::clone(chosen);
    }
    // Another thread may install it first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let chosen = CryptoProvider::get_default();
    Arc::clone(chosen.expect("a provider that was installed stays"))
}

/// The certificates of a PEM file. Each can be a root certificate.
fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let text = std::fs::read(path).map_err(named)?;
    let certs = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| named(io::Error::other(source)))?;
    let mut store = RootCertStore::empty();
    for cert in &certs {
        // The verifier adds them in the same way, but not before the first handshake.
        let added = store.add(cert.clone());
        added.map_err(|source| named(io::Error::other(source)))?;
    }
    match certs.is_empty() {
        true => Err(named(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file has no PEM certificate",
        ))),
        false => Ok(certs),
    }
}

/// Authorities whose certificates are read when the first server is verified.
#[derive(Debug)]
struct Authorities {
    provider: Arc<CryptoProvider>,
    /// Beside the host's.
    extra: Vec<CertificateDer<'static>>,
    verifier: OnceLock<Result<Verifier, rustls::Error>>,
}

impl Authorities {
    fn verifier(&self) -> Result<&Verifier, rustls::Error> {
        let read = || Verifier::new_with_extra_roots(self.extra.iter().cloned(), Arc::clone(&self.provider));
        let verifier = self.verifier.get_or_init(|| {
            read().map_err(|source| rustls::Error::Other(OtherError(Arc::new(NoAuthorities(source)))))
        });
        verifier.as_ref().map_err(Clone::clone)
    }
}

/// The platform verifier decides everything. Without it nothing is accepted.
impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier()?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls13_signature(message, cert, dss)
    }

    /// The ClientHello names these, before any certificate is seen. The platform verifier takes them from the provider, too.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// No CA certificate could be read, so that no server can be trusted.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the CA certificates of this host: {0}")]
pub struct NoAuthorities(rustls::Error);

impl NoAuthorities {
    /// What a user can do.
    pub const HINT: &str = "install the package `ca-certificates`, or name a file of PEM certificates in SSL_CERT_FILE of the daemon";

    /// Whether an error is of this kind, or caused by one.
    pub fn is_in(error: &(dyn StdError + 'static)) -> bool {
        of_tls(error)
            .any(|error| matches!(error, rustls::Error::Other(OtherError(inner)) if inner.is::<Self>()))
    }
}

/// The errors of TLS among the causes of one, itself included.
pub(crate) fn of_tls<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a rustls::Error> {
    std::iter::successors(Some(error), |&cause| match cause.downcast_ref::<io::Error>() {
        // An I/O error hides the one it was made of, which may be such an error again, and gives that one's source as its own.
        Some(hiding) => hiding.get_ref().map(|hidden| hidden as &(dyn StdError + 'static)),
        None => cause.source(),
    })
    .filter_map(|cause| cause.downcast_ref())
}
