//! Images from a registry: the OCI distribution specification, by the crate `oci-client`.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use oci_client::client::{
    BlobResponse, Certificate, CertificateEncoding, ClientConfig, ClientProtocol, LayerDescriptor,
    SizedStream,
};
use oci_client::errors::OciDistributionError as Answer;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use oci_spec::image::Descriptor;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::document::{self, LayerRef, Platform, Resolved};
use super::source::Source;
use super::{Error, credentials, retry, verified};

/// Chunks of a layer that may wait for whoever unpacks it, of up to half a MiB each.
const WAITING: usize = 8;

const CONNECT: Duration = Duration::from_secs(15);

const MANIFESTS: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// How registries are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryOptions {
    /// Trust any certificate, and take plain HTTP where there is no TLS. On loopback plain HTTP is taken anyway.
    pub insecure: bool,
    /// PEM certificates to trust beside the host's.
    pub ca_certs: Vec<PathBuf>,
    /// Registries to ask first, in this order: `HOST[:PORT]`, or with `http://` in front.
    pub mirrors: Vec<String>,
    /// How long nothing may come before what was asked for is asked for again.
    pub stall: Duration,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            insecure: false,
            ca_certs: Vec::new(),
            mirrors: Vec::new(),
            stall: Duration::from_secs(30),
        }
    }
}

/// One registry that may have the image: its own or a mirror, by one protocol.
struct Endpoint {
    client: Arc<Client>,
    reference: Reference,
    auth: RegistryAuth,
}

/// A registry that may be asked, and by which protocol.
struct Candidate {
    reference: Reference,
    plain: bool,
    mirror: bool,
}

impl Candidate {
    /// Those to ask, in this order.
    fn all(reference: &Reference, options: &RegistryOptions) -> Vec<Self> {
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
    fn wants_tls(&self, answer: &Answer) -> bool {
        self.plain && matches!(answer, Answer::ServerError { code: 400, .. })
    }

    /// Whether this is an answer of the registry itself, which by another protocol would be the same.
    fn is_final(&self, answer: &Answer) -> bool {
        !self.mirror && !self.wants_tls(answer) && !matches!(answer, Answer::RequestError(_))
    }
}

/// An image in a registry.
pub(super) struct Registry {
    runtime: Runtime,
    candidates: Vec<Candidate>,
    certs: Vec<Certificate>,
    options: RegistryOptions,
    /// Who has answered, and is asked from then on.
    chosen: Option<Endpoint>,
}

impl Registry {
    pub(super) fn new(reference: &Reference, options: &RegistryOptions) -> Result<Self, Error> {
        let client_error = |source| Error::Client {
            registry: reference.registry().to_owned(),
            source,
        };
        // It may be installed already; then it is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("registry")
            .enable_all()
            .build()
            .map_err(client_error)?;
        let certs = options
            .ca_certs
            .iter()
            .map(certificates)
            .collect::<io::Result<Vec<_>>>()
            .map_err(client_error)?
            .concat();
        Ok(Self {
            runtime,
            candidates: Candidate::all(reference, options),
            certs,
            options: options.clone(),
            chosen: None,
        })
    }

    /// The digest that the reference has now, by one request for a manifest.
    pub(super) fn digest(&mut self) -> Result<String, Error> {
        self.first("ask for the image's digest", async |endpoint| {
            let Endpoint {
                client,
                reference,
                auth,
            } = endpoint;
            client.fetch_manifest_digest(reference, auth).await
        })
    }

