//! Whether what the guest has changed is lost when it is written over: not when the host has it already, because it was
//! pulled and merged, or applied. Only the guest's own git can tell.

use std::collections::BTreeSet;

use crate::delta::Delta;
use crate::error::Error;
use crate::guest_error::GuestError;
use crate::placed::Record;
use crate::plan::Plan;
use crate::remote::Script;
use crate::target::Site;

/// Where there is more, nobody looks.
const MOST: usize = 500;

/// HEAD; a name for the index's entries; whether the index is HEAD's; then a line for each path that is asked about, what
/// its content is; then what is not as HEAD has it.
const LOOK: &str = r#"
printf '%s\n' "$(git rev-parse -q --verify HEAD)"
git ls-files --stage -z | git hash-object --stdin
if git diff-index --cached --quiet HEAD 2>/dev/null; then echo clean; else echo staged; fi
while IFS= read -r path; do
  if [ -L "$path" ]; then readlink -n -- "$path" | git hash-object --stdin
  elif [ -f "$path" ]; then git hash-object -- "$path"
  elif [ -e "$path" ]; then echo taken
  else echo gone; fi
done
git status --porcelain=v1 -z --no-renames --untracked-files=all --ignored
"#;

/// What the guest has changed and that nobody else has.
#[derive(Debug, Default)]
pub(crate) struct Precious {
    /// Files.
    pub(crate) files: BTreeSet<Vec<u8>>,
    /// HEAD or the index.
    pub(crate) state: bool,
}

impl Precious {
    /// All that is in the way, in words.
    pub(crate) fn words(&self) -> Vec<String> {
        let files = self.files.iter();
        let files = files.map(|path| crate::remote::printable(path));
        let state = self.state.then(|| "HEAD or the index".to_owned());
        state.into_iter().chain(files).collect()
    }

    /// Whether nothing is.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && !self.state
    }

    /// What of it is precious indeed. Where the guest has no git, all of it.
    pub(crate) async fn looked_at_again(
        self,
        site: Site<'_>,
        plan: &Plan,
        record: Option<&Record>,
    ) -> Result<Self, Error> {
        if self.files.len() > MOST {
            return Ok(self);
        }
        let askable = |path: &&Vec<u8>| !path.contains(&b'\n') && path.first() != Some(&b'"');
        let asked: Vec<Vec<u8>> = self.files.iter().filter(askable).cloned().collect();
        let input = asked.iter().flat_map(|path| [&path[..], b"\n"].concat());
        let script = Script {
            what: "list the changes",
            text: &[LOOK],
            args: Vec::new(),
            input: input.collect(),
            most: (1 << 20) + 256 * asked.len() as u64,
        };
        let output = match script.output(site).await {
            Ok(output) => output,
            Err(Error::Guest(GuestError::NoGit { .. } | GuestError::Lost(_) | GuestError::Git { .. })) => {
                return Ok(self);
            }
            Err(error) => return Err(error),
        };
        let Some(told) = Told::parse(&output, asked.len()) else {
            return Ok(self);
        };
        self.without(&told, &asked, plan, record)
    }

    fn without(
        mut self,
        told: &Told<'_>,
        asked: &[Vec<u8>],
        plan: &Plan,
        record: Option<&Record>,
    ) -> Result<Self, Error> {
        let untouched = record.is_some_and(|record| {
            record.head.as_deref().unwrap_or_default() == told.head && record.index == told.index
        });
        let contained = told.is_clean && is_ancestor(plan, told.head)?;
        self.state &= !untouched && !contained;
        for (path, content) in asked.iter().zip(&told.contents) {
            let same = match plan.files.get(path) {
                Some(file) => file.tag.split(' ').next() == Some(content),
                None => *content == "gone",
            };
            let committed = contained && !told.differs(path);
            if same || committed {
                self.files.remove(path);
            }
        }
        Ok(self)
    }
}

/// What the guest tells.
struct Told<'a> {
    head: &'a str,
    index: &'a str,
    is_clean: bool,
    contents: Vec<&'a str>,
    /// Paths that are not as HEAD has them; directories end with a slash.
    status: Vec<&'a [u8]>,
}

impl<'a> Told<'a> {
    fn parse(output: &'a [u8], asked: usize) -> Option<Self> {
        let mut lines = output.splitn(asked + 4, |&byte| byte == b'\n');
        let mut line = || std::str::from_utf8(lines.next()?).ok();
        let (head, index, is_clean) = (line()?, line()?, line()? == "clean");
        let contents = (0..asked).map(|_| line()).collect::<Option<Vec<_>>>()?;
        let status = lines.next()?.split(|&byte| byte == 0);
        Some(Self {
            head,
            index,
            is_clean,
            contents,
            status: status.filter_map(|record| record.get(3..)).collect(),
        })
    }

    fn differs(&self, path: &[u8]) -> bool {
        self.status
            .iter()
            .any(|status| *status == path || (status.ends_with(b"/") && path.starts_with(status)))
    }
}

/// Whether the host's new HEAD has the guest's.
fn is_ancestor(plan: &Plan, commit: &str) -> Result<bool, Error> {
    let is_name = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (Some(head), true) = (&plan.head, is_name) else {
        return Ok(false);
    };
    // It fails for a commit that is not here, as for one that is no ancestor.
    let args = ["merge-base", "--is-ancestor", commit, head];
    Ok(plan.source.git().attempt("compare commits", args)?)
}

/// What has to be looked at again.
pub(crate) fn of(delta: &Delta, state: bool) -> Precious {
    Precious {
        files: delta.conflicts.clone(),
        state,
    }
}
