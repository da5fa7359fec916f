//! The API's routes, each written once, as a type.
//!
//! A route is a unit struct that implements [`Route`]: its method, its path, what it takes and what it answers. All else derives
//! from these: the daemon's router (`daemon/src/http/mod.rs`), the client's requests (`crates/client/src/call.rs`), `docs/openapi.json` and the
//! table `docs/api.md`.
//!
//! # To add a route
//!
//! 1. Add an entry to the table in `routes/table.rs`:
//!
//!    ```text
//!    /// Pause a VM.
//!    PauseVm = Post "/v1/vms/{vm}/pause" [body: Json<VmPause>] -> Json<Vm>;
//!    ```
//!
//!    The first line of the comment is the summary, other lines are the description. `[query: …]` and `[body: …]` may be absent.
//!    What can stand there is in [`query`], [`body`] and [`reply`].
//! 2. The daemon does not compile now: add `PauseVm => vms::pause,` to the handlers in its `http/mod.rs` and write the handler. A
//!    handler whose arguments or answer are other than the table says does not compile either.
//! 3. Run `cargo xtask openapi`, which writes `docs/openapi.json` and `docs/api.md`.
//!
//! A method of the client, where Rust needs one, is a line: `self.value(PauseVm.at([name]).json(pause)).await`.

pub mod body;
pub mod query;
pub mod reply;
pub mod switch;
mod table;

pub use body::Body;
pub use query::Query;
pub use reply::Reply;
pub use table::*;

/// A method of HTTP (RFC 9110, section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Does something.
    Post,
    /// Puts what it carries in a place.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// The method as HTTP has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A route of the API.
pub trait Route: Sized {
    /// How it is asked for.
    const METHOD: Method;
    /// Its path, with `{…}` where a name goes.
    const PATH: &'static str;
    /// What it does, in one sentence.
    const SUMMARY: &'static str;
    /// What else there is to know; may be empty.
    const DESCRIPTION: &'static str;
    /// Its name, which generated clients use.
    const OPERATION_ID: &'static str;
    /// What its query is.
    type Query: Query;
    /// What its body is.
    type Body: Body;
    /// What it answers when it succeeds. A failure is an [`ErrorBody`](crate::ErrorBody).
    type Reply: Reply;
}

/// The names that go into a path: `["vm", "session"]`.
pub fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// How many names go into a path, where that has to be known when the program is compiled.
pub const fn parameter_count(path: &str) -> usize {
    let (bytes, mut at, mut count) = (path.as_bytes(), 0, 0);
    while at < bytes.len() {
        if bytes[at] == b'{' {
            count += 1;
        }
        at += 1;
    }
    count
}
