//! Locks on a VM's disks (flock(2)).

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

/// Locks that this process holds. They are given back when this is dropped, at once: to close them is not enough while another
/// child of the daemon's is between its fork and its exec, because it has the same open files until then.
#[derive(Debug, Default)]
pub(crate) struct Locks(Vec<Arc<OwnedFd>>);

impl Locks {
    /// Keeps a lock.
    pub(super) fn add(&mut self, lock: OwnedFd) {
        self.0.push(Arc::new(lock));
    }

    /// Those of a machine, which holds them for as long as it lives.
    pub(crate) fn into_machines(mut self) -> Vec<Arc<OwnedFd>> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        for lock in &self.0 {
            // Of a lock that is held this fails only when the file cannot be reached any more.
            let _ = flock(lock, FlockOperation::Unlock);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn lock(path: &std::path::Path) -> Result<Locks, rustix::io::Errno> {
        let file = File::open(path).unwrap();
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let mut locks = Locks::default();
        locks.add(file.into());
        Ok(locks)
    }

    #[test]
    fn locks_are_given_back_though_a_child_has_them_and_a_machines_are_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let locks = lock(file.path()).unwrap();
        // As a child has it before it becomes another program.
        let child = locks.0[0].try_clone().unwrap();
        assert!(lock(file.path()).is_err());
        drop(locks);
        let again = lock(file.path()).unwrap();
        drop(child);
        let machines = again.into_machines();
        assert!(lock(file.path()).is_err());
        drop(machines);
        assert!(lock(file.path()).is_ok());
    }
}
