//! Images from a registry or its mirrors.

use std::io::Read;
use std::sync::Arc;

use banger_fetch::{Trust, Waiting};
use oci_spec::distribution::Reference;
use oci_spec::image::Descriptor;
use tokio_util::sync::CancellationToken;

use crate::answer::Answer;
use crate::blob::{Blob, Download};
use crate::document::{self, LayerRef, Resolved};
use crate::endpoint::{Candidate, Endpoint, RegistryOptions};
use crate::error::Error;
use crate::platform::Platform;
use crate::repository::{MANIFESTS, Repository};
use crate::source::Source;
use crate::{retry, verified};

/// An image in a registry.
pub(crate) struct Registry {
    waiting: Waiting,
    called_off: CancellationToken,
    candidates: Vec<Candidate>,
    trust: Trust,
    options: RegistryOptions,
    /// Who has answered, and is asked from then on.
    chosen: Option<Endpoint>,
}

impl Registry {
    /// The image of a reference. When `called_off` is cancelled, nothing is waited for any more.
    pub(crate) fn new(
        reference: &Reference,
        options: &RegistryOptions,
        called_off: &CancellationToken,
    ) -> Result<Self, Error> {
        let client_error = |source| Error::Client {
            registry: reference.registry().to_owned(),
            source,
        };
        let waiting = Waiting::new(called_off.clone()).map_err(client_error)?;
        let own = Trust::with_files(&options.ca_certs).map_err(client_error)?;
        let trust = if options.insecure { Trust::anybody() } else { own };
        Ok(Self {
            waiting,
            called_off: called_off.clone(),
            candidates: Candidate::all(reference, options),
            trust,
            options: options.clone(),
            chosen: None,
        })
    }

    /// The digest that the reference has now, by one request for a manifest.
    pub(crate) fn digest(&mut self) -> Result<String, Error> {
        self.first("get the digest of", async |repository| repository.digest().await)
    }

    /// Asks the candidates one after the other, and stays with the one that answers.
    fn first<T>(
        &mut self,
        what: &str,
        ask: impl AsyncFn(&Repository) -> Result<T, Answer>,
    ) -> Result<T, Error> {
        let mut failures = Vec::new();
        let last = self.candidates.len() - 1;
        for (index, candidate) in self.candidates.iter().enumerate() {
            let endpoint = Endpoint::new(candidate, &self.trust, &self.options)?;
            let attempts = self.options.limits.attempts;
            let insist = |answer: &Answer| index == last || candidate.is_final(answer);
            let asking = retry::retrying(attempts, insist, async || ask(&endpoint.repository).await);
            let answer = self.waiting.wait(asking).map_err(|_| Error::CalledOff)?;
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
    let silent = |error: &Error| matches!(error, Error::Registry { source, .. } if source.is_silence());
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
        let (document, digest) = self.first("get the manifest of", async |repository| {
            repository.manifest(None).await
        })?;
        let this = &*self;
        document::resolve(document, Some(digest), platform, &|descriptor| {
            this.document(descriptor)
        })
    }

    fn open(
        &self,
        layer: &LayerRef,
        called_off: &CancellationToken,
    ) -> Result<Box<dyn Read + Send + '_>, Error> {
        Ok(Box::new(self.blob(
            layer.place.clone(),
            layer.size,
            layer.urls.clone().unwrap_or_default(),
            called_off.clone(),
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
        verified::is_document(descriptor)?;
        let is_manifest = MANIFESTS.contains(&descriptor.media_type().as_ref());
        let bytes = if is_manifest {
            let asking = retry::retrying(
                self.options.limits.attempts,
                |_| true,
                async || endpoint.repository.manifest(Some(&digest)).await,
            );
            let asked = self.waiting.wait(asking).map_err(|_| Error::CalledOff)?;
            asked
                .map_err(|answer| endpoint.error("get the manifest of", answer))?
                .0
        } else {
            let mut bytes = Vec::new();
            self.blob(digest, descriptor.size(), Vec::new(), self.called_off.clone())
                .read_to_end(&mut bytes)
                .map_err(|source| Error::Configuration {
                    image: endpoint.repository.reference().to_string(),
                    source,
                })?;
            bytes
        };
        verified::check(&bytes, descriptor)?;
        Ok(bytes)
    }

    fn blob(
        &self,
        digest: String,
        size: u64,
        urls: Vec<String>,
        called_off: CancellationToken,
    ) -> Download<'_> {
        let blob = Blob {
            repository: Arc::clone(&self.chosen().repository),
            digest,
            size,
            urls,
            attempts: self.options.limits.attempts,
        };
        blob.download(&self.waiting, called_off)
    }
}
