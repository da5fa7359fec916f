//! The guest's root: the image's layers, read-only, under the VM's own disk.

use std::fs::{File, create_dir_all};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use banger_guest_api::{Disks, Failure, Root};
use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_move};

use super::{engines, grow, inherited};
use crate::failure::{During, refused};

/// Where the parts are mounted; invisible after the switch.
const BASE: &str = "/banger";

/// Mounts the root as `disks` says and makes it this process's `/`. Gives the root directory of the VM's own disk, which
/// no path leads to then.
pub(super) fn mount_and_enter(disks: &Disks) -> Result<OwnedFd, Failure> {
    let Root::Overlay { layers, writable } = &disks.root else {
        return Err(refused("only the fake guest has its root already"));
    };
    let base = Path::new(BASE);
    let mut lower = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let target = base.join("layers").join(index.to_string());
        mount_disk(&layer.device, &target, MountFlags::RDONLY)?;
        lower.push(match &layer.dir {
            Some(dir) => target.join(dir),
            None => target,
        });
    }
    let of_vms = layers.iter().map(|layer| layer.dir.is_some());
    let own = base.join("own");
    mount_disk(writable, &own, MountFlags::NOATIME)?;
    grow::to_device(&own, writable).during("grow the VM's disk")?;
    let disk = File::open(&own).during("open the VM's disk")?;
    let (upper, work) = (own.join("upper"), own.join("work"));
    for dir in [&upper, &work] {
        create_dir_all(dir).during("prepare the VM's disk")?;
    }
    let root = base.join("root");
    create_dir_all(&root).during("create the root directory")?;
    let options = options(&lower, &upper, &work);
    mount("overlay", &root, "overlay", MountFlags::empty(), Some(&*options)).during("mount the overlay")?;
    let stack: Vec<_> = lower.iter().map(PathBuf::as_path).zip(of_vms).collect();
    inherited::hide(&stack, &upper, &root)
        .during("hide the identity of the VM that the image was created from")?;
    if let Some(device) = &disks.work {
        mount_disk(device, &root.join("root"), MountFlags::NOATIME)?;
    }
    engines::keep_on_disk(&own, &root)?;
    enter(&root)?;
    Ok(disk.into())
}

/// The directory of sessions on the VM's own disk, beside `upper`: nothing in the guest meets it by accident, and no image
/// that is committed from the VM shows it.
pub(super) fn sessions(disk: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    const NAME: &str = "sessions";
    match mkdirat(disk, NAME, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(disk, NAME, flags, Mode::empty())
}

fn mount_disk(device: &str, target: &Path, flags: MountFlags) -> Result<(), Failure> {
    create_dir_all(target).during(format!("create {}", target.display()))?;
    mount(device, target, "ext4", flags, None).during(format!("mount {device}"))
}

/// The overlay's options (the kernel's `filesystems/overlayfs`). The uppermost layer comes first there. A directory or a file
/// that has moved is whole on the disk, whatever the kernel would do by itself, so that the disk alone can become a layer.
fn options(layers: &[PathBuf], upper: &Path, work: &Path) -> std::ffi::CString {
    let lower: Vec<_> = layers
        .iter()
        .rev()
        .map(|layer| layer.display().to_string())
        .collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={},redirect_dir=off,metacopy=off",
        lower.join(":"),
        upper.display(),
        work.display()
    );
    std::ffi::CString::new(options).expect("our own paths have no zero bytes")
}

/// Takes the kernel's file systems along and makes `root` the `/` of this process and its later children. The first
/// root is the kernel's own and cannot be unmounted, so it is covered.
fn enter(root: &Path) -> Result<(), Failure> {
    for name in ["dev", "proc", "run", "sys"] {
        let target = root.join(name);
        match std::fs::create_dir(&target) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).during(format!("create /{name} in the image"));
            }
            _ => {}
        }
        match mount_move(Path::new("/").join(name), &target) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error).during(format!("move /{name}")),
        }
    }
    rustix::process::chdir(root).during("enter the root")?;
    mount_move(".", "/").during("move the root")?;
    rustix::process::chroot(".").during("change the root")?;
    rustix::process::chdir("/").during("enter the root")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uppermost_layer_comes_first() {
        let layers = [PathBuf::from("/l/0"), PathBuf::from("/l/1")];
        let options = options(&layers, Path::new("/u"), Path::new("/w"));
        assert_eq!(
            options.to_str(),
            Ok("lowerdir=/l/1:/l/0,upperdir=/u,workdir=/w,redirect_dir=off,metacopy=off")
        );
    }
}
