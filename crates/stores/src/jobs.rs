//! The jobs of [`banger_worker`], done on this thread of its child.

use std::io::{Read, Write};

use banger_api::{ErrorBody, ImageImport};
use banger_catalog as catalog;
use banger_image::{ImageRecord, ImportOptions, ImportSource, Pulled, flatten};
use banger_model::{ImageName, KernelName, body};
use banger_request::Reporter;
use banger_settings::Config;
use banger_worker::{Answer, Job, PulledImage, PulledKernel, Stores};
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::progress::progress;
use super::{catalogs, exports, kernels, pull, pull_request};

/// Does a job.
pub fn perform(
    job: Job,
    here: &Stores,
    say: &Reporter,
    input: &mut (dyn Read + Send),
) -> Result<Answer, ErrorBody> {
    // Whoever wants it no more ends the process.
    let left = CancellationToken::new();
    match job {
        Job::Pull { request, source } => {
            let (record, unchanged) = match pull::pull_now(here, request, source, say, &left)? {
                Pulled::New(record) => (record, false),
                Pulled::Unchanged(record) => (record, true),
            };
            value(&PulledImage { record, unchanged })
        }
        Job::Import(request) => {
            let ImageImport { name, path, .. } = &request;
            let source = match path.is_dir() {
                true => ImportSource::Directory(path),
                false => ImportSource::File(path),
            };
            let (kernel, force) = (request.kernel.clone(), request.force);
            import(here, name, source, kernel, force, say)
        }
        Job::Upload { name, options } => {
            let source = ImportSource::Stream(input);
            import(here, &name, source, options.kernel, options.force, say)
        }
        Job::Export { name, request } => value(&exports::export_now(here, &name, request, say)?),
        Job::Diff { image, other } => {
            let differences = here.images.diff(&image, &other).map_err(|error| body(&error))?;
            Ok(Answer::Listing(Box::new(move |to| {
                list(differences.into_iter().map(exports::told), to)
            })))
        }
        Job::Flatten { layers, to } => {
            let flat = flatten(&layers, &to, &mut progress(say, "flattening the layers"));
            value(&flat.map_err(|error| body(&error))?)
        }
        Job::Kernel(request) => {
            value(&kernels::import_now(here, request, say).map_err(|error| body(&error))?)
        }
        Job::KernelPull(request) => {
            let (record, was_here) =
                match catalogs::pull_now(here, request, say, &left).map_err(|error| body(&error))? {
                    catalog::Pulled::New(record) => (record, false),
                    catalog::Pulled::Here(record) => (record, true),
                };
            value(&PulledKernel { record, was_here })
        }
    }
}

fn import(
    here: &Stores,
    name: &ImageName,
    source: ImportSource<'_>,
    kernel: Option<KernelName>,
    force: bool,
    say: &Reporter,
) -> Result<Answer, ErrorBody> {
    let config = Config::load(&here.paths).map_err(|error| body(&error))?;
    let options = ImportOptions {
        kernel,
        force,
        limits: pull_request::limits(&config),
    };
    let record: ImageRecord = here
        .images
        .import(name, source, &options, &mut progress(say, "importing"))
        .map_err(|error| body(&error))?;
    value(&record)
}

fn value(of: &impl Serialize) -> Result<Answer, ErrorBody> {
    let value: Value = serde_json::to_value(of).expect("records have only string keys");
    Ok(Answer::Value(value))
}

/// Writes one after the other: there may be as many as there are files.
fn list<T: Serialize>(all: impl Iterator<Item = T>, to: &mut dyn Write) -> std::io::Result<()> {
    let mut list = serde_json::Serializer::new(to);
    let mut list = list.serialize_seq(None)?;
    for one in all {
        list.serialize_element(&one)?;
    }
    Ok(list.end()?)
}
