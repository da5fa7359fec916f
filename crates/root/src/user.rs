//! The user that the helper is once it has opened what takes root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use rustix::process::{Gid, Uid};

use crate::file::failed;
use crate::kernel::HostError;

/// The user that `banger system install` makes.
const NAME: &str = "banger-root";
/// Where there is none, a number that no one gives to users: neither Debian's policy nor systemd's dynamic users.
const FALLBACK: u32 = 61_053;
const TUN: &str = "/dev/net/tun";

/// The helper's user, as the host knows it.
pub(crate) fn helper() -> (Uid, Gid) {
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let (uid, gid) = entry(&known).unwrap_or((FALLBACK, FALLBACK));
    (Uid::from_raw(uid), Gid::from_raw(gid))
}

/// The numbers in the user's line of passwd(5). One that is root's is no user of the helper's own.
fn entry(text: &str) -> Option<(u32, u32)> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(NAME)?.strip_prefix(':'))?;
    let mut fields = line.split(':').skip(1);
    let mut number = || fields.next()?.parse().ok().filter(|number| *number != 0);
    Some((number()?, number()?))
}

/// Lets the helper's group open the device of TAPs where all may not: on hosts without udev it is root's alone. What
/// someone decided about it stays.
pub(crate) fn may_make_taps(helper: Gid) -> Result<(), HostError> {
    let path = Path::new(TUN);
    let Ok(metadata) = fs::metadata(path) else {
        return Ok(());
    };
    let (mode, group) = (metadata.mode(), metadata.gid());
    let own = helper.as_raw();
    if mode & 0o006 == 0o006 || (group == own && mode & 0o060 == 0o060) || (group != 0 && group != own) {
        return Ok(());
    }
    chown(path, None, Some(own)).map_err(failed("give the helper ownership of", path))?;
    let open = fs::Permissions::from_mode(mode & 0o777 | 0o060);
    fs::set_permissions(path, open).map_err(failed("make accessible to the helper", path))
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_one_of_that_name_and_not_root() {
        let of = |text: &str| entry(text);
        assert_eq!(
            of("root:x:0:0::/:\nbanger-root:x:998:997:x:/:/bin/false\n"),
            Some((998, 997))
        );
        for other in [
            "",
            "banger-root2:x:9:9",
            "banger-root:x:0:0",
            "banger-root:x:9",
            "xbanger-root:x:9:9:",
            "banger-root:x:-1:9:",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
