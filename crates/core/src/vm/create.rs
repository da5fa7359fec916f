//! From a request to a stored VM with its disks.

use std::sync::Arc;
use std::time::Instant;

use banger_api::{ErrorBody, Progress, VmCreate, VmCreated, Wishes};
use banger_forward as forward;
use banger_hostsys::host_size;
use banger_image::ImageRecord;
use banger_model::network::Policy;
use banger_model::{
    ByteSize, Described, HostSize, ImageName, KernelName, VmId, VmName, VmSpec, chain, validate_forwards,
};
use banger_request::{Reporter, RequestId};
use tokio::sync::oneshot;

use super::change::rules;
use super::furnish::{Furnished, Furnishing};
use super::row::{ImageRef, VmRow};
use super::{AccessError, Context, CreateError, Error, Handle, SpecError, State, Vms};
use crate::trust;

/// A VM before anything of it is made.
struct Planned {
    row: VmRow,
    image: ImageRecord,
    /// What a trusted repository asks for.
    granted: Option<Wishes>,
}

/// How many generated names are tried before giving up.
const NAME_ATTEMPTS: u32 = 64;

impl Vms {
    /// Creates a VM, starts it, unless `no_start` is set, and gives it what goes into it before its first command. When anything
    /// fails, or the future is dropped before all of that is done, nothing of the VM is left.
    pub async fn create(
        self: &Arc<Self>,
        mut request: VmCreate,
        progress: &Reporter,
        since: Instant,
    ) -> Result<VmCreated, ErrorBody> {
        let (no_start, wait) = (request.no_start, request.wait);
        let removes_on_exit = request.remove_on_exit;
        let furnishing = Furnishing::take(&mut request).await?;
        let Planned {
            mut row,
            image,
            granted,
        } = self.plan(request).described()?;
        // Each start says so itself.
        if let Some(note) = crowded(&row.spec, host_size()).filter(|_| no_start) {
            progress.note(note);
        }
        progress.report(Progress::Planned {
            vm: Box::new(State::at_rest(row.clone()).view(&self.context.files(row.spec.id))),
        });
        // A daemon that dies before the VM has all that it is for leaves none.
        row.unfinished = furnishing.is_some();
        let attempt = self.store(row, image).await.described()?;
        if no_start {
            return Ok(self.created(&attempt.keep(), Furnished::default()));
        }
        let started = attempt.vm.start(wait, Vec::new(), progress, since).await;
        match started {
            Ok(_) => {}
            // A guest that is ready stays, even if what it was waited for did not come.
            Err(error) if furnishing.is_none() && attempt.vm.live().is_ok() => {
                attempt.keep();
                return Err(error);
            }
            Err(error) => return Err(attempt.give_up(error).await),
        }
        let furnished = match furnishing {
            None => Ok(Furnished::default()),
            Some(furnishing) => {
                let given = furnishing.give(self, &attempt.vm, granted, progress).await;
                match given {
                    Ok(furnished) => attempt.vm.finish().await.map(|()| furnished),
                    Err(error) => Err(error),
                }
            }
        };
        match furnished {
            Ok(furnished) => {
                let handle = attempt.keep();
                if removes_on_exit {
                    self.expect_hold(handle.state().spec.id);
                }
                Ok(self.created(&handle, furnished))
            }
            Err(error) => Err(attempt.give_up(error).await),
        }
    }

    fn created(&self, handle: &Handle, furnished: Furnished) -> VmCreated {
        VmCreated {
            vm: handle.view(&self.context),
            workspace: furnished.workspace,
            bootstrap: furnished.bootstrap,
        }
    }