    /// Asks the candidates one after the other, and stays with the one that answers.
    fn first<T>(
        &mut self,
        what: &str,
        ask: impl AsyncFn(&Endpoint) -> Result<T, Answer>,
    ) -> Result<T, Error> {
        let mut failures = Vec::new();
        let last = self.candidates.len() - 1;
        for (index, candidate) in self.candidates.iter().enumerate() {
            let endpoint = Endpoint::new(candidate, &self.certs, &self.options)?;
            let insist = |answer: &Answer| index == last || candidate.is_final(answer);
            let answer = self.runtime.block_on(retry::retrying(insist, async || {
                endpoint.log_in().await?;
                ask(&endpoint).await
            }));
            let answer = match answer {
                Ok(value) => {
                    self.chosen = Some(endpoint);
                    return Ok(value);
                }
                Err(answer) => answer,
            };
            // What was refused over TLS is not sent again without.
            let is_final = candidate.is_final(&answer);
            // What comes of TLS tells more.
            if index == last || !candidate.wants_tls(&answer) {
                failures.push(endpoint.error(what, answer));
            }
            if is_final {
                break;
            }
        }
        Err(worst(failures))
    }
}

/// Of what all endpoints said, what tells most: the last answer that is more than that nobody answered.
fn worst(mut failures: Vec<Error>) -> Error {
    let silent = |error: &Error| matches!(error, Error::Registry { source, .. } if matches!(**source, Answer::RequestError(_)));
    let index = failures
        .iter()
        .rposition(|error| !silent(error))
        // With and without TLS: the first of the two is what was meant.
        .unwrap_or_default();
    let worst = failures.remove(index);
    failures.retain(|error| !silent(error));
    if failures.is_empty() {
        return worst;
    }
    Error::Mirrors {
        mirrors: failures.iter().map(ToString::to_string).collect(),
        source: Box::new(worst),
    }
}

impl Endpoint {
    fn new(candidate: &Candidate, certs: &[Certificate], options: &RegistryOptions) -> Result<Self, Error> {
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
            read_timeout: Some(options.stall),
            connect_timeout: Some(CONNECT),
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
    async fn log_in(&self) -> Result<(), Answer> {
        let login = self
            .client
            .auth(&self.reference, &self.auth, RegistryOperation::Pull);
        login.await.map(drop)
    }

    fn error(&self, what: &str, source: Answer) -> Error {
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
fn certificates(path: &PathBuf) -> io::Result<Vec<Certificate>> {
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

impl Source for Registry {
    fn resolve(&mut self, platform: &Platform) -> Result<Resolved, Error> {
        let (document, digest) = self.first("get the manifest of", async |endpoint| {
            let Endpoint {
                client,
                reference,
                auth,
            } = endpoint;
            client.pull_manifest_raw(reference, auth, MANIFESTS).await
        })?;
        let this = &*self;
        document::resolve(document.to_vec(), Some(digest), platform, &|descriptor| {
            this.document(descriptor)
        })
    }

    fn open(&self, layer: &LayerRef) -> Result<Box<dyn Read + Send + '_>, Error> {
        Ok(Box::new(self.blob(
            layer.place.clone(),
            layer.size,
            layer.urls.clone(),
        )))
    }
}

impl Registry {
    fn chosen(&self) -> &Endpoint {
        self.chosen
            .as_ref()
            .expect("an image is resolved before its parts are read")
    }

    /// A manifest, or the blob of a configuration.
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let endpoint = self.chosen();
        let digest = descriptor.digest().to_string();
        let is_manifest = MANIFESTS.contains(&descriptor.media_type().as_ref());
        let bytes = if is_manifest {
            let reference = endpoint.reference.clone_with_digest(digest.clone());
            let asked = self.runtime.block_on(retry::retrying(
                |_| true,
                || {
                    endpoint
                        .client
                        .pull_manifest_raw(&reference, &endpoint.auth, MANIFESTS)
                },
            ));
            let (bytes, _) = asked.map_err(|answer| endpoint.error("get the manifest of", answer))?;
            bytes.to_vec()
        } else {
            let mut bytes = Vec::new();
            self.blob(digest, descriptor.size().min(document::LONGEST), None)
                .read_to_end(&mut bytes)
                .map_err(|source| endpoint.error("get the configuration of", Answer::IoError(source)))?;
            bytes
        };
        verified::check(&bytes, descriptor)?;
        Ok(bytes)
    }

    fn blob(&self, digest: String, size: u64, urls: Option<Vec<String>>) -> Download {
        let (sender, receiver) = mpsc::channel(WAITING);
        let endpoint = self.chosen();
        let blob = Blob {
            client: Arc::clone(&endpoint.client),
            reference: endpoint.reference.clone(),
            digest,
            size,
            urls,
        };
        self.runtime.spawn(blob.download(sender));
        Download {
            receiver,
            chunk: Bytes::new(),
        }
    }
}

/// A blob to be downloaded.
struct Blob {
    client: Arc<Client>,
    reference: Reference,
    digest: String,
    size: u64,
    urls: Option<Vec<String>>,
}

impl Blob {
    /// Sends the blob's bytes, and goes on where it was when the stream breaks. An error comes last.
    async fn download(self, to: mpsc::Sender<io::Result<Bytes>>) {
        let mut at = 0;
        let mut patience = retry::Patience::default();
        while at < self.size {
            let before = at;
            let fault = match self.stream(at).await {
                Ok(stream) => match forward(stream, self.size, &mut at, &to).await {
                    Forwarded::Whole | Forwarded::Unwanted => return,
                    Forwarded::Broken(error) => Answer::IoError(error),
                },
                Err(answer) => answer,
            };
            patience.progressed(at - before);
            if !retry::is_worth_it(&fault) || !patience.wait().await {
                let _ = to.send(Err(io::Error::other(fault))).await;
                return;
            }
        }
    }

    /// The blob's bytes from `at` on.
    async fn stream(&self, at: u64) -> Result<SizedStream, Answer> {
        let layer = LayerDescriptor {
            digest: &self.digest,
            urls: &self.urls,
        };
        // Asking for a range keeps the library from hashing what we hash anyway.
        let answer = self
            .client
            .pull_blob_stream_partial(&self.reference, &layer, at, None);
        match answer.await? {
            BlobResponse::Partial(stream) => Ok(stream),
            BlobResponse::Full(mut stream) => {
                let mut skip = at;
                while skip > 0 {
                    let Some(chunk) = stream.next().await.transpose()? else {
                        break;
                    };
                    let rest = chunk.slice((chunk.len() as u64).min(skip) as usize..);
                    skip -= (chunk.len() - rest.len()) as u64;
                    if !rest.is_empty() {
                        let first = futures_util::stream::once(async { Ok(rest) });
                        stream.stream = first.chain(stream.stream).boxed();
                    }
                }
                Ok(stream)
            }
        }
    }
}

enum Forwarded {
    Whole,
    /// Nobody reads any more.
    Unwanted,
    Broken(io::Error),
}

async fn forward(
    mut stream: SizedStream,
    size: u64,
    at: &mut u64,
    to: &mpsc::Sender<io::Result<Bytes>>,
) -> Forwarded {
    while let Some(chunk) = stream.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => return Forwarded::Broken(error),
        };
        *at += chunk.len() as u64;
        // One that is too long is told by whoever verifies it.
        if to.send(Ok(chunk)).await.is_err() {
            return Forwarded::Unwanted;
        }
        if *at > size {
            return Forwarded::Whole;
        }
    }
    if *at < size {
        return Forwarded::Broken(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("the registry sent {at} of {size} bytes"),
        ));
    }
    Forwarded::Whole
}

/// A blob as it comes. It must be read outside of any runtime.
struct Download {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let len = buffer.len().min(self.chunk.len());
        buffer[..len].copy_from_slice(&self.chunk.split_to(len));
        Ok(len)
    }
}
