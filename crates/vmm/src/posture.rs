//! How a process is confined, as the kernel has it (proc_pid_status(5)): what was asked for is no evidence.

use std::io;
use std::path::Path;

use crate::ProcessId;

/// What a thread of a process may still ask of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seccomp {
    /// Everything: no filter.
    Off,
    /// What its filters let through.
    Filter,
    /// Reading, writing and ending.
    Strict,
}

/// How a process is confined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posture {
    /// Process id.
    pub pid: i32,
    /// The name of its program.
    pub program: String,
    /// The user that it is for the kernel, as this process sees it.
    pub uid: u32,
    /// Whether it can gain no privileges by executing a program.
    pub no_new_privs: bool,
    /// The weakest of its threads: filters are each thread's own.
    pub seccomp: Seccomp,
    /// Capabilities that it has: the effective ones, as a mask.
    pub capabilities: u64,
    /// The kinds of namespaces in which it is apart from us.
    pub namespaces: Vec<&'static str>,
}

const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

impl Posture {
    /// How the process is confined now.
    ///
    /// # Errors
    /// When it has ended, or may not be looked at.
    pub fn of(process: &ProcessId) -> io::Result<Self> {
        let place = format!("/proc/{}", process.pid);
        let place = Path::new(&place);
        let status = std::fs::read_to_string(place.join("status"))?;
        let field = |name: &str| field(&status, name).ok_or_else(unreadable);
        let mut seccomp = Seccomp::Strict;
        for task in std::fs::read_dir(place.join("task"))? {
            // A thread that has ended meanwhile asks for nothing.
            let Ok(status) = std::fs::read_to_string(task?.path().join("status")) else {
                continue;
            };
            seccomp = seccomp.min(mode(&status)?);
        }
        let exe = std::fs::read_link(place.join("exe")).unwrap_or_default();
        let program = exe.file_name().unwrap_or_default().to_string_lossy();
        let apart = |kind: &&str| {
            let of = |whose: &Path| std::fs::read_link(whose.join("ns").join(kind)).ok();
            of(place) != of(Path::new("/proc/self"))
        };
        let posture = Self {
            pid: process.pid,
            program: program.trim_end_matches(" (deleted)").to_owned(),
            uid: field("Uid")?
                .split_ascii_whitespace()
                .nth(1)
                .and_then(|uid| uid.parse().ok())
                .ok_or_else(unreadable)?,
            no_new_privs: field("NoNewPrivs")? == "1",
            seccomp,
            capabilities: u64::from_str_radix(field("CapEff")?, 16).map_err(|_| unreadable())?,
            namespaces: NAMESPACES.into_iter().filter(apart).collect(),
        };
        // What was read was of this process only if it is there still.
        match process.is_alive() {
            true => Ok(posture),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// What is weaker than banger makes it, as the ends of sentences; nothing when all is well.
    pub fn weaknesses(&self) -> Vec<&'static str> {
        let mut weak = Vec::new();
        if !self.no_new_privs {
            weak.push("may gain privileges (NoNewPrivs 0)");
        }
        if self.seccomp == Seccomp::Off {
            weak.push("can make any system call (no seccomp filter)");
        }
        weak
    }
}

fn mode(status: &str) -> io::Result<Seccomp> {
    match field(status, "Seccomp") {
        // A kernel without seccomp says nothing of it.
        Some("0") | None => Ok(Seccomp::Off),
        Some("1") => Ok(Seccomp::Strict),
        Some("2") => Ok(Seccomp::Filter),
        Some(_) => Err(unreadable()),
    }
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    status.lines().find_map(value).map(str::trim)
}

fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "unreadable status of a process")
}

impl Seccomp {
    /// As a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Filter => "filter",
            Self::Strict => "strict",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_told_as_it_is() {
        let us = ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        let posture = Posture::of(&us).unwrap();
        assert_eq!(posture.uid, rustix::process::geteuid().as_raw());
        assert!(posture.namespaces.is_empty());
        assert!(!posture.program.is_empty());
        assert!(Posture::of(&ProcessId { started: 1, ..us }).is_err());
    }

    #[test]
    fn the_weakest_thread_counts() {
        assert!(Seccomp::Off < Seccomp::Filter && Seccomp::Filter < Seccomp::Strict);
        assert_eq!(mode("Seccomp:\t0\nSeccomp_filters:\t0\n").unwrap(), Seccomp::Off);
        assert_eq!(mode("Name:\tx\nSeccomp:\t2\n").unwrap(), Seccomp::Filter);
        assert_eq!(mode("Name:\tx\n").unwrap(), Seccomp::Off);
    }
}
