//! Images from a registry: the OCI distribution specification, by the crate `oci-client`.

use std::io::{self, Read};
use std::sync::Arc;

use oci_client::Reference;
use oci_client::client::Certificate;
use oci_client::errors::OciDistributionError as Answer;
use oci_spec::image::Descriptor;
use tokio::runtime::Runtime;

use super::blob::{Blob, Download};
use super::document::{self, LayerRef, Platform, Resolved};
use super::endpoint::{Candidate, Endpoint, RegistryOptions, certificates};
use super::source::Source;
use super::{Error, retry, verified};
use crate::fetch;

const MANIFESTS: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

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
        fetch::choose_tls();
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
            let attempts = self.options.limits.attempts;
            let insist = |answer: &Answer| index == last || candidate.is_final(answer);
            let answer = self.runtime.block_on(retry::retrying(attempts, insist, async || {
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
                self.options.limits.attempts,
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
        let endpoint = self.chosen();
        let blob = Blob {
            client: Arc::clone(&endpoint.client),
            reference: endpoint.reference.clone(),
            digest,
            size,
            urls,
            attempts: self.options.limits.attempts,
        };
        blob.download(&self.runtime)
    }
}
