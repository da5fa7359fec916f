//! Telling what the guest has of a workspace.

use std::path::{Path, PathBuf};

use banger_guest_api::Failure;
use banger_guest_api::query::{decoded, encoded};
use banger_guest_api::workspace::{Look, Seen};

use super::manifest::{self, GitState, Manifest};
use super::{below, in_the_way};
use crate::failure::{During, refused};

/// What is at `base`.
pub(crate) async fn look(base: PathBuf, asked: Look) -> Result<Seen, Failure> {
    let work = tokio::task::spawn_blocking(move || seen(&base, &asked));
    work.await
        .unwrap_or_else(|_| Err(refused("inspecting a workspace panicked")))
}

pub(super) fn seen(base: &Path, asked: &Look) -> Result<Seen, Failure> {
    let Some(manifest) =
        Manifest::read(base).during(format!("read the record of the workspace at {}", asked.path))?
    else {
        return Ok(match is_absent(base) {
            true => Seen::Absent,
            false => Seen::Foreign,
        });
    };
    let same = manifest.generation.is_some() && manifest.generation == asked.generation;
    let taken = asked.probe.iter().filter(|path| is_taken(base, path));
    let changed = manifest
        .entries
        .iter()
        .filter(|(path, entry)| entry.look.is_some_and(|look| differs(base, path, look)));
    let entries = manifest.entries.iter().filter(|_| !same);
    Ok(Seen::Placed {
        same,
        entries: entries
            .map(|(path, entry)| (encoded(path), entry.tag.clone()))
            .collect(),
        changed: changed.map(|(path, _)| encoded(path)).collect(),
        taken: taken.cloned().collect(),
        // A repository that never came whole is nobody's work.
        git_touched: manifest.git.is_some_and(|placed| placed != GitState::now(base)),
    })
}

fn is_absent(base: &Path) -> bool {
    match std::fs::read_dir(base) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

fn differs(base: &Path, path: &[u8], placed: manifest::Look) -> bool {
    let Some(path) = below(base, path) else {
        return true;
    };
    if in_the_way(base, &path).is_some() {
        return true;
    }
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.is_dir() || manifest::Look::of(&metadata) != placed,
        Err(_) => true,
    }
}

fn is_taken(base: &Path, path: &str) -> bool {
    let Some(path) = decoded(path).and_then(|path| below(base, &path)) else {
        return true;
    };
    in_the_way(base, &path).is_some() || path.symlink_metadata().is_ok()
}
