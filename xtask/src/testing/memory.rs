//! Where the quick tests have their files: in memory, where there is some. What they make lives for seconds and has to reach no
//! disk; on one, a third of their time went to its file system. `make test` runs all of them on the disk.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use banger_e2e::HOMES;

/// Where Linux has files in memory.
const MEMORY: &str = "/dev/shm";

/// The name of a run's directory, before its process id. Short, because sockets are below it.
const NAME: &str = "bq-";

/// How much must be free: several times the most that the tests were seen to have there at once.
const ENOUGH: u64 = 2 << 30;

/// A directory in memory, which goes with this.
#[derive(Debug)]
pub(super) struct Memory(PathBuf);

impl Memory {
    /// A new one, if there is enough memory.
    pub(super) fn take() -> Result<Option<Self>> {
        let place = Path::new(MEMORY);
        if free(place) < ENOUGH || available(&std::fs::read_to_string("/proc/meminfo")?) < ENOUGH {
            return Ok(None);
        }
        sweep(place);
        let dir = place.join(format!("{NAME}{}", std::process::id()));
        std::fs::create_dir(&dir).with_context(|| format!("failed to create {}", dir.display()))?;
        // Some tests become other users.
        std::fs::set_permissions(&dir, Permissions::from_mode(0o1777))?;
        Ok(Some(Self(dir)))
    }

    /// Lets a program and all that it starts have their files here.
    pub(super) fn serve(&self, command: &mut Command) {
        command.env("TMPDIR", &self.0).env(HOMES, &self.0);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Removes what runs have left that were killed.
fn sweep(place: &Path) {
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(NAME)?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The bytes that a file system in memory still takes; nothing where there is none.
fn free(place: &Path) -> u64 {
    /// `TMPFS_MAGIC` of statfs(2).
    const TMPFS: u64 = 0x0102_1994;
    let (Ok(kind), Ok(space)) = (rustix::fs::statfs(place), rustix::fs::statvfs(place)) else {
        return 0;
    };
    match kind.f_type as u64 == TMPFS {
        true => space.f_bavail.saturating_mul(space.f_frsize),
        false => 0,
    }
}

/// The bytes of memory that programs may still take, of proc(5)'s `meminfo`.
fn available(meminfo: &str) -> u64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_goes_with_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let ours = format!("{NAME}{}", std::process::id());
        // No process has a number beyond the kernel's most (PID_MAX_LIMIT).
        let names = ["bq-4194305", &ours, "bq-", "bq-x", "other"];
        for name in names {
            std::fs::create_dir_all(dir.path().join(name).join("within")).unwrap();
        }
        sweep(dir.path());
        let stays = names.map(|name| dir.path().join(name).exists());
        assert_eq!(stays, [false, true, true, true, true]);
    }

    #[test]
    fn memory_is_counted_in_bytes() {
        let text = "MemTotal:       24000000 kB\nMemAvailable:    2097152 kB\n";
        assert_eq!(available(text), ENOUGH);
        assert_eq!(available("MemTotal: 1 kB\n"), 0);
    }
}
