//! What the helper gives up before it listens. All of it holds for its children too: `nft`, and `resolvectl`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, apply_filter,
};

use crate::kernel::resolved;

/// What is kept: links, filter, settings of the network; and port 53.
const KEPT: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_BIND_SERVICE);

/// What its children read, and nothing of it may be run but these.
#[rustfmt::skip]
const READ: [&str; 8] = [
    "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/protocols", "/etc/services", "/etc/nsswitch.conf",
    "/etc/iproute2",
];
#[rustfmt::skip]
const RUN: [&str; 7] = [
    "/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", resolved::PROGRAM, "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-x86_64.so.1",
];

/// System calls that nothing here needs, and that have broken out of confinement elsewhere.
#[rustfmt::skip]
const REFUSED: [libc::c_long; 45] = [
    libc::SYS_acct, libc::SYS_add_key, libc::SYS_adjtimex, libc::SYS_bpf, libc::SYS_chroot,
    libc::SYS_clock_adjtime, libc::SYS_clock_settime, libc::SYS_delete_module, libc::SYS_fanotify_init,
    libc::SYS_finit_module, libc::SYS_fsconfig, libc::SYS_fsmount, libc::SYS_fsopen, libc::SYS_fspick,
    libc::SYS_init_module, libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_io_uring_setup,
    libc::SYS_kexec_load, libc::SYS_keyctl, libc::SYS_mount, libc::SYS_mount_setattr, libc::SYS_move_mount,
    libc::SYS_name_to_handle_at, libc::SYS_open_by_handle_at, libc::SYS_open_tree,
    libc::SYS_perf_event_open, libc::SYS_personality, libc::SYS_pidfd_getfd, libc::SYS_pivot_root,
    libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_ptrace, libc::SYS_quotactl,
    libc::SYS_reboot, libc::SYS_request_key, libc::SYS_setdomainname, libc::SYS_sethostname,
    libc::SYS_setns, libc::SYS_settimeofday, libc::SYS_swapoff, libc::SYS_swapon, libc::SYS_umount2,
    libc::SYS_unshare, libc::SYS_userfaultfd,
];
/// The families of sockets that are left: the daemon's, the kernel's, and DNS.
const FAMILIES: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_NETLINK, libc::AF_INET, libc::AF_INET6];

/// A confinement that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// Capabilities.
    #[error("cannot drop capabilities")]
    Capabilities(#[source] io::Error),
    /// Landlock fails, where the kernel has it.
    #[error("cannot confine the file system with Landlock")]
    Landlock(#[from] RulesetError),
    /// The filter of system calls cannot be made.
    #[error("cannot make the filter of system calls")]
    Filter(#[from] seccompiler::BackendError),
    /// The kernel does not take it.
    #[error("cannot refuse system calls")]
    Seccomp(#[from] seccompiler::Error),
}

/// Confines this process, which has one thread. Gives what it did, one line a means.
///
/// `written` are the directories that stay writable: state and socket.
///
/// # Errors
/// A means fails; one that the kernel lacks is said instead.
pub fn confine(written: &[&Path]) -> Result<Vec<String>, ConfineError> {
    capabilities().map_err(|errno| ConfineError::Capabilities(errno.into()))?;
    let landlock = landlock(written)?;
    apply_filter(&seccomp()?)?;
    Ok(vec![
        "capabilities: NET_ADMIN, NET_BIND_SERVICE; no new privileges".to_owned(),
        format!("landlock: {landlock}"),
        format!("seccomp: {} system calls refused", REFUSED.len()),
    ])
}

fn capabilities() -> rustix::io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    // The bounding set is what root's children get back with execve.
    for capability in CapabilitySet::all().difference(KEPT).iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // A capability that this kernel does not know.
            Err(rustix::io::Errno::INVAL) => {}
            result => result?,
        }
    }
    let sets = CapabilitySets {
        effective: KEPT,
        permitted: KEPT,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets)
}

fn landlock(written: &[&Path]) -> Result<&'static str, RulesetError> {
    let abi = ABI::V6;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::WriteFile | AccessFs::Truncate;
    let records = read | write | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::MakeSock;
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    // Below those paths that exist; to a file, only what there is to do with a file.
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rule(NetPort::new(53, AccessNet::BindTcp))?
        .add_rules(path_beneath_rules(READ, read))?
        .add_rules(path_beneath_rules(RUN, AccessFs::ReadFile | AccessFs::Execute))?
        .add_rules(path_beneath_rules(["/proc/sys/net"], read | write))?
        .add_rules(path_beneath_rules(["/dev/net/tun", "/dev/null"], device))?
        .add_rules(path_beneath_rules(written, records))?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => "files, TCP ports, signals and abstract sockets",
        RulesetStatus::PartiallyEnforced => "in part: this kernel has an older one",
        RulesetStatus::NotEnforced => "none: this kernel has none",
    })
}

fn seccomp() -> Result<seccompiler::BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(|&call| (call, Vec::new())).collect();
    let other =
        |&family: &_| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family as u64);
    let others = FAMILIES.iter().map(other).collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(others)?]);
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?.try_into()
}