    /// Decides everything about a VM and takes nothing yet.
    fn plan(&self, mut request: VmCreate) -> Result<Planned, Error> {
        let context = &self.context;
        let config = context.config()?;
        // A client names the repository; what it asks for is read here, and whether it is trusted.
        let repository = request.repository.take();
        let applied = repository
            .map(|asked| trust::apply(&context.database, &config.ceilings(), &asked, &mut request))
            .transpose()
            .map_err(|source| CreateError::Repository(Box::new(source)))?;
        let (repository, granted) = applied.unzip();
        if let (None, Some(wished)) = (
            &request.image,
            granted.as_ref().and_then(|granted| granted.image.as_ref()),
        ) {
            let images = context.images.list().map_err(|source| Error::Store {
                what: "the image",
                source,
            })?;
            let image = trust::image(&images, wished);
            request.image = Some(image.map_err(|source| CreateError::Repository(Box::new(source)))?);
        }
        let image = context.image_or_default(request.image.or_else(|| config.default_image.clone()))?;
        let kernel = request.kernel.or_else(|| image.kernel.clone());
        let kernel = context.kernel_or_default(kernel.or_else(|| config.default_kernel.clone()))?;
        let sizes = config.sizes(host_size());
        let spec = VmSpec {
            id: VmId::from_bytes(banger_hostsys::random::bytes().map_err(Error::Random)?),
            name: request.name.map_or_else(|| self.free_name(), Ok)?,
            image: image.name.clone(),
            kernel,
            vcpus: request.vcpus.unwrap_or(sizes.vcpus),
            memory: request.memory.map_or(sizes.memory, whole_mib),
            disk_size: request.disk_size.unwrap_or(sizes.disk_size),
            vmm: request.vmm.unwrap_or(config.vmm),
            env: request.env,
            labels: request.labels,
            net: Policy {
                mode: request.net.unwrap_or(config.default_net),
                allow: rules(&request.allow, &config)?,
            },
            anonymous: request.anonymous,
            repository,
        };
        spec.validate().map_err(SpecError::Invalid)?;
        fits(&spec, host_size())?;
        let refused = |source| AccessError::Forward {
            name: spec.name.clone(),
            source,
        };
        validate_forwards(&request.forwards).map_err(|error| refused(error.into()))?;
        forward::refuse_open(&request.forwards, request.open).map_err(refused)?;
        if !request.no_start {
            // What is taken now would be so in a moment, and then there would be a VM without the port it is for.
            forward::probe(&context.forwards, &request.forwards).map_err(refused)?;
        }
        let row = VmRow {
            spec,
            image: ImageRef {
                id: image.id.clone(),
                work: image.work_seed.is_some(),
                config: image.config.clone().unwrap_or_default(),
            },
            forwards: request.forwards,
            created: jiff::Timestamp::now(),
            last_error: None,
            removes_on_exit: request.remove_on_exit,
            unfinished: false,
        };
        Ok(Planned { row, image, granted })
    }

    /// A generated name that no VM has. Two creates at once may find the same; then the second one is told.
    fn free_name(&self) -> Result<VmName, Error> {
        for _ in 0..NAME_ATTEMPTS {
            let name = VmName::generated(u64::from_ne_bytes(
                banger_hostsys::random::bytes().map_err(Error::Random)?,
            ));
            if self.find(name.as_str()).is_err() {
                return Ok(name);
            }
        }
        Err(CreateError::NoFreeName.into())
    }

    /// Stores the VM, makes its disks, and knows it from then on. All of that is done or nothing, even if the caller leaves: then
    /// the VM goes again, at whatever instant that is.
    async fn store(self: &Arc<Self>, row: VmRow, image: ImageRecord) -> Result<Attempt, Error> {
        let vms = Arc::clone(self);
        let (made, outcome) = oneshot::channel();
        tokio::spawn(RequestId::current().scoped(async move {
            // What nobody takes out of the channel is dropped there.
            let _ = made.send(vms.store_whole(row, image).await);
        }));
        let defect = |_| Error::Defect("storing a VM panicked");
        outcome.await.map_err(defect)?
    }

    /// The row comes first and is marked when the disks are whole.
    async fn store_whole(self: &Arc<Self>, row: VmRow, image: ImageRecord) -> Result<Attempt, Error> {
        let vms = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || vms.store_now(&row, &image).map(|()| row));
        let row = made.await.map_err(|_| Error::Defect("storing a VM panicked"))??;
        let (id, name) = (row.spec.id, row.spec.name.clone());
        match self.adopt(State::at_rest(row)) {
            Some(vm) => Ok(Attempt { vm, is_kept: false }),
            // A row that nobody knows would keep its name from everybody.
            None => {
                self.context.take_back(id, &name);
                Err(CreateError::Exists(name).into())
            }
        }
    }

    fn store_now(&self, row: &VmRow, image: &ImageRecord) -> Result<(), Error> {
        let spec = &row.spec;
        let database = |source| Error::Database {
            name: spec.name.clone(),
            source,
        };
        let context = &self.context;
        if !context.database.insert_vm(row).map_err(database)? {
            return Err(CreateError::Exists(spec.name.clone()).into());
        }
        let files = context.files(spec.id);
        files
            .create(spec.id, spec.disk_size, image.work_seed.as_deref())
            .and_then(|()| context.database.complete_vm(spec.id).map_err(database))
            .inspect_err(|_| context.take_back(spec.id, &spec.name))
    }
}

