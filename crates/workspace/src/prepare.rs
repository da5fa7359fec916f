//! Placing a workspace.
//!
//! ```text
//!  plan ─▶ snapshot ─▶ what has the guest? ─▶ delta ─▶ conflicts? ─▶ pack ┬▶ stream ─▶ record
//!                                                                 files ─┘
//! ```
//!
//! Nothing of it takes part in the VM's own task: a VM can be stopped at any time, and then this fails. Dropping the future
//! ends it, and leaves the guest with an exact account of what it got.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use banger_api::{WorkspaceReport, WorkspaceRequest};
use banger_hostsys::random;
use tokio::sync::oneshot;

use crate::blocking::blocking;
use crate::checkout::{self, Checkout, Known, Own};
use crate::delta::{self, Delta, Facts};
use crate::error::Error;
use crate::has::Has;
use crate::history::{DEPTH, History};
use crate::place::Place;
use crate::placed::Record;
use crate::plan::Modules;
use crate::planned::{Planned, tags_of};
use crate::report::Add;
use crate::stream::{Sent, Shipment, stream};
use crate::target::Site;
use crate::{remote, second_look};

/// Places a workspace and those of its submodules.
///
/// # Errors
/// When the repository cannot be read, the guest has work that would be lost, or it does not take all of it.
pub async fn prepare(place: Place, request: WorkspaceRequest) -> Result<WorkspaceReport, Error> {
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
const NO_GIT: &str =
    "the VM has no git, so its work cannot be pulled: install git in the VM, or use an image that has git";

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
            ..self.guest.known(self.record.as_ref())
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
    // Deeper than before means a new checkout: what the guest has then ends where it must not.
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
