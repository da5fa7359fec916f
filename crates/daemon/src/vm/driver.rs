//! One task per VM: the only writer of that VM's state.
//!
//! Commands come in by a queue, states go out by a `watch`. While a start or a stop goes on, the task still looks at
//! its queue: a command that ends the VM cuts the work short, every other waits for its turn.

mod forwards;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use banger_api::{ErrorBody, ForwardAdd, ForwardRemove, VmSet};
use banger_guest_api::{InitKind, InitState};
use banger_model::network::NetMode;
use banger_model::{Event, Forward, VmName, VmSpec};
use banger_vmm::Ended;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::boot::{self, Booted, Failed, Start, console_tail};
use super::change;
use super::disks::Files;
use super::state::{Live, State};
use super::teardown::{how_it_ended, power_off, remove_traces};
use super::{Context, Error, guest_events, machine_dir};
use crate::database::VmRow;
use crate::error::{body, chain};
use crate::forward::{Route, Running};
use crate::network;

/// What a VM's task is asked for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Start the VM.
    Start(Start, Reply),
    /// Power it off; the guest's init gets this long.
    Stop(Duration, Reply),
    /// End its machine now.
    Kill(Reply),
    /// Change what it is made of.
    Set(Box<VmSet>, Reply),
    /// Forward a port.
    AddForward(ForwardAdd, Reply<Forward>),
    /// Forward ports no more.
    RemoveForwards(ForwardRemove, Reply<Vec<Forward>>),
    /// Let its rules hold anew: another VM that they name has come or gone.
    Enforce,
    /// End its machine, remove its disks, and forget it. The task ends.
    Delete(Reply),
}

/// Where the outcome of a command goes.
pub(crate) type Reply<T = ()> = oneshot::Sender<Result<T, ErrorBody>>;

impl Command {
    /// Whether this command means that a start in progress is for nothing.
    const fn ends_a_start(&self) -> bool {
        matches!(self, Self::Stop(..) | Self::Kill(_) | Self::Delete(_))
    }

    /// Whether this command means that a patient stop in progress is too patient.
    const fn ends_a_stop(&self) -> bool {
        matches!(self, Self::Kill(_) | Self::Delete(_))
    }
}

/// The task of one VM.
#[derive(Debug)]
pub(crate) struct Driver {
    context: Arc<Context>,
    files: Files,
    commands: mpsc::Receiver<Command>,
    pending: VecDeque<Command>,
    state: watch::Sender<State>,
    /// What the guest tells, while there is a machine.
    events: Option<(mpsc::Receiver<InitState>, JoinHandle<()>)>,
    /// The way to the guest for forwards, while there is a machine.
    route: Option<Route>,
    /// The forwards that are at work.
    forwards: Vec<Running>,
}

