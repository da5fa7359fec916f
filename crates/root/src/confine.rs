//! What the helper gives up before it listens. All of it holds for its children too: `nft`, and `resolvectl`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
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
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let records = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::RemoveFile
        | AccessFs::MakeSock;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rule(NetPort::new(53, AccessNet::BindTcp))?;
    let existing = |paths: &[&str]| -> Vec<PathBuf> { paths.iter().map(PathBuf::from).collect() };
    let written: Vec<PathBuf> = written.iter().map(|path| path.to_path_buf()).collect();
    for (paths, access) in [
        (existing(&READ), read),
        (existing(&RUN), AccessFs::ReadFile | AccessFs::Execute),
        (
            existing(&["/proc/sys/net"]),
            read | AccessFs::WriteFile | AccessFs::Truncate,
        ),
        (existing(&["/dev/net/tun", "/dev/null"]), device),
        (written, records),
    ] {
        ruleset = allow(ruleset, &paths, access)?;
    }
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => "files, TCP ports, signals and abstract sockets",
        RulesetStatus::PartiallyEnforced => "in part: this kernel has an older one",
        RulesetStatus::NotEnforced => "none: this kernel has none",
    })
}

/// Allows access below those paths that exist; to a file, only what there is to do with a file.
fn allow(
    mut ruleset: RulesetCreated,
    paths: &[PathBuf],
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    for path in paths {
        let Ok(descriptor) = PathFd::new(path) else {
            continue;
        };
        let access = if path.is_dir() {
            access
        } else {
            access & AccessFs::from_file(ABI::V6)
        };
        ruleset = ruleset.add_rule(PathBeneath::new(descriptor, access))?;
    }
    Ok(ruleset)
}

fn seccomp() -> Result<seccompiler::BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(|&call| (call, Vec::new())).collect();
    let others = FAMILIES
        .iter()
        .map(|&family| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family as u64))
        .collect::<Result<Vec<_>, _>>()?;
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(others)?]);
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        refuse,
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}
