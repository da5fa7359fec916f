//! What a VM's task logs says for which request it is.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use banger_request::RequestId;

use super::machine::{Step, Trouble};
use super::world::World;
use super::{Verb, obey};

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_task_logs_has_the_id_of_the_request() {
    let world = World::new();
    // One thread, so that this log is that of the task.
    let daemon = world.daemon_with_clock();
    world.create(&daemon, "vm");
    let log = Log::default();
    let to = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || to.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    for id in ["first", "second"] {
        world.vmm.set(Step::Launch, Some(Trouble::Fails));
        let span = tracing::info_span!("request", id);
        let start = RequestId::new(id.to_owned(), span).scoped(obey(&daemon.vms, "vm", Verb::Start));
        daemon.run(start).expect_err("it is to fail");
    }
    let log = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let log = String::from_utf8(log).expect("text");
    let failed: Vec<_> = log
        .lines()
        .filter(|line| line.contains("failed to start a VM"))
        .collect();
    assert_eq!(failed.len(), 2, "{log}");
    for (line, id) in failed.iter().zip(["first", "second"]) {
        assert!(line.contains(&format!("request{{id=\"{id}\"}}")), "{line}");
    }
}
