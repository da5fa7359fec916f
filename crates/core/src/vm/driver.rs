//! One task per VM: the only writer of that VM's state.
//!
//! Commands come in by a queue, states go out by a `watch`. While a start or a stop goes on, the task still looks at
//! its queue: a command that ends the VM cuts the work short, every other waits for its turn.

mod after_start;
mod command;
mod ending;
mod forwards;
mod rename;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use banger_api::{ErrorBody, VmSet};
use banger_forward::{Route, Running};
use banger_guest_api::{InitKind, InitState};
use banger_model::network::NetMode;
use banger_model::{Event, Intent, Phase, VmName, VmSpec, body, chain};
use banger_settings::Config;
use banger_vmm::{Ended, Machine};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use self::command::{Command, Ordered, Reply};
use super::boot::{self, Booted, Failed, Start};
use super::change;
use super::disks::Files;
use super::row::VmRow;
use super::state::{Live, State};
use super::{AccessError, Context, Error, SpecError, StartError, guest_events, machine_dir, space};

/// The task of one VM.
#[derive(Debug)]
pub(crate) struct Driver {
    context: Arc<Context>,
    files: Files,
    commands: mpsc::Receiver<Ordered>,
    pending: VecDeque<Ordered>,
    state: watch::Sender<State>,
    /// What the guest tells, while there is a machine.
    events: Option<(mpsc::Receiver<InitState>, JoinHandle<()>)>,
    /// The way to the guest for forwards, while there is a machine.
    route: Option<Route>,
    /// The forwards that are at work.
    forwards: Vec<Running>,
    /// Whether its machine stands still for want of space.
    space: Option<space::Watch>,
}

impl Driver {
    /// A driver for a VM in the state that `state` holds, which may have an adopted machine.
    pub(crate) fn new(
        context: Arc<Context>,
        commands: mpsc::Receiver<Ordered>,
        state: watch::Sender<State>,
    ) -> Self {
        let files = context.files(state.borrow().spec.id);
        let mut driver = Self {
            context,
            files,
            commands,
            pending: VecDeque::new(),
            state,
            events: None,
            route: None,
            forwards: Vec::new(),
            space: None,
        };
        driver.listen(true);
        driver
    }

    /// Runs until the VM is deleted, or nobody can command it any more.
    pub(crate) async fn run(mut self) {
        // Of an adopted machine.
        self.open_forwards().await;
        while let Some(next) = self.next().await {
            match next {
                Next::Command(Ordered { command, request }) => {
                    if request.scoped(self.obey(command)).await {
                        return;
                    }
                }
                Next::Exited(ended) => self.exited(&ended).await,
                Next::Stalled(stalled) => self.stalled(stalled),
                Next::Init(init) => self.publish(|state| {
                    if let Some(live) = &mut state.live {
                        live.init = init;
                    }
                }),
            }
        }
    }

