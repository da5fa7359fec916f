//! Placing a workspace.
//!
//! ```text
//!  plan ─▶ snapshot ─▶ what has the guest? ─▶ delta ─▶ conflicts? ─▶ pack ┬▶ stream ─▶ record
//!                                                                 files ─┘
//! ```
//!
//! Nothing of it takes part in the VM's own task: a VM can be stopped at any time, and then this fails. Dropping the future
//! ends it, and leaves the guest with an exact account of what it got.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use banger_api::{WorkspaceReport, WorkspaceRequest};
use banger_guest_api::query::{decoded, encoded};
use banger_guest_api::workspace::Seen;
use banger_hostsys::random;
use banger_request::Reporter;
use tokio::sync::oneshot;

use super::checkout::{self, Checkout, Known, Own};
use super::delta::{self, Delta, Facts};
use super::history::{DEPTH, History};
use super::placed::{Record, Records};
use super::plan::Modules;
use super::report::Add;
use super::snapshot::{self, Snapshot};
use super::stream::{Sent, Shipment, stream};
use super::target::{Site, Target};
use super::{Error, Plan, blocking, filters, listing, remote, second_look};

/// How many paths are asked about at once.
const PROBE: usize = 20_000;

/// Where workspaces are placed.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The VM's name.
    pub(crate) vm: String,
    /// Its guest, and whose the workspaces are.
    pub(crate) target: Target,
    /// What was placed in it.
    pub(crate) records: Records,
    /// Whether its git makes this user's commits.
    pub(crate) git_identity: bool,
    /// Where we may write meanwhile.
    pub(crate) scratch: PathBuf,
    /// Whom to tell how far it is.
    pub(crate) say: Reporter,
}

/// Places a workspace and those of its submodules.
pub(crate) async fn place(place: Place, request: WorkspaceRequest) -> Result<WorkspaceReport, Error> {
    let is_first = place.records.get(&request.guest_path).is_none();
    let (target, path) = (place.target.clone(), request.guest_path.clone());
    let site = target.at(&path);
    // Beside the placing, which takes longer.
    let lacks_git = async { is_first && remote::lacks_git(site).await };
    let (placed, lacks_git) = tokio::join!(all(place, request), lacks_git);
    let mut report = placed?;
    if lacks_git {
        report.notes.push(NO_GIT.to_owned());
    }
    Ok(report)
}

/// What a user should know before work is done in there.
const NO_GIT: &str = "the VM has no git, so what is done in it cannot be pulled: install git in it, or use an image that has it";

/// Places one and those in it, however deep.
fn all(
    place: Place,
    request: WorkspaceRequest,
) -> Pin<Box<dyn Future<Output = Result<WorkspaceReport, Error>> + Send>> {
    Box::pin(async move {
        let site = place.target.at(&request.guest_path);
        let _hold = place.records.hold(&request.guest_path)?;
        let record = place.records.get(&request.guest_path);
        let was_readonly = record.as_ref().is_some_and(|record| record.readonly);
        if was_readonly {
            site.protect(false).await?;
        }
        let placed = with_modules(&place, &request, record).await;
        // One that failed changes nothing of who may write.
        let readonly = if placed.is_ok() {
            request.readonly
        } else {
            was_readonly
        };
        if readonly {
            let protected = site.protect(true).await;
            return placed.and_then(|report| protected.map(|()| report));
        }
        placed
    })
}

async fn with_modules(
    place: &Place,
    request: &WorkspaceRequest,
    record: Option<Record>,
) -> Result<WorkspaceReport, Error> {
    let (mut report, modules) = one(place, request, record).await?;
    for (path, module) in modules {
        let shown = String::from_utf8_lossy(&path).into_owned();
        let report_of_it = all(place.clone(), module).await?;
        report.add(&shown, report_of_it);
    }
    Ok(report)
}

