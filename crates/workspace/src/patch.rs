//! What a guest has changed, as a patch.

use std::path::Path;

use banger_api::WorkspaceQuery;
use bytes::Bytes;
use futures_util::Stream;

use crate::blocking::blocking;
use crate::error::Error;
use crate::inspect::BASE;
use crate::placed::Record;
use crate::remote::MOST;
use crate::remote::{Running, SNAPSHOT, Script};
use crate::source::Source;
use crate::target::Target;

/// Plumbing, which heeds none of the guest's settings for people. A patch of a part would look like one of all.
const PATCH: &str = r#"
[ -z "${skipped:-}" ] || { sed -n 1,20p "$tmp/complaints" >&2; exit 96; }
git diff-tree -r -p --ignore-submodules=none --binary --full-index --no-renames --no-ext-diff --no-textconv --src-prefix=a/ --dst-prefix=b/ \
  --color="$color" "$base" "$tree"
"#;

/// The patch as it comes. An error is told before the first byte as far as there is one by then.
///
/// # Errors
/// When the guest is not reached, has no git, or no repository any more, or its git cannot read all files.
pub async fn patch(
    target: &Target,
    record: &Record,
    query: &WorkspaceQuery,
    scratch: &Path,
) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
    let base = match &query.base {
        // A name of the host's is meant, if it has it: the guest may call something else so.
        Some(name) => {
            let (at, scratch, asked) = (record.source.clone(), scratch.to_owned(), name.clone());
            let known = blocking("naming a commit", move || {
                Source::around(&at, &scratch)?.commit(&asked)
            });
            vec![known.await.ok().flatten().unwrap_or_else(|| name.clone())]
        }
        None => std::iter::once(&record.base)
            .chain(&record.head)
            .cloned()
            .collect(),
    };
    let color = if query.color {
        "color=always"
    } else {
        "color=never"
    };
    let script = Script {
        what: "create a patch",
        text: &[color, SNAPSHOT, BASE, PATCH],
        args: base,
        input: Vec::new(),
        most: MOST,
    };
    let site = target.at(&record.guest_path);
    let mut running = script.start(site).await?;
    let first = running.next().await?;
    let begun = (running, first);
    Ok(futures_util::stream::unfold(Some(begun), |begun| async move {
        let (mut running, bytes): (Running, Option<Vec<u8>>) = begun?;
        let bytes = bytes?;
        match running.next().await {
            Ok(next) => Some((Ok(Bytes::from(bytes)), Some((running, next)))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}
