//! Which init an image has, if it has one that can run a guest.

use std::path::{Path, PathBuf};

use banger_guest_api::InitKind;

/// An image's init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Init {
    pub(super) program: PathBuf,
    pub(super) kind: InitKind,
}

const PLACES: [&str; 6] = [
    "sbin/init",
    "usr/sbin/init",
    "lib/systemd/systemd",
    "usr/lib/systemd/systemd",
    "sbin/openrc-init",
    "sbin/runit-init",
];

/// Looks below `root`. An image that was made for containers often has a part of an init and nothing for it to start;
/// such a one has none.
pub(super) fn find(root: &Path) -> Option<Init> {
    PLACES.iter().find_map(|place| {
        let real = resolve(root, Path::new(place))?;
        let kind = kind(root, &real)?;
        let program = Path::new("/").join(place);
        Some(Init { program, kind })
    })
}

fn kind(root: &Path, real: &Path) -> Option<InitKind> {
    let name = real.file_name()?.to_str()?;
    match name {
        "systemd" => Some(InitKind::Systemd),
        "openrc-init" => Some(InitKind::OpenRc),
        "runit-init" | "runit" => Some(InitKind::Runit),
        "busybox" => started_by_inittab(root),
        // Wrappers of containers that only reap and forward signals run a command, not a guest.
        "tini" | "dumb-init" | "catatonit" => None,
        _ if root.join("etc/inittab").exists() => started_by_inittab(root),
        _ => Some(InitKind::Other),
    }
}

/// What an inittab's init starts: OpenRC, if it is installed, or scripts. Without an inittab, busybox's init starts
/// shells on terminals that do not exist.
fn started_by_inittab(root: &Path) -> Option<InitKind> {
    let inittab = std::fs::read_to_string(root.join("etc/inittab")).ok()?;
    let mentions = |word: &str| {
        inittab
            .lines()
            .any(|line| !line.trim_start().starts_with('#') && line.contains(word))
    };
    if mentions("openrc") {
        return resolve(root, Path::new("sbin/openrc")).map(|_| InitKind::OpenRc);
    }
    Some(InitKind::SysV)
}

/// The executable that a path leads to, with absolute links taken below `root`.
fn resolve(root: &Path, path: &Path) -> Option<PathBuf> {
    let mut at = root.join(path);
    for _ in 0..16 {
        let metadata = std::fs::symlink_metadata(&at).ok()?;
        if !metadata.is_symlink() {
            let executable = rustix::fs::access(&at, rustix::fs::Access::EXEC_OK).is_ok();
            return (metadata.is_file() && executable).then_some(at);
        }
        let target = std::fs::read_link(&at).ok()?;
        at = match target.strip_prefix("/") {
            Ok(relative) => root.join(relative),
            Err(_) => at.parent()?.join(target),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn image(programs: &[&str], links: &[(&str, &str)], inittab: Option<&str>) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let place = |path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        for program in programs {
            let path = place(program);
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        for (link, target) in links {
            symlink(target, place(link)).unwrap();
        }
        if let Some(inittab) = inittab {
            std::fs::write(place("etc/inittab"), inittab).unwrap();
        }
        root
    }

    fn found(programs: &[&str], links: &[(&str, &str)], inittab: Option<&str>) -> Option<InitKind> {
        find(image(programs, links, inittab).path()).map(|init| init.kind)
    }

    #[test]
    fn inits_are_known_by_what_their_name_leads_to() {
        let systemd = [("sbin/init", "/lib/systemd/systemd")];
        assert_eq!(
            found(&["lib/systemd/systemd"], &systemd, None),
            Some(InitKind::Systemd)
        );
        assert_eq!(
            found(&["usr/lib/systemd/systemd"], &[], None),
            Some(InitKind::Systemd)
        );
        assert_eq!(
            found(&["sbin/init"], &[], Some("id:2:initdefault:")),
            Some(InitKind::SysV)
        );
        assert_eq!(found(&["sbin/init"], &[], None), Some(InitKind::Other));
    }

    #[test]
    fn a_containers_image_has_no_init() {
        let busybox = [("sbin/init", "/bin/busybox")];
        let openrc = Some("::sysinit:/sbin/openrc sysinit\n");
        assert_eq!(found(&["bin/busybox"], &busybox, openrc), None);
        assert_eq!(
            found(&["bin/busybox", "sbin/openrc"], &busybox, openrc),
            Some(InitKind::OpenRc)
        );
        assert_eq!(found(&["bin/busybox"], &busybox, None), None);
        assert_eq!(found(&["bin/sh"], &[], None), None);
        assert_eq!(found(&[], &[("sbin/init", "/sbin/init")], None), None);
    }
}
