//! Whose commits git makes in a guest.

use std::path::Path;

use banger_git::{Git, IDENTITY, write};

/// Whose commits are made outside of any repository, as a file; nothing if nobody's, or without git.
pub fn git_identity() -> Option<String> {
    let settings = banger_git::of_user(&Git::alone(Path::new("/"))).ok()?;
    let mut text = String::new();
    for setting in settings
        .iter()
        .filter(|setting| IDENTITY.contains(&&setting.key[..]))
    {
        write(&mut text, &setting.key, &setting.value);
    }
    Some(text)
}
