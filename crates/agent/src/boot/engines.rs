//! Where container engines keep their layers: directly on the VM's disk.
//!
//! Docker, containerd and Podman stack layers with overlayfs, and overlayfs refuses an upper directory that is itself on an
//! overlay, as the guest's root is. Without this they would copy whole trees instead (Docker's driver `vfs`).

use std::fs::{Metadata, Permissions, create_dir_all, read_dir, set_permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use banger_guest_api::Failure;
use rustix::mount::mount_bind;

use crate::failure::During;

/// The data of an engine, and what shows that the image has it.
struct Engine {
    /// Its name on the disk.
    name: &'static str,
    /// Where it keeps its data, unless it is told otherwise.
    data: &'static str,
    /// The mode that it gives that directory.
    mode: u32,
    /// Its programs; one is enough.
    programs: &'static [&'static str],
}

const ENGINES: [Engine; 3] = [
    Engine {
        name: "docker",
        data: "var/lib/docker",
        mode: 0o710,
        programs: &["dockerd"],
    },
    Engine {
        name: "containerd",
        data: "var/lib/containerd",
        mode: 0o700,
        programs: &["containerd"],
    },
    Engine {
        name: "containers",
        data: "var/lib/containers",
        mode: 0o700,
        programs: &["podman", "buildah"],
    },
];

/// Where programs are.
const PLACES: [&str; 3] = ["usr/bin", "usr/local/bin", "usr/sbin"];

/// Binds the data directories of the engines that the image at `root` has to directories on the disk at `disk`.
pub(super) fn keep_on_disk(disk: &Path, root: &Path) -> Result<(), Failure> {
    for engine in &ENGINES {
        let kept = disk.join("engines").join(engine.name);
        if !engine.is_to_be_bound(&kept, root) {
            continue;
        }
        let target = root.join(engine.data);
        let what = format!("keep /{} on the VM's disk", engine.data);
        engine.make(&kept).during(&what)?;
        engine.make(&target).during(&what)?;
        mount_bind(&kept, &target).during(&what)?;
    }
    Ok(())
}

impl Engine {
    /// Once bound, always bound: what an engine has stored stays in sight. Otherwise nothing is to be hidden: what is
    /// there already was put there without this.
    fn is_to_be_bound(&self, kept: &Path, root: &Path) -> bool {
        let Some(there) = plain(root, self.data) else {
            return false;
        };
        kept.is_dir() || (self.is_in(root) && (there == There::Nothing))
    }

    /// Makes one of its directories, if it is not there.
    fn make(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        create_dir_all(dir)?;
        set_permissions(dir, Permissions::from_mode(self.mode))
    }

    fn is_in(&self, root: &Path) -> bool {
        // A link counts as it is: where it leads is another root's matter.
        let has = |dir: &str, program: &str| root.join(dir).join(program).symlink_metadata().is_ok();
        PLACES
            .iter()
            .any(|dir| self.programs.iter().any(|program| has(dir, program)))
    }
}

/// What a data directory has in it.
#[derive(Debug, PartialEq, Eq)]
enum There {
    Nothing,
    Something,
}

/// What is at `path` below `root`; nothing if a link or a file is in the way, which would lead somewhere else.
fn plain(root: &Path, path: &str) -> Option<There> {
    let mut at = PathBuf::from(root);
    for name in Path::new(path) {
        at.push(name);
        match at.symlink_metadata().as_ref().map(Metadata::is_dir) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(_) => return Some(There::Nothing),
        }
    }
    let is_empty = read_dir(&at).is_ok_and(|mut entries| entries.next().is_none());
    Some(if is_empty {
        There::Nothing
    } else {
        There::Something
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with these files, directories that end in a slash, and links to `/`.
    fn root(files: &[&str], links: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        let place = |path: &str| {
            let path = root.path().join(path);
            create_dir_all(path.parent().expect("a parent")).expect("its parent");
            path
        };
        for file in files {
            match file.strip_suffix('/') {
                Some(dir) => create_dir_all(place(dir)).expect("a directory"),
                None => std::fs::write(place(file), "").expect("a file"),
            }
        }
        for link in links {
            std::os::unix::fs::symlink("/", place(link)).expect("a link");
        }
        root
    }

    fn bound(files: &[&str], links: &[&str], kept: bool) -> bool {
        let root = root(files, links);
        let disk = tempfile::tempdir().expect("a directory");
        let place = disk.path().join("docker");
        if kept {
            create_dir_all(&place).expect("a directory");
        }
        ENGINES[0].is_to_be_bound(&place, root.path())
    }

    #[test]
    fn an_image_with_the_engine_gets_its_data_onto_the_disk() {
        assert!(bound(&["usr/bin/dockerd"], &[], false));
        assert!(bound(&["usr/local/bin/dockerd", "var/lib/docker/"], &[], false));
        assert!(!bound(&["usr/bin/docker", "var/lib/docker/"], &[], false));
    }

    #[test]
    fn nothing_that_is_there_is_hidden() {
        assert!(!bound(&["usr/bin/dockerd", "var/lib/docker/vfs"], &[], false));
        // What it hides was hidden before.
        assert!(bound(&["usr/bin/dockerd", "var/lib/docker/vfs"], &[], true));
        // An engine that was taken away may come back.
        assert!(bound(&[], &[], true));
    }

    #[test]
    fn a_link_on_the_way_leads_out_of_the_root_and_is_left_alone() {
        assert!(!bound(&["usr/bin/dockerd"], &["var/lib"], false));
        assert!(!bound(&["usr/bin/dockerd"], &["var/lib/docker"], true));
        assert!(!bound(&["usr/bin/dockerd", "var/lib/docker"], &[], false));
    }
}