    async fn next(&mut self) -> Option<Next> {
        if let Some(ordered) = self.pending.pop_front() {
            return Some(Next::Command(ordered));
        }
        let exited = self
            .state
            .borrow()
            .live
            .as_ref()
            .map(|live| live.machine.exited());
        let exited = async move {
            match exited {
                Some(mut exited) => end_of(&mut exited).await,
                None => std::future::pending().await,
            }
        };
        let init = async {
            let Some((events, _)) = &mut self.events else {
                return std::future::pending().await;
            };
            match events.recv().await {
                Some(init) => init,
                None => std::future::pending().await,
            }
        };
        let stalled = async {
            let Some(space) = &mut self.space else {
                return std::future::pending().await;
            };
            match space.stalled.changed().await {
                Ok(()) => *space.stalled.borrow_and_update(),
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            stalled = stalled => Some(Next::Stalled(stalled)),
            command = self.commands.recv() => command.map(Next::Command),
            ended = exited => Some(Next::Exited(ended)),
            init = init => Some(Next::Init(init)),
        }
    }

    /// Does what a command asks for. True when the VM is gone.
    async fn obey(&mut self, command: Command) -> bool {
        let starts_nothing = matches!(command, Command::Start(..)) && self.runs();
        if command.needs_the_disk() && !starts_nothing {
            self.context.copies.end(self.row().spec.id).await;
        }
        // A caller that left does not learn the outcome; the next one sees it in the state.
        match command {
            Command::Start(start, reply) => {
                let outcome = match starts_nothing {
                    true => Ok(false),
                    false => self.start(&start).await.map(|()| true),
                };
                let _ = reply.send(outcome);
            }
            Command::Stop(grace, reply) => {
                let outcome = self
                    .stop(
                        grace,
                        false,
                        Intent::Stop {
                            grace_ms: millis(grace),
                        },
                    )
                    .await;
                let _ = reply.send(outcome);
            }
            Command::Restart(grace, start, reply) => {
                let outcome = self.restart(grace, &start).await;
                let _ = reply.send(outcome);
            }
            Command::Kill(reply) => {
                let outcome = self.stop(Duration::ZERO, true, Intent::Kill).await;
                let _ = reply.send(outcome);
            }
            Command::Finish(reply) => {
                let outcome = self.finish();
                let _ = reply.send(outcome.map_err(|error| body(&error)));
            }
            Command::Set(set, reply) => {
                let outcome = self.change(&set).await;
                let _ = reply.send(outcome.map_err(|error| body(&error)));
            }
            Command::Rename(name, reply) => {
                let outcome = self.rename(name).await;
                let _ = reply.send(outcome.map_err(|error| body(&error)));
            }
            Command::AddForward(add, reply) => {
                let outcome = self.add_forward(&add).await;
                let _ = reply.send(outcome);
            }
            Command::RemoveForwards(remove, reply) => {
                let outcome = self.remove_forwards(&remove).await;
                let _ = reply.send(outcome);
            }
            Command::Notice(notice) => self.publish(|state| state.notice = Some(notice)),
            Command::Enforce => {
                let spec = self.row().spec;
                if let Err(error) = self.enforce(&spec).await {
                    tracing::warn!(vm = %self.name(), error = %chain(&error), "could not update the network rules of a VM");
                }
            }
            Command::Delete { force, reply } => {
                let outcome = self.delete(force).await;
                let gone = outcome.is_ok();
                let _ = reply.send(outcome);
                return gone;
            }
        }
        false
    }

    /// Whether there is nothing to be started.
    fn runs(&self) -> bool {
        self.state.borrow().phase == Phase::Running
    }

    async fn start(&mut self, start: &Start) -> Result<(), ErrorBody> {
        if self.state.borrow().phase == Phase::Paused {
            return Err(body(&AccessError::Paused {
                name: self.name(),
                why: space::WHY,
            }));
        }
        self.apply(Event::Start).map_err(|error| body(&error))?;
        self.fail_with(None);
        if start.is_watched {
            self.publish(|state| state.notice = None);
        }
        let (context, row) = (Arc::clone(&self.context), self.row());
        if let Some(note) = super::create::crowded(&row.spec, banger_hostsys::host_size()) {
            start.progress.note(note);
        }
        let cancel = start.cancel.clone();
        let work = boot::boot(&context, &row, start);
        match self.attend(work, &cancel, Command::ends_a_start).await {
            Ok(booted) => {
                self.ready(booted);
                for trouble in self.open_forwards().await {
                    start.progress.note(trouble);
                }
                self.after_start(start).await;
                Ok(())
            }
            Err(failed) => {
                tracing::warn!(vm = %row.spec.name, error = %chain(&failed.error), "failed to start a VM");
                let error = failure(&failed);
                if matches!(failed.error, Error::Start(StartError::Cancelled(_))) {
                    // Nobody failed: it was asked to end before it began.
                    let _ = self.apply(Event::Stop).and_then(|()| self.apply(Event::Exited));
                } else {
                    self.fail_with(Some(error.clone()));
                    let _ = self.apply(Event::StartFailed);
                }
                Err(error)
            }
        }
    }

    fn ready(&mut self, booted: Booted) {
        tracing::info!(vm = %self.name(), vmm = %booted.machine.record().vmm, "ready");
        // The agent as init has nothing more to bring up; others tell when they have.
        let init = match booted.facts.ready.init {
            InitKind::Agent => InitState::Up,
            _ => InitState::Booting,
        };
        let live = Live {
            machine: booted.machine,
            facts: Arc::new(booted.facts),
            init,
        };
        self.publish(|state| state.live = Some(live));
        let _ = self.apply(Event::Ready);
        self.listen(false);
    }

    /// Does long work while looking at the queue. A command for which `ends` holds cancels `token`; all commands
    /// keep their turn.
    async fn attend<T>(
        &mut self,
        work: impl Future<Output = T>,
        token: &CancellationToken,
        ends: impl Fn(&Command) -> bool,
    ) -> T {
        if self.pending.iter().any(|ordered| ends(&ordered.command)) {
            token.cancel();
        }
        tokio::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                Some(ordered) = self.commands.recv() => {
                    if ends(&ordered.command) {
                        token.cancel();
                    }
                    self.pending.push_back(ordered);
                }
            }
        }
    }

    async fn change(&mut self, set: &VmSet) -> Result<(), Error> {
        let (spec, phase) = {
            let state = self.state.borrow();
            (state.spec.clone(), state.phase)
        };
        // Only rules may name presets: to cut a VM off, nothing of the configuration is needed.
        let config = match set.allow.is_some() {
            true => self.context.config()?,
            false => Config::default(),
        };
        let changed = change::changed(&spec, phase, set, &config)?;
        if set.memory.is_some() {
            super::create::fits(&changed, banger_hostsys::host_size())?;
        }
        // What is told is what holds: rules that cannot be enforced are not stored.
        if changed.net.mode == NetMode::Learn && spec.net.mode != NetMode::Learn {
            // Before the packet filter lets it: what it reaches first counts.
            let forgotten = self.context.database.unlearn(spec.id);
            forgotten.map_err(|source| Error::Database {
                name: spec.name.clone(),
                source,
            })?;
        }
        if changed.net != spec.net {
            self.enforce(&changed).await?;
        }
        self.context
            .database
            .update_spec(&changed)
            .map_err(|source| Error::Database {
                name: changed.name.clone(),
                source,
            })?;
        if changed.disk_size > spec.disk_size
            && let Err(error) = self.files.grow(changed.disk_size)
        {
            // A daemon that dies before this finds a disk that is smaller than it is to be, and grows it.
            let undone = self.context.database.update_spec(&spec);
            undone.map_err(|source| Error::Database {
                name: spec.name.clone(),
                source,
            })?;
            return Err(error);
        }
        self.publish(|state| state.spec = changed);
        Ok(())
    }

    /// Lets the rules of `spec` hold for the VM's card, if there is one.
    async fn enforce(&self, spec: &VmSpec) -> Result<(), Error> {
        let (phase, live) = {
            let state = self.state.borrow();
            (state.phase, state.live.clone())
        };
        let Some(live) = live else { return Ok(()) };
        let Some(slot) = live.facts.place.as_ref().map(|place| place.slot) else {
            return match banger_hostnet::needs_card(spec.net.mode) {
                true => Err(SpecError::NeedsStopped {
                    name: spec.name.clone(),
                    phase,
                    what: "the network of a VM without a network card",
                }
                .into()),
                false => Ok(()),
            };
        };
        let rules = self.context.rules(&spec.net);
        let (context, of_vm) = (Arc::clone(&self.context), spec.clone());
        tokio::task::spawn_blocking(move || context.network.policy(slot, &of_vm, &rules))
            .await
            .map_err(|_| Error::Defect("changing what a VM reaches panicked"))?
            .map_err(|source| Error::Network {
                name: spec.name.clone(),
                source,
            })
    }

    fn apply(&mut self, event: Event) -> Result<(), Error> {
        let (name, phase) = (self.name(), self.state.borrow().phase);
        let next = phase.on(event).map_err(|source| Error::Denied { name, source })?;
        self.publish(|state| {
            state.phase = next;
            state.starts += u64::from(event == Event::Start);
        });
        Ok(())
    }

    fn fail_with(&mut self, error: Option<ErrorBody>) {
        let id = self.row().spec.id;
        if let Err(error) = self.context.database.set_last_error(id, error.as_ref()) {
            tracing::warn!(vm = %self.name(), error = %chain(&error), "could not store a failure");
        }
        self.publish(|state| state.last_error = error);
    }

    fn machine(&self) -> Option<Arc<dyn Machine>> {
        let state = self.state.borrow();
        state.live.as_ref().map(|live| Arc::clone(&live.machine))
    }

    fn publish(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    /// Hears of the machine's guest and of its disk from now on.
    fn listen(&mut self, is_adopted: bool) {
        let guest = self.state.borrow().live.as_ref().map(Live::guest);
        self.deafen();
        self.events = guest.map(guest_events::listen);
        let machine = self.machine();
        self.space = machine.map(|machine| space::watch_over(machine, self.files.disk(), is_adopted));
    }

    fn deafen(&mut self) {
        if let Some((_, task)) = self.events.take() {
            task.abort();
        }
        self.space = None;
    }

    fn row(&self) -> VmRow {
        let state = self.state.borrow();
        VmRow {
            spec: state.spec.clone(),
            image: state.image.clone(),
            forwards: state.forwards.iter().map(|declared| declared.forward).collect(),
            created: state.created,
            last_error: state.last_error.clone(),
            removes_on_exit: state.removes_on_exit,
            unfinished: state.unfinished,
        }
    }

    fn name(&self) -> VmName {
        self.state.borrow().spec.name.clone()
    }

    fn dir(&self) -> std::path::PathBuf {
        let state = self.state.borrow();
        let live = state.live.as_ref();
        // One that an earlier daemon launched is where that had it.
        live.map_or_else(
            || machine_dir(&self.context.paths, state.spec.id),
            |live| live.machine.record().dir.clone(),
        )
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How a machine ended, once it has.
async fn end_of(exited: &mut watch::Receiver<Option<Ended>>) -> Ended {
    let ended = exited
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|ended| ended.clone());
    match ended {
        Some(ended) => ended,
        // Nobody watches it any more: the runtime ends.
        None => std::future::pending().await,
    }
}

/// What a VM's task wakes up for.
enum Next {
    Command(Ordered),
    Exited(Ended),
    Init(InitState),
    /// Its machine stands still for want of space, or no more.
    Stalled(bool),
}

/// The error of a failed start, with what could not be taken back among its causes.
fn failure(failed: &Failed) -> ErrorBody {
    let mut error = body(&failed.error);
    error.causes.extend(failed.left.iter().cloned());
    error
}
