//! The choice of the VMM for a VM, and its reason: the request, the abilities of the host, and the results of earlier boots. This crate
//! starts nothing.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use banger_kernel::KernelRecord;
use banger_model::{Describe, Description, ErrorCode, VmmChoice, VmmKind};
use banger_state::Verdict;
use banger_vmm::Backend;
use banger_vmm::fake::Fake;
use banger_vmm::firecracker::Firecracker;
use banger_vmm::probe::{self, Kvm};
use banger_vmm::qemu::Qemu;

/// The VMMs of this host. Programs are looked for at every start, so that what was installed a moment ago is found;
/// KVM is proved once, and again when what that depends on has changed.
#[derive(Debug, Default)]
pub struct Backends {
    kvm: Mutex<Option<(Facts, Kvm)>>,
    /// The one that runs all VMs, in place of those of the host.
    only: Option<Arc<dyn Backend>>,
}

/// What decides whether KVM works here, and is cheap to look at: the device with its rights, and the modules behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    device: Option<[u64; 6]>,
    modules: Vec<String>,
}

impl Facts {
    fn now() -> Self {
        let device = std::fs::metadata("/dev/kvm").ok().map(|device| {
            [
                device.rdev(),
                device.mode().into(),
                device.uid().into(),
                device.gid().into(),
                device.ctime().cast_unsigned(),
                device.ctime_nsec().cast_unsigned(),
            ]
        });
        let modules = std::fs::read_dir("/sys/module").into_iter().flatten().flatten();
        let modules = modules.filter_map(|entry| entry.file_name().into_string().ok());
        let mut modules: Vec<String> = modules.filter(|name| name.starts_with("kvm")).collect();
        modules.sort();
        Self { device, modules }
    }
}

/// The VMM that was chosen for a start.
#[derive(Debug, Clone)]
pub struct Choice {
    /// It.
    pub backend: Arc<dyn Backend>,
    /// Why it is not Firecracker on KVM, when nobody asked for another.
    pub fallback: Option<String>,
    /// Whether another may be tried when this one cannot boot the kernel.
    pub may_fall_back: bool,
}

/// No VMM for a VM.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The VMM that was asked for is not usable.
    #[error("{0} cannot run VMs on this host")]
    Unusable(VmmKind, #[source] banger_vmm::Error),
    /// The VMM that was asked for needs KVM.
    #[error("{0} needs KVM, which does not work on this host: {1}")]
    NoKvm(VmmKind, String),
    /// No VMM at all.
    #[error("no VMM can run VMs on this host: {why}")]
    Nothing {
        /// Why.
        why: String,
        /// Why.
        #[source]
        source: banger_vmm::Error,
    },
    /// The fake is only there in a build tree.
    #[error("the fake VMM needs {}, which is only built for tests", .0.display())]
    NoFake(PathBuf),
}

impl Backends {
    /// Nothing but this VMM, whatever is asked for.
    pub fn only(backend: Arc<dyn Backend>) -> Self {
        Self {
            kvm: Mutex::default(),
            only: Some(backend),
        }
    }

