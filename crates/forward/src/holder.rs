//! Who has a port of this host.

use std::fmt;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use banger_guest_api::Transport;
use banger_guest_api::sockets::{TABLES, inode_of_link, listening};
use banger_model::VmName;

/// Who has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A VM of this daemon.
    Vm(VmName),
    /// A process of this host.
    Process {
        /// Its id.
        pid: u32,
        /// What it runs.
        command: String,
    },
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vm(name) => write!(f, "VM `{name}`"),
            Self::Process { pid, command } => write!(f, "process {pid} ({command})"),
        }
    }
}

/// The process that listens at a port, if it is one that this user may look at.
pub(crate) fn process(transport: Transport, address: IpAddr, port: u16) -> Option<Holder> {
    let tables = TABLES.iter().filter(|(of, _)| *of == transport);
    let sockets = tables.flat_map(|(of, path)| {
        let table = std::fs::read_to_string(path).unwrap_or_default();
        listening(*of, &table).collect::<Vec<_>>()
    });
    let inodes: Vec<u64> = sockets
        .filter(|socket| {
            socket.port == port
                && (socket.address == address || socket.address.is_unspecified() || address.is_unspecified())
        })
        .map(|socket| socket.inode)
        .collect();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = ids.find(|pid| holds(&Path::new("/proc").join(pid.to_string()), &inodes))?;
    let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let command = command.trim().chars().filter(|c| !c.is_control()).collect();
    Some(Holder::Process { pid, command })
}

fn holds(process: &Path, inodes: &[u64]) -> bool {
    let descriptors = std::fs::read_dir(process.join("fd"))
        .into_iter()
        .flatten()
        .flatten();
    let mut links = descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.any(|link| inode_of_link(link.as_os_str().as_bytes()).is_some_and(|inode| inodes.contains(&inode)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_port_is_ours() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let found = process(Transport::Tcp, address.ip(), address.port());
        assert!(matches!(found, Some(Holder::Process { pid, .. }) if pid == std::process::id()));
        drop(listener);
        assert_eq!(process(Transport::Tcp, address.ip(), address.port()), None);
    }
}
