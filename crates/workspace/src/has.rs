//! What a guest has of a workspace, beside what the host remembers of it.

use std::collections::{BTreeMap, BTreeSet};

use banger_guest_api::query::{decoded, encoded};
use banger_guest_api::workspace::Seen;

use crate::checkout::Known;
use crate::error::Error;
use crate::placed::Record;
use crate::plan::Plan;
use crate::target::Site;

/// How many paths are asked about at once.
const PROBE: usize = 20_000;

/// What the guest has.
pub(crate) struct Has {
    /// Whether something was placed before.
    pub(crate) is_placed: bool,
    /// Whether it is what the host remembers.
    pub(crate) same: bool,
    pub(crate) placed: BTreeMap<Vec<u8>, String>,
    pub(crate) changed: BTreeSet<Vec<u8>>,
    pub(crate) taken: BTreeSet<Vec<u8>>,
    pub(crate) git_touched: bool,
    /// Bytes that it took to ask.
    pub(crate) told: u64,
}

impl Has {
    /// Asks the guest.
    pub(crate) async fn ask(site: Site<'_>, record: Option<&Record>, plan: &Plan) -> Result<Self, Error> {
        let generation = record.and_then(|record| record.generation.as_deref());
        let mut has = Self {
            is_placed: true,
            same: false,
            placed: record.map(Record::tags).unwrap_or_default(),
            changed: BTreeSet::new(),
            taken: BTreeSet::new(),
            git_touched: false,
            told: 0,
        };
        // Asked about first as the host remembers it, and when that is not what the guest has, once more.
        for _ in 0..2 {
            let unknown = plan.files.keys().filter(|path| !has.placed.contains_key(*path));
            let probe: Vec<String> = match generation.is_some() || !has.placed.is_empty() {
                true => unknown.map(|path| encoded(path)).collect(),
                false => Vec::new(),
            };
            let (seen, told) = site
                .look(generation, probe.iter().take(PROBE).cloned().collect())
                .await?;
            has.told += told;
            if !has.take(seen, site.path)? {
                for probe in probe.chunks(PROBE).skip(1) {
                    let (seen, told) = site.look(generation, probe.to_vec()).await?;
                    has.told += told;
                    has.take(seen, site.path)?;
                }
                break;
            }
        }
        Ok(has)
    }

    /// Takes in what the guest tells; whether it has to be asked again, because it is not what was thought.
    fn take(&mut self, seen: Seen, path: &str) -> Result<bool, Error> {
        match seen {
            Seen::Absent => {
                self.is_placed = false;
                self.placed.clear();
                Ok(false)
            }
            Seen::Foreign => Err(Error::Foreign(path.to_owned())),
            Seen::Placed {
                same,
                entries,
                changed,
                taken,
                git_touched,
            } => {
                let bytes = |paths: Vec<String>| paths.into_iter().filter_map(|path| decoded(&path));
                let entries = entries.into_iter();
                let entries: BTreeMap<Vec<u8>, String> = entries
                    .filter_map(|(path, tag)| Some((decoded(&path)?, tag)))
                    .collect();
                let again = !same && entries != self.placed;
                if !same {
                    self.placed = entries;
                }
                self.same = same;
                self.changed = bytes(changed).collect();
                self.taken.extend(bytes(taken));
                self.git_touched = git_touched;
                Ok(again)
            }
        }
    }

    /// What the guest has of the repository, as far as that is certain.
    pub(crate) fn known(&self, record: Option<&Record>) -> Known {
        let Some(record) = record.filter(|record| record.generation.is_some() && self.is_placed) else {
            return Known::default();
        };
        let certain = self.same;
        let haves = record.head.iter().filter(|_| certain);
        // A tag begins with the object of the file's content, if it names any.
        let tags = record.files.values().filter(|_| certain);
        let objects = tags.filter_map(|tag| tag.split(' ').next()).map(str::to_owned);
        Known {
            repository: true,
            anonymous: false,
            haves: haves.cloned().collect(),
            history: record.history.clone(),
            base: certain.then(|| record.base.clone()),
            objects: objects.collect(),
        }
    }
}
