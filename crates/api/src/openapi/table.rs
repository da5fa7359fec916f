//! The routes as a page for people.

use std::fmt::Write as _;

use super::{Described, Schemas};
use crate::routes;

const HEAD: &str = "# The API's routes

Written by `cargo xtask openapi` from `crates/api/src/routes/table.rs`; not edited by hand. [protocol.md](protocol.md) has the rules of
all requests, and what follows on a connection after 101. [openapi.json](openapi.json) has the types.

| operation | method and path | takes | answers |
|---|---|---|---|
";

/// All routes as a table of Markdown.
pub fn table() -> String {
    let mut page = HEAD.to_owned();
    for route in routes::described(&mut Schemas::default()) {
        let Described {
            method,
            path,
            operation,
            takes,
            answers,
        } = route;
        let id = operation.operation_id.unwrap_or_default();
        let summary = operation.summary.unwrap_or_default();
        let (method, takes) = (method.as_str(), takes.join(", "));
        // Writing to a string does not fail.
        let _ = writeln!(
            page,
            "| `{id}`: {summary} | `{method} {path}` | {takes} | {answers} |"
        );
    }
    page
}
