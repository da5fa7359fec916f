//! A state directory on which daemons come and go, and machines that outlive them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use banger_api::{ErrorBody, Paths, VmCreate};
use banger_backends::Backends;
use banger_hostnet::Network;
use banger_image::{ImageStore, ImportOptions, ImportSource, PullOptions};
use banger_kernel::{KernelOptions, KernelStore, Source};
use banger_keys::Keys;
use banger_model::Phase;
use banger_model::network::NetMode;
use banger_request::Reporter;
use banger_state::Database;
use banger_worker::{Stores, Workers};
use rusqlite::Connection;
use tokio::runtime::{Builder, Runtime};

use super::machine::Vmm;
use crate::vm::row::ImageRef;
use crate::vm::{Context, Registry, Vms};

/// Longer than anything here takes, however slow the host is.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// One state, and what outlives daemons.
pub(super) struct World {
    dir: tempfile::TempDir,
    /// The VMM of all daemons.
    pub(super) vmm: Arc<Vmm>,
    _machines: Runtime,
}

/// A daemon, which dies when this is dropped.
pub(super) struct Daemon {
    /// Its VMs.
    pub(super) vms: Arc<Vms>,
    runtime: Option<Runtime>,
}

impl Daemon {
    /// Does something in the daemon.
    pub(super) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("it lives").block_on(work)
    }

    /// The phase of a VM, or nothing when there is no such VM.
    pub(super) fn phase(&self, name: &str) -> Option<Phase> {
        Some(self.vms.find(name).ok()?.state().phase)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // As a kill does it: nobody gets to say anything any more.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}

impl World {
    pub(super) fn new() -> Self {
        // Daemons are killed here and no host is, so nothing has to reach a disk; and sockets have short names.
        let memory = Path::new("/dev/shm");
        let dir = tempfile::Builder::new()
            .prefix("bl-")
            .tempdir_in(if memory.is_dir() {
                memory
            } else {
                Path::new("/tmp")
            })
            .expect("a directory");
        let machines = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads");
        let world = Self {
            vmm: Vmm::new(machines.handle().clone()),
            _machines: machines,
            dir,
        };
        world.furnish();
        world
    }

    fn paths(&self) -> Paths {
        let below = |name: &str| self.dir.path().join(name);
        Paths {
            config: below("config"),
            state: below("state"),
            data: below("data"),
            cache: below("cache"),
            runtime: below("run"),
            former_runtime: None,
        }
    }

    /// An image, a kernel and an agent: enough to be put into an initrd.
    fn furnish(&self) {
        let paths = self.paths();
        for dir in [
            &paths.config,
            &paths.state,
            &paths.data,
            &paths.cache,
            &paths.runtime,
        ] {
            std::fs::create_dir_all(dir).expect("a directory");
        }
        self.configure("");
        let at = |name: &str| self.dir.path().join(name);
        std::fs::write(at("agent"), "an agent").expect("an agent");
        let mut elf = vec![0; 4096];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[16] = 2;
        elf.extend(b"Linux version 6.1.0-test (somebody)");
        std::fs::write(at("vmlinux"), elf).expect("a kernel");
        let kernels = KernelStore::open(&paths.data, &paths.cache).expect("a store");
        let source = Source::Files {
            vmlinux: Some(at("vmlinux")),
            vmlinuz: None,
            initrd: None,
            modules: None,
            config: None,
        };
        let options = KernelOptions::default();
        let name = "test".parse().expect("a name");
        kernels
            .import(&name, &source, &options, &mut |_| {})
            .expect("a kernel in the store");
        std::fs::create_dir(at("tree")).expect("a tree");
        let options = ImportOptions {
            kernel: Some("test".parse().expect("a name")),
            force: false,
            limits: PullOptions::default(),
        };
        let images = ImageStore::open(&paths.data).expect("a store");
        images
            .import(
                &"test".parse().expect("a name"),
                ImportSource::Directory(&at("tree")),
                &options,
                &mut |_, _| std::ops::ControlFlow::Continue(()),
            )
            .expect("an image in the store");
    }

    /// A new daemon on this state.
    pub(super) fn daemon(&self) -> Daemon {
        self.daemon_on(Builder::new_multi_thread().worker_threads(2))
    }

    /// The same on one thread, whose clock can be paused. It works only while [`Daemon::run`] does.
    pub(super) fn daemon_with_clock(&self) -> Daemon {
        self.daemon_on(&mut Builder::new_current_thread())
    }

    fn daemon_on(&self, threads: &mut Builder) -> Daemon {
        let runtime = threads.enable_all().build().expect("threads");
        let paths = self.paths();
        let database = Database::open(&paths.state.join("banger.db")).expect("a database");
        let stores = Stores::open(paths.clone()).expect("stores");
        let context = Context {
            database: Arc::new(database),
            images: stores.images.clone(),
            kernels: stores.kernels.clone(),
            backends: Backends::only(Arc::clone(&self.vmm) as Arc<_>),
            pulls: crate::pulls::Pulls::default(),
            copies: Arc::default(),
            workers: Workers::new(stores),
            forwards: Arc::default(),
            network: Network::of_env(&paths),
            ssh: Keys::new(&paths),
            registry: Registry::default(),
            agent: Some(self.dir.path().join("agent")),
            paths,
        };
        let vms = runtime
            .block_on(Vms::recover(Arc::new(context)))
            .expect("a state");
        Daemon {
            vms,
            runtime: Some(runtime),
        }
    }

    /// Configures what daemons do, beside what every test here needs.
    pub(super) fn configure(&self, more: &str) {
        let needed = "git_identity = false\nfile_sync_defaults = false\ndefault_net = \"off\"\n";
        let path = self.paths().config.join("config.toml");
        std::fs::write(path, needed.to_owned() + more).expect("a configuration");
    }

    /// A VM that runs and goes with a command.
    pub(super) fn create_for_a_command(&self, daemon: &Daemon, name: &str) {
        let request = VmCreate {
            name: Some(name.parse().expect("a name")),
            net: Some(NetMode::Off),
            remove_on_exit: true,
            ..VmCreate::default()
        };
        let created = daemon.run(daemon.vms.create(request, &Reporter::default(), Instant::now()));
        created.expect("a VM");
    }

    /// A VM that is stopped.
    pub(super) fn create(&self, daemon: &Daemon, name: &str) {
        self.try_create(daemon, name).expect("a VM");
    }

    /// The same, where it may fail.
    pub(super) fn try_create(&self, daemon: &Daemon, name: &str) -> Result<(), ErrorBody> {
        daemon.run(self.creating(daemon, name, false))
    }

    /// A create in progress, with a start or without.
    pub(super) async fn creating(&self, daemon: &Daemon, name: &str, starts: bool) -> Result<(), ErrorBody> {
        let request = VmCreate {
            name: Some(name.parse().expect("a name")),
            net: Some(NetMode::Off),
            no_start: !starts,
            ..VmCreate::default()
        };
        let reporter = Reporter::default();
        let created = daemon.vms.create(request, &reporter, Instant::now());
        created.await.map(drop)
    }

    /// From now on the database refuses this on that table, whoever has it open.
    pub(super) fn refuse(&self, operation: &str, table: &str) {
        self.change_database(&format!(
            "CREATE TRIGGER refused_{operation}_{table} BEFORE {operation} ON {table}
             BEGIN SELECT RAISE(ABORT, 'it is to fail'); END"
        ));
    }

    /// It takes it again.
    pub(super) fn allow(&self, operation: &str, table: &str) {
        self.change_database(&format!("DROP TRIGGER refused_{operation}_{table}"));
    }

    /// From now on no VM is kept that goes with its request.
    pub(super) fn refuse_keeping(&self) {
        self.change_database(
            "CREATE TRIGGER refused_keeping BEFORE UPDATE OF removes_on_exit ON vm
             BEGIN SELECT RAISE(ABORT, 'it is to fail'); END",
        );
    }

    /// They are again.
    pub(super) fn allow_keeping(&self) {
        self.change_database("DROP TRIGGER refused_keeping");
    }

    fn change_database(&self, statement: &str) {
        let database = Connection::open(self.paths().state.join("banger.db")).expect("a database");
        database.execute_batch(statement).expect(statement);
    }

    /// How large a VM's disk is by its record and by its file, in bytes.
    pub(super) fn disk_size(&self, daemon: &Daemon, name: &str) -> (u64, u64) {
        let spec = daemon.vms.find(name).expect("it is there").state().spec;
        let disk = daemon.vms.context().files(spec.id).disk();
        let file = std::fs::metadata(disk).expect("a disk");
        (spec.disk_size.as_bytes(), file.len())
    }

    /// Takes a VM's disk away, or brings it back.
    pub(super) fn hide_disk(&self, daemon: &Daemon, name: &str, hide: bool) {
        let id = daemon.vms.find(name).expect("it is there").state().spec.id;
        let disk = daemon.vms.context().files(id).disk();
        let hidden = self.dir.path().join("hidden");
        let (from, to) = if hide { (&disk, &hidden) } else { (&hidden, &disk) };
        std::fs::rename(from, to).expect("a disk");
    }

    /// Waits until a VM is in one of these phases; nothing is for a VM that is gone.
    pub(super) fn until(&self, daemon: &Daemon, name: &str, phases: &[Option<Phase>], case: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !phases.contains(&daemon.phase(name)) {
            let state = daemon.vms.find(name).map(|handle| handle.state());
            assert!(Instant::now() < deadline, "{case}: {name} stays {state:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// No machine runs that the daemon does not know.
    pub(super) fn check_machines(&self, daemon: &Daemon, case: &str) {
        let handles = daemon.vms.list();
        let live = handles.iter().filter(|handle| handle.state().live.is_some());
        assert_eq!(live.count(), self.vmm.running(), "{case}: machines");
    }

    /// Compares what is known, what is stored and what exists. Call it when nothing goes on.
    pub(super) fn check(&self, daemon: &Daemon, case: &str) {
        self.check_machines(daemon, case);
        let context = daemon.vms.context();
        let handles = daemon.vms.list();
        let (rows, attempts) = context.database.vms::<ImageRef>().expect("rows");
        assert!(attempts.is_empty(), "{case}: half a VM is stored");
        let stored: Vec<_> = rows.iter().map(|row| row.spec.name.to_string()).collect();
        let known: Vec<_> = handles
            .iter()
            .map(|handle| handle.state().spec.name.to_string())
            .collect();
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        assert_eq!(sorted(stored), sorted(known), "{case}: VMs");
        let intents: BTreeMap<_, _> = context.database.intents().expect("intents");
        assert!(intents.is_empty(), "{case}: something is owed: {intents:?}");
        let count = |dir: &Path| std::fs::read_dir(dir).map_or(0, Iterator::count);
        assert_eq!(
            count(&context.paths.runtime.join("m")),
            self.vmm.running(),
            "{case}: machines' directories"
        );
        assert_eq!(
            count(&context.paths.state.join("vms")),
            handles.len(),
            "{case}: VMs' directories"
        );
        for handle in &handles {
            let state = handle.state();
            let phase = state.phase;
            assert_eq!(state.live.is_some(), phase == Phase::Running, "{case}: {phase}");
        }
    }
}
