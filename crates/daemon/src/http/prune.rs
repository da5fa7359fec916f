//! Removing what nobody needs.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use banger_api::{Prune, Pruned};
use banger_image::ImageRecord;
use banger_model::shell_word;

use super::App;
use super::answer::{Body, Refused, blocking};
use super::workspaces::records;
use crate::vm::space_used;
use crate::workspace;

type Answer = Result<Json<Pruned>, Refused>;

pub(crate) async fn vms(State(app): State<App>, Body(request): Body<Prune>) -> Answer {
    let mut pruned = Pruned::default();
    let mut failure = None;
    let context = app.vms.context();
    for handle in app.vms.list() {
        let state = handle.state();
        if state.phase.may_have_machine() || !request.may_remove(state.spec.name.as_str()) {
            continue;
        }
        if let Some(work) = workspace::unsaved(None, &records(&app, &handle)).await.first() {
            let (name, path, what) = (&state.spec.name, &work.guest_path, &work.what);
            let word = shell_word(path);
            pruned.kept.push(format!(
                "VM `{name}` has work at {path} that was not brought back: {what}; bring it back with `banger vm \
                 start {name} && banger vm workspace pull {name} {word}`, or lose it with `banger vm delete -f {name}`"
            ));
            continue;
        }
        let bytes = space_used(&context.files(state.spec.id).disk()).as_bytes();
        let name = state.spec.name.to_string();
        if !request.dry_run
            && let Err(error) = app.vms.delete(&name).await
        {
            // One VM that cannot be removed does not keep the others.
            failure.get_or_insert(error);
            continue;
        }
        pruned.names.push(name);
        pruned.bytes += bytes;
    }
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(Json(pruned)),
    }
}

/// Images that no VM uses, but for the default one, and those that are nowhere else unless `all` go.
pub(crate) async fn images(State(app): State<App>, Body(request): Body<Prune>) -> Answer {
    // Without the configuration it is not known which one that is.
    let configured = app.vms.context().config()?.default_image;
    let vms = Arc::clone(&app.vms);
    let pruned = blocking("removing images", move || {
        let in_use = vms.images_in_use();
        let store = &vms.context().images;
        let chosen = store.default()?;
        let is_default = |image: &ImageRecord| [&configured, &chosen].contains(&&Some(image.name.clone()));
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
        Ok::<_, banger_image::Error>(Pruned {
            names: pruned.names.iter().map(ToString::to_string).collect(),
            bytes: pruned.bytes,
            kept: kept.collect(),
        })
    });
    Ok(Json(pruned.await?))
}

/// Kernels that no VM uses and no image names, but for the default one, and those that are nowhere else unless `all` go.
pub(crate) async fn kernels(State(app): State<App>, Body(request): Body<Prune>) -> Answer {
    let configured = app.vms.context().config()?.default_kernel;
    let vms = Arc::clone(&app.vms);
    let pruned = blocking("removing kernels", move || {
        let context = vms.context();
        let named: Vec<_> = context
            .images
            .list()?
            .into_iter()
            .filter_map(|image| image.kernel)
            .chain(configured)
            .chain(context.kernels.default()?)
            .collect();
        let mut pruned = Pruned::default();
        for kernel in context.kernels.list()? {
            let is_used = named.contains(&kernel.name) || !vms.users_of_kernel(&kernel.name).is_empty();
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
        Ok::<_, banger_image::Error>(pruned)
    });
    Ok(Json(pruned.await?))
}

/// What is said of what stays because it cannot be fetched again.
fn only_here(kind: &str, name: &str) -> String {
    format!(
        "{kind} `{name}` is perhaps nowhere else; `banger {kind} rm {name}` removes it, `banger {kind} prune --all` all of these"
    )
}

/// Initrds: VMMs read them at the start of a machine, and then never again.
pub(crate) async fn cache(State(app): State<App>, Body(request): Body<Prune>) -> Answer {
    let dir = app.vms.context().paths.cache.join("initrd");
    let mut pruned = Pruned::default();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let bytes = entry.metadata().map_or(0, |metadata| metadata.blocks() * 512);
        // One that is gone already was somebody else's to remove.
        if request.dry_run || std::fs::remove_file(entry.path()).is_ok() {
            pruned.bytes += bytes;
            pruned
                .names
                .push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(Json(pruned))
}