impl Context {
    /// Takes a VM back that was stored and that nobody knows: what was wanted cannot be had. The record goes last.
    fn take_back(&self, id: VmId, name: &VmName) {
        let database = |source| Error::Database {
            name: name.clone(),
            source,
        };
        let removed = self.files(id).remove();
        let undone = removed.and_then(|()| self.database.delete_vm(id).map_err(database));
        if let Err(error) = undone {
            tracing::error!(vm = %name, error = %chain(&error), "could not undo a create");
        }
    }

    /// The image that was named, or the default one.
    fn image_or_default(&self, named: Option<ImageName>) -> Result<ImageRecord, Error> {
        let store = |source| Error::Store {
            what: "the image",
            source,
        };
        if let Some(name) = named {
            return self.images.get(&name).map_err(store);
        }
        if let Some(name) = self.images.default().map_err(store)? {
            return self.images.get(&name).map_err(store);
        }
        let images = self.images.list().map_err(store)?;
        Err(CreateError::NoDefault {
            kind: "image",
            present: images.iter().map(|image| image.name.to_string()).collect(),
        }
        .into())
    }

    /// The kernel that was named, or the default one.
    fn kernel_or_default(&self, named: Option<KernelName>) -> Result<KernelName, Error> {
        if let Some(name) = named {
            return self.kernel(&name).map(|kernel| kernel.name);
        }
        let store = |source| Error::Kernel {
            what: "the kernel",
            source,
        };
        if let Some(name) = self.kernels.default().map_err(store)? {
            return Ok(name);
        }
        let kernels = self.kernels.list().map_err(store)?;
        Err(CreateError::NoDefault {
            kind: "kernel",
            present: kernels.iter().map(|kernel| kernel.name.to_string()).collect(),
        }
        .into())
    }
}

/// Refuses a VM that would have more memory than this host.
pub(super) fn fits(spec: &VmSpec, host: HostSize) -> Result<(), SpecError> {
    match spec.memory > host.memory {
        true => Err(SpecError::TooLarge {
            name: spec.name.clone(),
            wanted: spec.memory,
            host: ByteSize::mib(host.memory.as_mib()),
        }),
        false => Ok(()),
    }
}

/// What is said of a VM with more vCPUs than this host has CPUs: it works, and is slow.
pub(super) fn crowded(spec: &VmSpec, host: HostSize) -> Option<String> {
    (spec.vcpus > host.cpus).then(|| {
        let (vcpus, cpus) = (spec.vcpus, host.cpus);
        format!("{vcpus} vCPUs share the {cpus} CPUs of this host, which slows them down")
    })
}

/// VMMs take memory in whole MiB.
fn whole_mib(size: ByteSize) -> ByteSize {
    ByteSize::mib(size.as_mib())
}

/// A VM that goes again when this is dropped, unless it is kept: its caller left before it was what was asked for. It is that VM
/// alone that goes, and no other that has its name by then.
struct Attempt {
    vm: Handle,
    is_kept: bool,
}

impl Attempt {
    fn keep(mut self) -> Handle {
        self.is_kept = true;
        self.vm.clone()
    }

    /// Removes the VM; its own failure is added to why it is removed.
    async fn give_up(self, mut why: ErrorBody) -> ErrorBody {
        if let Err(error) = self.keep().delete(true).await {
            why.causes
                .push(format!("failed to remove the VM again: {}", chain(&error)));
        }
        why
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let vm = self.vm.clone();
        tokio::spawn(async move {
            if let Err(error) = vm.delete(true).await
                && !vm.is_gone()
            {
                let name = vm.state().spec.name;
                tracing::error!(vm = %name, error = %chain(&error), "could not remove a VM whose client disconnected");
            }
        });
    }
}
