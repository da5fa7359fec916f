//! What is known of a VM at an instant, as its task publishes it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use banger_api::{self as api, ErrorBody};
use banger_forward::Declared;
use banger_guest_api::{InitKind, InitState, Ready};
use banger_guest_link::Agent;
use banger_hostnet::Way;
use banger_model::network::Slot;
use banger_model::{ByteSize, ImageConfig, Phase, Stage, VmSpec};
use banger_vmm::Machine;
use banger_vmm::posture::Posture;
use serde::{Deserialize, Serialize};

use super::disks::Files;
use super::row::{ImageRef, VmRow};
use super::{Carried, vsock};

/// A VM at an instant.
#[derive(Debug, Clone)]
pub struct State {
    /// What it is made of.
    pub spec: VmSpec,
    /// The image generation it boots.
    pub image: ImageRef,
    /// Its forwards.
    pub forwards: Vec<Declared>,
    /// When it was created.
    pub created: jiff::Timestamp,
    /// Where it is in its life.
    pub(crate) phase: Phase,
    /// Its machine, from the guest's readiness on.
    pub live: Option<Live>,
    /// Why the last start failed or the last machine ended badly.
    pub(crate) last_error: Option<ErrorBody>,
    /// Whether it goes with the command that it was made for.
    pub(crate) removes_on_exit: bool,
    /// Whether its creation is not finished: it goes with the request that creates it.
    pub(crate) unfinished: bool,
    /// How often this daemon began to start it: whoever looks now and then may miss the start between two failures.
    pub(crate) starts: u64,
    /// What this daemon did with it unasked.
    pub notice: Option<String>,
}

/// A machine whose guest is ready.
#[derive(Debug, Clone)]
pub struct Live {
    /// The machine.
    pub machine: Arc<dyn Machine>,
    /// What is told of it.
    pub(crate) facts: Arc<Facts>,
    /// How far the guest's init has come.
    pub init: InitState,
}

impl Live {
    /// Its agent.
    pub fn guest(&self) -> Agent {
        vsock::agent(&self.machine)
    }
}

/// What is told of a machine, and stored so that the next daemon can tell it too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Why this VMM and not Firecracker, when nobody asked for it.
    pub(crate) fallback: Option<String>,
    /// When the machine started.
    pub(crate) started: jiff::Timestamp,
    /// What the guest told when it was ready.
    pub(crate) ready: Ready,
    /// Its place in the network, if it has a card.
    #[serde(default)]
    pub(crate) place: Option<Place>,
    /// Why it has none.
    #[serde(default)]
    pub(crate) placeless: Option<String>,
    /// Microseconds that each stage of the start took.
    pub(crate) stages: BTreeMap<Stage, u64>,
}

/// Where a VM is in the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Its slot.
    pub(crate) slot: Slot,
    /// Its addresses, IPv4 first.
    pub(crate) addresses: Vec<IpAddr>,
    /// Who made the network.
    #[serde(default)]
    pub(crate) way: Way,
    /// Why not the root helper, when nobody asked for that.
    #[serde(default)]
    pub(crate) because: Option<String>,
}

impl State {
    /// A VM as it was stored, without a machine.
    pub(crate) fn at_rest(row: VmRow) -> Self {
        let phase = if row.last_error.is_some() {
            Phase::Failed
        } else {
            Phase::Stopped
        };
        Self {
            spec: row.spec,
            image: row.image,
            forwards: row.forwards.into_iter().map(Declared::at_rest).collect(),
            created: row.created,
            phase,
            live: None,
            last_error: row.last_error,
            removes_on_exit: row.removes_on_exit,
            unfinished: row.unfinished,
            starts: 0,
            notice: None,
        }
    }

    /// Its forwards as clients see them.
    pub fn forwards(&self) -> Vec<api::VmForward> {
        let (forwards, runs) = (self.forwards.iter(), self.live.is_some());
        forwards
            .map(|declared| declared.view(&self.spec.name, runs))
            .collect()
    }

    /// What it reaches, and where it is reached.
    fn network(&self) -> api::VmNetwork {
        let facts = self.live.as_ref().map(|live| &live.facts);
        let place = facts.and_then(|facts| facts.place.as_ref());
        api::VmNetwork {
            by: place.map(|place| place.way.to_string()),
            because: match place {
                Some(place) => place.because.clone(),
                None => facts.and_then(|facts| facts.placeless.clone()),
            },
            mode: self.spec.net.mode,
            allow: self.spec.net.allow.iter().map(ToString::to_string).collect(),
            // Whoever shows it asks the helper.
            withdrawn: None,
            addresses: place.map(|place| place.addresses.clone()).unwrap_or_default(),
        }
    }