    /// What was found out about KVM.
    pub fn kvm(&self) -> Kvm {
        let facts = Facts::now();
        let mut known = self.kvm.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((of, kvm)) if *of == facts => kvm.clone(),
            _ => {
                let kvm = probe::kvm();
                *known = Some((facts, kvm.clone()));
                kvm
            }
        }
    }

    /// The VMM for a VM that asks for `choice` and boots `kernel`, of which earlier boots have shown `verdict` under
    /// Firecracker.
    pub fn choose(
        &self,
        choice: VmmChoice,
        kernel: &KernelRecord,
        verdict: Option<&Verdict>,
    ) -> Result<Choice, Error> {
        if let Some(only) = &self.only {
            return Ok(asked_for(Arc::clone(only)));
        }
        match choice {
            VmmChoice::Auto => self.automatic(kernel, verdict),
            VmmChoice::Firecracker => self.firecracker().map(|backend| asked_for(Arc::new(backend))),
            VmmChoice::Qemu => {
                let backend = self
                    .qemu()
                    .map_err(|source| Error::Unusable(VmmKind::Qemu, source))?;
                Ok(asked_for(Arc::new(backend)))
            }
            VmmChoice::Fake => fake().map(|backend| asked_for(Arc::new(backend))),
        }
    }

    /// QEMU, in place of a Firecracker that `why` did not do.
    pub fn fall_back(&self, why: String) -> Result<Choice, Error> {
        match self.qemu() {
            Ok(backend) => Ok(Choice {
                backend: Arc::new(backend),
                fallback: Some(why),
                may_fall_back: false,
            }),
            Err(source) => Err(Error::Nothing { why, source }),
        }
    }

    /// The backend that can adopt machines of `kind`.
    pub fn adopter(&self, kind: VmmKind) -> Result<Arc<dyn Backend>, Error> {
        if let Some(only) = &self.only {
            return Ok(Arc::clone(only));
        }
        let unusable = |source| Error::Unusable(kind, source);
        Ok(match kind {
            VmmKind::Firecracker => Arc::new(Firecracker::find().map_err(unusable)?),
            VmmKind::Qemu => Arc::new(self.qemu().map_err(unusable)?),
            VmmKind::Fake => Arc::new(fake()?),
        })
    }

    fn automatic(&self, kernel: &KernelRecord, verdict: Option<&Verdict>) -> Result<Choice, Error> {
        let backend = match Firecracker::find() {
            Ok(backend) => backend,
            Err(error) => return self.fall_back(format!("Firecracker is not installed ({error})")),
        };
        let name = &kernel.name;
        let why = match (self.kvm(), verdict) {
            (Kvm::Unusable(why), _) => format!("KVM does not work on this host ({why})"),
            (_, Some(Verdict::Fails(why))) => {
                format!("kernel {name} did not boot under Firecracker on this host ({why})")
            }
            (Kvm::Software(why), None) if kernel.boots_under_qemu() => {
                format!(
                    "KVM is emulated on this host, and kernel {name} is not known to boot under it ({why})"
                )
            }
            // Where QEMU is no way round, Firecracker is tried even on an emulated KVM.
            (Kvm::Hardware, _) | (Kvm::Software(_), Some(Verdict::Boots) | None) => {
                return Ok(Choice {
                    backend: Arc::new(backend),
                    fallback: None,
                    may_fall_back: kernel.boots_under_qemu(),
                });
            }
        };
        self.fall_back(why)
    }

    fn firecracker(&self) -> Result<Firecracker, Error> {
        let backend = Firecracker::find().map_err(|source| Error::Unusable(VmmKind::Firecracker, source))?;
        match self.kvm() {
            Kvm::Hardware | Kvm::Software(_) => Ok(backend),
            Kvm::Unusable(why) => Err(Error::NoKvm(VmmKind::Firecracker, why)),
        }
    }

    fn qemu(&self) -> Result<Qemu, banger_vmm::Error> {
        Qemu::find(matches!(self.kvm(), Kvm::Hardware))
    }
}

fn asked_for(backend: Arc<dyn Backend>) -> Choice {
    Choice {
        backend,
        fallback: None,
        may_fall_back: false,
    }
}

fn fake() -> Result<Fake, Error> {
    let program = banger_hostsys::programs::beside_us("banger-fake-guest");
    if program.exists() {
        Ok(Fake::new(program))
    } else {
        Err(Error::NoFake(program))
    }
}

impl Describe for Error {
    fn describe(&self) -> Description {
        let own = match self {
            Self::Unusable(_, source) | Self::Nothing { source, .. } => source.describe().hints,
            Self::NoKvm(..) => vec!["use `--vmm qemu`, or `--vmm auto`, which falls back to it".to_owned()],
            Self::NoFake(_) => Vec::new(),
        };
        Description::from(ErrorCode::Host)
            .with_hints(own)
            .and("`banger doctor` shows what this host can run")
    }
}
