//! Removing what nobody needs: stopped VMs, images, kernels, and cached files. What would be lost for good stays.

use std::os::unix::fs::MetadataExt;

use banger_api::{ErrorBody, Prune, Pruned};
use banger_image::ImageRecord;
use banger_model::{Describe, Description, ErrorCode, body};

use super::guard::nothing_is_lost;
use super::{Vms, space_used};

/// Why nothing was pruned.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// Without the configuration it is not known which image or kernel is the default one.
    #[error(transparent)]
    Config(#[from] banger_settings::Error),
    /// The store of images refused.
    #[error(transparent)]
    Images(#[from] banger_image::Error),
    /// The store of kernels refused.
    #[error(transparent)]
    Kernels(#[from] banger_kernel::Error),
}

impl Describe for PruneError {
    fn describe(&self) -> Description {
        match self {
            Self::Config(source) => source.describe(),
            Self::Images(source) => source.describe(),
            Self::Kernels(source) => source.describe(),
        }
    }
}

impl Vms {
    /// Deletes VMs that do not run, but for those with work that was not brought back.
    pub async fn prune_vms(&self, request: &Prune) -> Result<Pruned, ErrorBody> {
        let mut pruned = Pruned::default();
        let mut failure = None;
        for handle in self.list() {
            let state = handle.state();
            if state.phase.may_have_machine() || !request.may_remove(state.spec.name.as_str()) {
                continue;
            }
            let bytes = space_used(&self.context.files(state.spec.id).disk()).as_bytes();
            let name = state.spec.name;
            let removed = match request.dry_run {
                true => nothing_is_lost(&name, &handle.records(&self.context))
                    .await
                    .map_err(|error| body(&error)),
                false => handle.delete(false).await,
            };
            match removed {
                Ok(()) => {
                    pruned.names.push(name.to_string());
                    pruned.bytes += bytes;
                }
                // It has work that was not brought back, or whoever started it since it was looked at wants it.
                Err(refusal) if refusal.code == ErrorCode::WrongPhase => pruned.kept.push(kept(&refusal)),
                // One VM that cannot be removed does not keep the others.
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(pruned), Err)
    }

    /// Removes images that no VM uses, but for the default one, and those that are nowhere else unless `all` go.
    pub fn prune_images(&self, request: &Prune) -> Result<Pruned, PruneError> {
        let store = &self.context.images;
        let defaults = [self.context.config()?.default_image, store.default()?];
        let in_use = self.images_in_use_without(gone(request, &request.without_vms));
        let is_default = |image: &ImageRecord| defaults.contains(&Some(image.name.clone()));
        let is_only_here = |image: &ImageRecord| !request.all && !image.can_be_fetched();
        let spare = |image: &ImageRecord| {
            is_default(image) || is_only_here(image) || !request.may_remove(image.name.as_str())
        };
        let pruned = store.prune(&in_use, spare, request.dry_run)?;
        let unused = store
            .list()?
            .into_iter()
            .filter(|image| !in_use.contains(&image.id) && !is_default(image) && is_only_here(image));
        let kept = unused.map(|image| only_here("image", image.name.as_str()));
        Ok(Pruned {
            names: pruned.names.iter().map(ToString::to_string).collect(),
            bytes: pruned.bytes,
            kept: kept.collect(),
        })
    }

    /// Removes kernels that no VM uses and no image names, but for the default one, and those that are nowhere else unless `all` go.
    pub fn prune_kernels(&self, request: &Prune) -> Result<Pruned, PruneError> {
        let context = &self.context;
        let gone_images = gone(request, &request.without_images);
        let gone_vms = gone(request, &request.without_vms);
        let named: Vec<_> = context
            .images
            .list()?
            .into_iter()
            .filter(|image| !gone_images.iter().any(|gone| gone == image.name.as_str()))
            .filter_map(|image| image.kernel)
            .chain(context.config()?.default_kernel)
            .chain(context.kernels.default()?)
            .collect();
        let mut pruned = Pruned::default();
        for kernel in context.kernels.list()? {
            let mut users = self.users_of_kernel(&kernel.name);
            users.retain(|user| !gone_vms.contains(user));
            let is_used = named.contains(&kernel.name) || !users.is_empty();
            if is_used || !request.may_remove(kernel.name.as_str()) {
                continue;
            }
            if !request.all && !kernel.can_be_fetched() {
                pruned.kept.push(only_here("kernel", kernel.name.as_str()));
                continue;
            }
            if !request.dry_run {
                context.kernels.remove(&kernel.name)?;
            }
            pruned.bytes += kernel.bytes;
            pruned.names.push(kernel.name.to_string());
        }
        Ok(pruned)
    }

    /// Removes cached initrds: VMMs read them at the start of a machine, and then never again.
    pub fn prune_cache(&self, dry_run: bool) -> Pruned {
        let dir = self.context.paths.cache.join("initrd");
        let mut pruned = Pruned::default();
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let bytes = entry.metadata().map_or(0, |metadata| metadata.blocks() * 512);
            // One that is gone already was somebody else's to remove.
            if dry_run || std::fs::remove_file(entry.path()).is_ok() {
                pruned.bytes += bytes;
                pruned
                    .names
                    .push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        pruned
    }
}

/// What a request takes for gone: of one that removes, nothing, because only what is gone can be missed.
fn gone<'a>(request: &Prune, names: &'a [String]) -> &'a [String] {
    match request.dry_run {
        true => names,
        false => &[],
    }
}

/// Why what cannot be fetched again stays.
fn only_here(kind: &str, name: &str) -> String {
    format!(
        "{kind} `{name}` may not be available elsewhere; `banger {kind} rm {name}` removes it, \
         `banger {kind} prune --all` removes all of these"
    )
}

/// Why a VM stays, and what its user may do.
fn kept(refusal: &ErrorBody) -> String {
    let words: Vec<&str> = [&refusal.message]
        .into_iter()
        .chain(&refusal.hints)
        .map(String::as_str)
        .collect();
    words.join("; ")
}