    /// The VM as clients see it, whose files are `files`.
    pub(crate) fn view(&self, files: &Files) -> api::Vm {
        let spec = &self.spec;
        let carried = Carried::of(files.dir());
        api::Vm {
            id: spec.id.to_string(),
            name: spec.name.clone(),
            phase: self.phase,
            paused: (self.phase == Phase::Paused).then(|| super::space::WHY.to_owned()),
            notice: self.notice.clone(),
            removes_on_exit: self.removes_on_exit,
            unfinished: self.unfinished,
            image: spec.image.clone(),
            kernel: spec.kernel.clone(),
            vcpus: spec.vcpus,
            memory: spec.memory,
            disk_size: spec.disk_size,
            disk_used: space_used(&files.disk()),
            vmm: spec.vmm,
            machine: self.live.as_ref().map(Live::view),
            env: spec.env.clone(),
            entry_point: entry_point(&self.image.config),
            labels: spec.labels.clone(),
            network: self.network(),
            forwards: self.forwards(),
            anonymous: spec.anonymous,
            repository: spec.repository.as_ref().map(|shaped| shaped.path.clone()),
            host_files: carried.files().into_iter().collect(),
            secrets: carried.secrets().into_iter().collect(),
            created: format!("{:.0}", self.created),
            last_error: self.last_error.clone(),
        }
    }
}

/// A command alone is what a shell was for; with an entry point it is that one's arguments.
fn entry_point(config: &ImageConfig) -> Vec<String> {
    match config.entrypoint.is_empty() {
        true => Vec::new(),
        false => [&config.entrypoint[..], &config.cmd].concat(),
    }
}

impl Live {
    /// How its processes are confined, as the kernel has it. One that has just ended is not among them.
    pub fn processes(&self) -> Vec<api::MachineProcess> {
        let record = self.machine.record();
        let all = std::iter::once(&record.process).chain(&record.companions);
        all.filter_map(|process| Posture::of(process).ok())
            .map(|posture| api::MachineProcess {
                pid: posture.pid,
                weaknesses: posture.weaknesses().iter().map(ToString::to_string).collect(),
                program: posture.program,
                uid: posture.uid,
                no_new_privs: posture.no_new_privs,
                seccomp: posture.seccomp.as_str().to_owned(),
                capabilities: posture.capabilities,
                namespaces: posture.namespaces.iter().map(ToString::to_string).collect(),
            })
            .collect()
    }

    fn view(&self) -> api::Machine {
        let record = self.machine.record();
        let Facts {
            fallback,
            started,
            ready,
            stages,
            place: _,
            placeless: _,
        } = &*self.facts;
        api::Machine {
            vmm: record.vmm,
            acceleration: record.acceleration.clone(),
            fallback: fallback.clone(),
            pid: record.process.pid,
            // They are looked at when they are asked for.
            processes: Vec::new(),
            started: format!("{started:.0}"),
            os: ready.os.clone(),
            kernel_release: Some(ready.kernel.clone()),
            init: Some(init_name(ready.init).to_owned()),
            init_state: Some(init_state_name(&self.init).to_owned()),
            stages_micros: stages
                .iter()
                .map(|(stage, micros)| (stage.to_string(), *micros))
                .collect(),
        }
    }
}

/// Bytes that a sparse file takes; nothing when it cannot be seen.
pub(crate) fn space_used(path: &Path) -> ByteSize {
    let blocks = std::fs::metadata(path).map_or(0, |metadata| metadata.blocks());
    ByteSize::bytes(blocks * 512)
}

const fn init_name(init: InitKind) -> &'static str {
    match init {
        InitKind::Systemd => "systemd",
        InitKind::OpenRc => "openrc",
        InitKind::Runit => "runit",
        InitKind::SysV => "sysvinit",
        InitKind::Other => "other",
        InitKind::Agent => "agent",
    }
}

const fn init_state_name(state: &InitState) -> &'static str {
    match state {
        InitState::Configuring => "configuring",
        InitState::Booting => "booting",
        InitState::Up => "up",
        InitState::Degraded { .. } => "degraded",
    }
}