/// Places one, and gives what is to be placed in it.
async fn one(
    place: &Place,
    request: &WorkspaceRequest,
    record: Option<Record>,
) -> Result<(WorkspaceReport, Modules), Error> {
    let site = place.target.at(&request.guest_path);
    let planned = Planned::make(request.clone(), place.scratch.clone()).await?;
    let guest = Has::ask(site, record.as_ref(), &planned.plan).await?;
    let mut delta = delta::decide(&Facts {
        planned: planned.tags(),
        placed: &guest.placed,
        changed: &guest.changed,
        taken: &guest.taken,
    });
    let with_state = !guest.same || record.as_ref().map(|record| &record.state) != Some(&planned.state);
    if request.force {
        delta.send.append(&mut delta.kept);
    } else {
        let precious = second_look::of(&delta, with_state && guest.git_touched);
        if !precious.is_empty() {
            let precious = precious.looked_at_again(site, &planned.plan, record.as_ref());
            let precious = precious.await?;
            if !precious.is_empty() {
                return Err(Error::Conflicts {
                    vm: place.vm.clone(),
                    path: request.guest_path.clone(),
                    paths: precious.words(),
                });
            }
        }
    }
    let modules = planned.plan.modules_of(request);
    let due = Due {
        planned,
        guest,
        delta,
        record,
        with_state,
    };
    let report = due.send(place, request, site).await?;
    Ok((report, modules))
}

/// What is to be sent, and what that is decided by.
struct Due {
    planned: Planned,
    guest: Has,
    delta: Delta,
    record: Option<Record>,
    /// Whether HEAD and the index go.
    with_state: bool,
}

impl Due {
    async fn send(
        mut self,
        place: &Place,
        request: &WorkspaceRequest,
        site: Site<'_>,
    ) -> Result<WorkspaceReport, Error> {
        let mut report = self.report(request);
        let known = Known {
            anonymous: !place.git_identity,
            ..known(&self.guest, self.record.as_ref())
        };
        let (depth, with_state) = (request.depth.unwrap_or(DEPTH), self.with_state);
        let planned = self.planned;
        let making = blocking("preparing a workspace", move || {
            let (history, checkout) = checkout(&planned, known, depth, with_state)?;
            Ok((planned, history, checkout))
        });
        let (planned, history, mut checkout) = making.await?;
        let mut new = planned.record(place, request, self.record.take(), history);
        let has_all = self.delta.send.is_empty() && self.delta.remove.is_empty() && checkout.is_empty();
        if self.guest.same && has_all {
            place.records.put(&new)?;
            return Ok(report);
        }
        let generation = random::hex::<16>().map_err(Error::Random)?;
        let (pack, made) = oneshot::channel();
        let shipment = Shipment {
            plan: planned.plan,
            delta: self.delta,
            pack: made,
            own: std::mem::take(&mut checkout.files),
            generation: generation.clone(),
            say: place.say.clone(),
        };
        let Sent { plan, bytes } = shipped(site, shipment, checkout, pack).await?;
        report.sent_bytes += bytes;
        new.generation = Some(generation);
        new.files = tags_of(&plan);
        place.records.put(&new)?;
        Ok(report)
    }

    /// What is told when it is done.
    fn report(&self, request: &WorkspaceRequest) -> WorkspaceReport {
        let plan = &self.planned.plan;
        let kept = self.delta.kept.iter();
        WorkspaceReport {
            guest_path: request.guest_path.clone(),
            files: plan.files.len() as u64,
            bytes: plan.bytes(),
            sent_files: self.delta.send.len() as u64,
            sent_bytes: self.guest.told,
            kept: kept
                .map(|path| String::from_utf8_lossy(path).into_owned())
                .collect(),
            omitted: plan.omissions(),
            notes: self.planned.notes(),
        }
    }
}

/// The guest's repository, as far as it lacks it, and its history.
fn checkout(
    planned: &Planned,
    known: Known,
    depth: u32,
    with_state: bool,
) -> Result<(History, Checkout), Error> {
    // Deeper than before means anew: what the guest has then ends where it must not.
    let fresh = depth == 0 && !known.history.full;
    let known = match fresh {
        true => Known {
            haves: Vec::new(),
            history: History::default(),
            objects: BTreeSet::new(),
            ..known
        },
        false => known,
    };
    // What goes deep once stays so.
    let depth = if known.history.full { 0 } else { depth };
    let tips = checkout::tips(&planned.plan);
    let history = History::of(&planned.plan.source, &tips, depth, &known.history)?;
    let checkout = Checkout::make(&planned.plan, &planned.base, &history, &known, with_state)?;
    Ok((history, checkout))
}

