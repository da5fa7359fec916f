//! What lies on this host of the user's: the configuration, directories, space, and what the stores have.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use banger_api::{Check, CheckStatus, Paths};
use banger_image::ImageStore;
use banger_kernel::KernelStore;
use banger_model::{Describe, chain};
use banger_settings::Config;

use super::check::{failed, ok, warning};

/// Free space below which images and disks soon do not fit.
const LITTLE_SPACE: u64 = 5 << 30;

pub(super) fn check_config(paths: &Paths) -> Check {
    match Config::load(paths) {
        Ok(_) => ok(
            "config",
            format!("{} is fine or absent", paths.config_file().display()),
        ),
        Err(error) => Check {
            name: "config".to_owned(),
            status: CheckStatus::Failed,
            message: chain(&error),
            fix: error.describe().hints.into_iter().next(),
        },
    }
}

/// Directories that exist must be the user's own; those that do not are made by the daemon.
pub(super) fn check_directories(paths: &Paths) -> Vec<Check> {
    let us = rustix::process::geteuid().as_raw();
    let dirs = [
        ("state", &paths.state),
        ("data", &paths.data),
        ("cache", &paths.cache),
        ("runtime", &paths.runtime),
    ];
    dirs.into_iter()
        .filter_map(|(name, dir)| {
            let metadata = std::fs::metadata(dir).ok()?;
            let shown = dir.display();
            if metadata.uid() != us {
                return Some(failed(
                    name,
                    format!("{shown} belongs to user {}, not to you", metadata.uid()),
                    format!("sudo chown -R $USER {shown}"),
                ));
            }
            let open = name == "runtime" && metadata.mode() & 0o077 != 0;
            open.then(|| {
                warning(
                    name,
                    format!("{shown} can be entered by other users"),
                    format!("chmod 700 {shown}"),
                )
            })
        })
        .collect()
}

pub(super) fn check_space(paths: &Paths) -> Check {
    let existing = paths
        .data
        .ancestors()
        .find(|dir| dir.exists())
        .unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(existing) {
        Ok(stat) => {
            let free = stat.f_bavail * stat.f_frsize;
            let text = format!(
                "{} free for images and disks",
                banger_model::ByteSize::bytes(free)
            );
            if free < LITTLE_SPACE {
                // Neither has anything that cannot be fetched or built again.
                warning("space", text, "banger cache prune && banger image prune")
            } else {
                ok("space", text)
            }
        }
        Err(error) => warning(
            "space",
            format!(
                "cannot determine the free space of {}: {error}",
                existing.display()
            ),
            "df -h",
        ),
    }
}

pub(super) fn check_kernels(paths: &Paths) -> Check {
    let fix = "banger kernel import debian --package linux-image-cloud-amd64";
    if !paths.data.join("kernels").exists() {
        return warning("kernels", "there is no kernel yet", fix);
    }
    match KernelStore::open(&paths.data, &paths.cache).and_then(|store| store.list()) {
        Ok(kernels) if kernels.is_empty() => warning("kernels", "there is no kernel yet", fix),
        Ok(kernels) => {
            let wanted = Config::load(paths).ok().and_then(|config| config.default_kernel);
            let is_there = wanted
                .as_ref()
                .is_none_or(|name| kernels.iter().any(|kernel| kernel.name == *name));
            in_store("kernel", kernels.len(), wanted.filter(|_| !is_there), paths)
        }
        Err(error) => failed("kernels", chain(&error), fix),
    }
}

pub(super) fn check_images(paths: &Paths) -> Check {
    let fix = "mmdebstrap --variant=minbase --include=git bookworm - | banger image import --name debian-bookworm -";
    if !paths.data.join("images").exists() {
        return warning("images", "there is no image yet", fix);
    }
    match ImageStore::open(&paths.data).and_then(|store| store.list()) {
        Ok(images) if images.is_empty() => warning("images", "there is no image yet", fix),
        Ok(images) => {
            let wanted = Config::load(paths).ok().and_then(|config| config.default_image);
            let is_there = wanted
                .as_ref()
                .is_none_or(|name| images.iter().any(|image| image.name == *name));
            in_store("image", images.len(), wanted.filter(|_| !is_there), paths)
        }
        Err(error) => failed("images", chain(&error), fix),
    }
}

/// How many there are, unless the default one of config.toml is absent.
fn in_store(kind: &str, count: usize, absent: Option<impl std::fmt::Display>, paths: &Paths) -> Check {
    let name = format!("{kind}s");
    match absent {
        None => ok(&name, format!("{count} in the store")),
        Some(absent) => warning(
            &name,
            format!(
                "default_{kind} in {} is `{absent}`, which does not exist",
                paths.config_file().display()
            ),
            format!("banger {kind} list  # lists them: set one of them, or remove the key"),
        ),
    }
}