impl Driver {
    /// A driver for a VM in the state that `state` holds, which may have an adopted machine.
    pub(crate) fn new(
        context: Arc<Context>,
        commands: mpsc::Receiver<Command>,
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
        };
        driver.listen();
        driver
    }

    /// Runs until the VM is deleted, or nobody can command it any more.
    pub(crate) async fn run(mut self) {
        // Of an adopted machine.
        self.open_forwards().await;
        while let Some(next) = self.next().await {
            match next {
                Next::Command(command) => {
                    if self.obey(command).await {
                        return;
                    }
                }
                Next::Exited(ended) => self.exited(&ended).await,
                Next::Init(init) => self.publish(|state| {
                    if let Some(live) = &mut state.live {
                        live.init = init;
                    }
                }),
            }
        }
    }

    async fn next(&mut self) -> Option<Next> {
        if let Some(command) = self.pending.pop_front() {
            return Some(Next::Command(command));
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
        tokio::select! {
            command = self.commands.recv() => command.map(Next::Command),
            ended = exited => Some(Next::Exited(ended)),
            init = init => Some(Next::Init(init)),
        }
    }

    /// Does what a command asks for. True when the VM is gone.
    async fn obey(&mut self, command: Command) -> bool {
        // A caller that left does not learn the outcome; the next one sees it in the state.
        match command {
            Command::Start(start, reply) => {
                let outcome = self.start(&start).await;
                let _ = reply.send(outcome);
            }
            Command::Stop(grace, reply) => {
                let outcome = self.stop(grace, false).await;
                let _ = reply.send(outcome);
            }
            Command::Kill(reply) => {
                let outcome = self.stop(Duration::ZERO, true).await;
                let _ = reply.send(outcome);
            }
            Command::Set(set, reply) => {
                let outcome = self.change(&set).await;
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
            Command::Enforce => {
                let spec = self.row().spec;
                if let Err(error) = self.enforce(&spec).await {
                    tracing::warn!(vm = %self.name(), error = %chain(&error), "could not change what it reaches");
                }
            }
            Command::Delete(reply) => {
                let outcome = self.delete().await;
                let gone = outcome.is_ok();
                let _ = reply.send(outcome);
                return gone;
            }
        }
        false
    }

    async fn start(&mut self, start: &Start) -> Result<(), ErrorBody> {
        self.apply(Event::Start).map_err(|error| body(&error))?;
        self.fail_with(None);
        let (context, row) = (Arc::clone(&self.context), self.row());
        let cancel = start.cancel.clone();
        let work = boot::boot(&context, &row, start);
        match self.attend(work, &cancel, Command::ends_a_start).await {
            Ok(booted) => {
                self.ready(booted);
                for trouble in self.open_forwards().await {
                    start.progress.note(trouble);
                }
                Ok(())
            }
            Err(failed) => {
                tracing::warn!(vm = %row.spec.name, error = %chain(&failed.error), "a start failed");
                let error = failure(&failed);
                if matches!(failed.error, Error::Cancelled(_)) {
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
        self.listen();
    }

    /// Ends the machine, if there is one; `now` skips asking.
    async fn stop(&mut self, grace: Duration, now: bool) -> Result<(), ErrorBody> {
        let phase = self.state.borrow().phase;
        if !phase.may_have_machine() {
            // Stopping what is stopped is what was wanted. What remains of a failure is kept for `vm show`.
            return Ok(());
        }
        self.apply(Event::Stop).map_err(|error| body(&error))?;
        self.deafen();
        let machine = self
            .state
            .borrow()
            .live
            .as_ref()
            .map(|live| Arc::clone(&live.machine));
        let mut cut = None;
        if let Some(machine) = machine {
            let hurry = CancellationToken::new();
            if now {
                hurry.cancel();
            }
            let work = power_off(&machine, grace, &hurry);
            let off = self.attend(work, &hurry, Command::ends_a_stop).await;
            for trouble in &off.troubles {
                tracing::warn!(vm = %self.name(), %trouble, "stopping");
            }
            cut = off.cut.then(|| Error::Cut {
                name: self.row().spec.name,
                why: off.troubles.into_iter().next().unwrap_or_default(),
            });
        }
        self.close_forwards().await;
        self.gone(None).await.map_err(|error| body(&error))?;
        match cut {
            Some(error) => Err(body(&error)),
            None => Ok(()),
        }
    }

    /// Does long work while looking at the queue. A command for which `ends` holds cancels `token`; all commands
    /// keep their turn.
    async fn attend<T>(
        &mut self,
        work: impl Future<Output = T>,
        token: &CancellationToken,
        ends: impl Fn(&Command) -> bool,
    ) -> T {
        if self.pending.iter().any(&ends) {
            token.cancel();
        }
        tokio::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                Some(command) = self.commands.recv() => {
                    if ends(&command) {
                        token.cancel();
                    }
                    self.pending.push_back(command);
                }
            }
        }
    }

    /// The machine ended without being asked to.
    async fn exited(&mut self, ended: &Ended) {
        let error = match ended {
            Ended::Clean | Ended::Killed => None,
            Ended::Panicked(_) | Ended::Failed { .. } => Some(body(&Error::Died {
                name: self.name(),
                how: how_it_ended(ended),
                console: console_tail(&self.dir()),
            })),
        };
        tracing::info!(vm = %self.name(), how = how_it_ended(ended), "its machine ended");
        self.deafen();
        let machine = self
            .state
            .borrow()
            .live
            .as_ref()
            .map(|live| Arc::clone(&live.machine));
        // A dead machine has companions and sockets yet.
        if let Some(machine) = machine
            && let Err(error) = machine.kill().await
        {
            tracing::warn!(vm = %self.name(), error = %chain(&error), "could not clear up after the machine");
        }
        self.close_forwards().await;
        if let Err(error) = self.gone(error).await {
            tracing::warn!(vm = %self.name(), error = %chain(&error), "could not clear up after the machine");
        }
    }

    /// Removes what is left of a machine that is gone.
    async fn gone(&mut self, error: Option<ErrorBody>) -> Result<(), Error> {
        let removed = remove_traces(&self.context, self.row().spec.id, &self.dir()).await;
        self.publish(|state| state.live = None);
        self.fail_with(error);
        let _ = self.apply(Event::Exited);
        removed
    }

    async fn delete(&mut self) -> Result<(), ErrorBody> {
        self.stop(Duration::ZERO, true).await?;
        let id = self.row().spec.id;
        // The record goes last, so that a daemon that dies here finds it and tries again.
        self.files.remove().map_err(|error| body(&error))?;
        let deleted = self.context.database.delete_vm(id);
        self.context.network.egress().forget(id);
        deleted.map_err(|error| body(&error))
    }

    async fn change(&mut self, set: &VmSet) -> Result<(), Error> {
        let (spec, phase) = {
            let state = self.state.borrow();
            (state.spec.clone(), state.phase)
        };
        let changed = change::changed(&spec, phase, set, &self.context.config()?)?;
        if changed.disk_size > spec.disk_size {
            self.files.grow(changed.disk_size)?;
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
            return match network::needs_card(spec.net.mode) {
                true => Err(Error::NeedsStopped {
                    name: spec.name.clone(),
                    phase,
                    what: "what it reaches, because it has no network card,",
                }),
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
        self.publish(|state| state.phase = next);
        Ok(())
    }

    fn fail_with(&mut self, error: Option<ErrorBody>) {
        let id = self.row().spec.id;
        if let Err(error) = self.context.database.set_last_error(id, error.as_ref()) {
            tracing::warn!(vm = %self.name(), error = %chain(&error), "could not store a failure");
        }
        self.publish(|state| state.last_error = error);
    }

    fn publish(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    fn listen(&mut self) {
        let guest = self.state.borrow().live.as_ref().map(Live::guest);
        self.deafen();
        self.events = guest.map(guest_events::listen);
    }

    fn deafen(&mut self) {
        if let Some((_, task)) = self.events.take() {
            task.abort();
        }
    }

    fn row(&self) -> VmRow {
        let state = self.state.borrow();
        VmRow {
            spec: state.spec.clone(),
            image: state.image.clone(),
            forwards: state.forwards.iter().map(|declared| declared.forward).collect(),
            created: state.created,
            last_error: state.last_error.clone(),
        }
    }

    fn name(&self) -> VmName {
        self.state.borrow().spec.name.clone()
    }

    fn dir(&self) -> std::path::PathBuf {
        machine_dir(&self.context.paths, self.state.borrow().spec.id)
    }
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
    Command(Command),
    Exited(Ended),
    Init(InitState),
}

/// The error of a failed start, with what could not be taken back among its causes.
fn failure(failed: &Failed) -> ErrorBody {
    let mut error = body(&failed.error);
    error.causes.extend(failed.left.iter().cloned());
    error
}