/// Sends it. The pack is made while files are sent; where it fails, the stream ends for want of it.
async fn shipped(
    site: Site<'_>,
    shipment: Shipment,
    checkout: Checkout,
    pack: oneshot::Sender<Vec<Own>>,
) -> Result<Sent, Error> {
    let (frames, streaming) = stream(shipment);
    let packing = async {
        let packed = checkout.pack().await?;
        let _ = pack.send(packed);
        Ok::<_, Error>(())
    };
    let (packed, put) = tokio::join!(packing, site.put(Box::pin(frames)));
    let streamed = streaming
        .await
        .map_err(|_| Error::Defect("reading a workspace"))?;
    packed?;
    // When the host's side failed, the guest only saw the stream end; the host's words say why.
    let sent = streamed?;
    put?;
    sent.ok_or(Error::Defect("sending a workspace"))
}

/// What the guest has of the repository, as far as that is certain.
fn known(guest: &Has, record: Option<&Record>) -> Known {
    let Some(record) = record.filter(|record| record.generation.is_some() && guest.is_placed) else {
        return Known::default();
    };
    let certain = guest.same;
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

/// What is to be placed.
struct Planned {
    plan: Plan,
    base: Snapshot,
    state: String,
    index: String,
    filtered: filters::All,
}

impl Planned {
    async fn make(request: WorkspaceRequest, scratch: PathBuf) -> Result<Self, Error> {
        let work = blocking("planning a workspace", move || {
            let mut plan = Plan::make(&request, &scratch)?;
            if let Some(branch) = &request.branch {
                check_branch(&plan, branch)?;
            }
            let base = snapshot::take(&mut plan)?;
            let state = checkout::state(&plan)?;
            let index = listing::name(&plan.stage.git(&plan.source, "index"))?;
            Ok(Self {
                filtered: filters::of(&plan)?,
                plan,
                base,
                state,
                index,
            })
        });
        work.await
    }

    fn notes(&self) -> Vec<String> {
        let source = &self.plan.source;
        let mut notes = filters::notes(source, &self.filtered);
        if source.promisor().is_some() {
            notes.push(
                "this is a partial clone, so the VM's is one: objects that are not here are not there"
                    .to_owned(),
            );
        }
        notes
    }

    fn tags(&self) -> BTreeMap<&[u8], &str> {
        let files = self.plan.files.iter();
        files.map(|(path, file)| (&path[..], &file.tag[..])).collect()
    }

    fn record(
        &self,
        place: &Place,
        request: &WorkspaceRequest,
        before: Option<Record>,
        history: History,
    ) -> Record {
        let before = before.unwrap_or_default();
        let source = &self.plan.source;
        let namespace = match before.namespace.is_empty() || before.common != source.common {
            true => place
                .records
                .namespace(&place.vm, &request.guest_path, &source.common),
            false => before.namespace,
        };
        Record {
            guest_path: request.guest_path.clone(),
            source: source.root.clone(),
            common: source.common.clone(),
            namespace,
            readonly: request.readonly,
            generation: before.generation,
            state: self.state.clone(),
            index: self.index.clone(),
            head: self.plan.head.clone(),
            base: self.base.commit.clone(),
            base_tree: self.base.tree.clone(),
            has_changes: self.plan.head.as_ref() != Some(&self.base.commit),
            history,
            files: tags_of(&self.plan),
            filtered: self.filtered.clone(),
            pulled: before.pulled,
            checked: None,
        }
    }
}

fn tags_of(plan: &Plan) -> BTreeMap<String, String> {
    let files = plan.files.iter();
    files
        .map(|(path, file)| (encoded(path), file.tag.clone()))
        .collect()
}

pub(super) fn check_branch(plan: &Plan, branch: &str) -> Result<(), Error> {
    let checked = plan.source.git().run(
        "check the branch's name",
        ["check-ref-format", "--branch", branch],
    );
    checked.map(drop).map_err(|error| match error {
        banger_git::Error::Failed { .. } => Error::BranchName(branch.to_owned()),
        error => error.into(),
    })
}

/// What the guest has.
struct Has {
    /// Whether something was placed before.
    is_placed: bool,
    /// Whether it is what the host remembers.
    same: bool,
    placed: BTreeMap<Vec<u8>, String>,
    changed: BTreeSet<Vec<u8>>,
    taken: BTreeSet<Vec<u8>>,
    git_touched: bool,
    /// Bytes that it took to ask.
    told: u64,
}

impl Has {
    async fn ask(site: Site<'_>, record: Option<&Record>, plan: &Plan) -> Result<Self, Error> {
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
}
