//! How many descriptors the server may have. A connection that it carries takes two, and Linux gives the first process of a
//! guest 1024; commands get what they would without us.

use std::io;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What this process was given.
static GIVEN: OnceLock<Rlimit> = OnceLock::new();

/// Takes as many as there are.
pub(crate) fn take() {
    let given = GIVEN.get_or_init(|| getrlimit(Resource::Nofile));
    let all = Rlimit {
        current: given.maximum,
        maximum: given.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, all) {
        eprintln!("banger: failed to raise the limit of open files: {error}");
    }
}

/// Gives back what was taken: for a child, before it executes a program.
///
/// # Errors
/// When the system refuses.
pub(crate) fn give_back() -> io::Result<()> {
    match GIVEN.get() {
        Some(given) => Ok(setrlimit(Resource::Nofile, *given)?),
        None => Ok(()),
    }
}
