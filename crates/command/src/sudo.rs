//! Hints that contain `sudo banger`.

use std::borrow::Cow;
use std::path::Path;

use banger_model::shell_word;

/// The directories in which sudo searches programs, whatever `PATH` its user has (sudoers(5), `secure_path`).
const PATH_OF_SUDO: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// The same text, with the path of this program if sudo would not find `banger`.
pub fn for_sudo(text: &str) -> Cow<'_, str> {
    match std::env::current_exe() {
        Ok(us) if text.contains(BY_SUDO) => found_by_sudo(text, &us),
        _ => Cow::Borrowed(text),
    }
}

const BY_SUDO: &str = "sudo banger ";

fn found_by_sudo<'a>(text: &'a str, us: &Path) -> Cow<'a, str> {
    let dir = us.parent().unwrap_or(us);
    match PATH_OF_SUDO.iter().any(|known| Path::new(known) == dir) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.replace(BY_SUDO, &format!("sudo {} ", shell_word(&us.to_string_lossy())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_has_the_whole_path_where_sudo_would_not_find_it() {
        let hint = "`sudo banger system install` installs it";
        for (us, shown) in [
            ("/usr/local/bin/banger", hint),
            ("/usr/bin/banger", hint),
            (
                "/home/me/.local/bin/banger",
                "`sudo /home/me/.local/bin/banger system install` installs it",
            ),
            (
                "/my tools/banger",
                "`sudo '/my tools/banger' system install` installs it",
            ),
        ] {
            assert_eq!(found_by_sudo(hint, Path::new(us)), shown);
        }
        assert_eq!(
            found_by_sudo("banger doctor", Path::new("/x/banger")),
            "banger doctor"
        );
    }
}
