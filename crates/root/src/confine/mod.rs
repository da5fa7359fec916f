//! What the helper gives up before it reads a request. All of it holds for its child too, which is `nft`.

mod calls;

use std::os::fd::BorrowedFd;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::kernel::nft;

/// What `nft` is given too: links, filter, settings of the network.
const AMBIENT: CapabilitySet = CapabilitySet::NET_ADMIN;
/// What the helper keeps: that, and port 53.
const KEPT: CapabilitySet = AMBIENT.union(CapabilitySet::NET_BIND_SERVICE);

/// What its child reads, and nothing of it may be run but `nft` and these.
#[rustfmt::skip]
const READ: [&str; 8] = [
    "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/protocols", "/etc/services", "/etc/nsswitch.conf",
    "/etc/iproute2",
];
const LOADERS: [&str; 3] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-musl-x86_64.so.1",
];
/// Where the host's resolvers are named, and its connections. As a user who is not root, the helper reads there what all may.
const HOST: [&str; 3] = ["/etc", "/run", "/proc/self/net"];

/// A confinement that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// Another user.
    #[error("failed to become user {}", .0.as_raw())]
    User(Uid, #[source] Errno),
    /// Capabilities.
    #[error("failed to drop capabilities")]
    Capabilities(#[from] Errno),
    /// Landlock fails, where the kernel has it.
    #[error("failed to confine the file system with Landlock")]
    Landlock(#[from] RulesetError),
    /// The filter of system calls cannot be made, or the kernel does not take it.
    #[error("failed to install the seccomp filter")]
    Seccomp(#[from] seccompiler::Error),
}

/// The program by which the host's resolver is told; who tells it runs no other.
pub(crate) const RESOLVECTL: &str = "/usr/bin/resolvectl";

/// Who confines themselves, and to what.
#[derive(Debug, Clone, Copy)]
pub enum Who<'a> {
    /// The helper, as this user, with the files that say where the host's resolvers are.
    Helper(Uid, Gid, &'a Path),
    /// The helper in namespaces of a user's own, where there is no other user.
    Apart,
    /// Who tells the host's resolver: root, as which it is heard, without any capability.
    Teller,
}

/// Confines this process, which has one thread. Gives what it did, one line a means.
///
/// `written` are the directories that stay writable, by descriptors that were opened before: the user that the helper becomes
/// may have no way to them by name.
///
/// # Errors
/// A means fails; one that the kernel lacks is said instead.
pub fn confine(who: Who<'_>, written: &[BorrowedFd<'_>]) -> Result<Vec<String>, ConfineError> {
    let kept = match who {
        Who::Helper(..) | Who::Apart => (KEPT, AMBIENT),
        Who::Teller => (CapabilitySet::empty(), CapabilitySet::empty()),
    };
    set_no_new_privs(true)?;
    bound(kept.0)?;
    let user = match who {
        Who::Helper(uid, gid, _) => {
            become_user(uid, gid).map_err(|errno| ConfineError::User(uid, errno))?;
            format!("user: {}; ", uid.as_raw())
        }
        Who::Apart | Who::Teller => String::new(),
    };
    capabilities(kept.0, kept.1)?;
    let landlock = landlock(who, written)?;
    let allowed = calls::allow_only_needed(matches!(who, Who::Teller))?;
    Ok(vec![
        format!("{user}capabilities: NET_ADMIN, NET_BIND_SERVICE; no new privileges"),
        format!("landlock: {landlock}"),
        format!("seccomp: {allowed} system calls allowed"),
    ])
}

/// What no child ever gets back, whoever's program it is.
fn bound(kept: CapabilitySet) -> rustix::io::Result<()> {
    for capability in CapabilitySet::all().difference(kept).iter() {
        // Whoever becomes another user needs these until then.
        match remove_capability_from_bounding_set(capability) {
            // A capability that this kernel does not know.
            Err(Errno::INVAL) => {}
            result => result?,
        }
    }
    // Being root gives a child nothing.
    set_capabilities_secure_bits(
        CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::KEEP_CAPS,
    )
}

/// Becomes a user of whom nobody is a member of anything. What is permitted stays so.
fn become_user(uid: Uid, gid: Gid) -> rustix::io::Result<()> {
    set_keep_capabilities(true)?;
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

fn capabilities(kept: CapabilitySet, ambient: CapabilitySet) -> rustix::io::Result<()> {
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: ambient,
    };
    set_capabilities(None, sets)?;
    ambient
        .iter()
        .try_for_each(|capability| configure_capability_in_ambient_set(capability, true))
}

fn landlock(who: Who<'_>, written: &[BorrowedFd<'_>]) -> Result<&'static str, RulesetError> {
    let abi = ABI::V6;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::WriteFile | AccessFs::Truncate;
    let run = AccessFs::ReadFile | AccessFs::Execute;
    let records = read | write | AccessFs::MakeReg | AccessFs::RemoveFile;
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let beneath = written
        .iter()
        .map(|dir| Ok::<_, RulesetError>(PathBeneath::new(dir, records)));
    // Below those paths that exist; to a file, only what there is to do with a file.
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(READ, read))?
        .add_rules(path_beneath_rules(LOADERS, run))?
        .add_rules(path_beneath_rules(["/dev/null"], device))?;
    if let Who::Teller = who {
        rules = rules
            .add_rules(path_beneath_rules([RESOLVECTL], run))?
            .add_rules(path_beneath_rules(["/run/dbus", "/etc/dbus-1"], read))?;
    } else {
        rules = rules
            .add_rule(NetPort::new(53, AccessNet::BindTcp))?
            .add_rules(path_beneath_rules(nft::PATHS, run))?
            .add_rules(path_beneath_rules(["/proc/sys/net"], read | write))?
            .add_rules(path_beneath_rules(["/dev/net/tun"], device))?
            .add_rules(beneath)?;
    }
    if let Who::Helper(_, _, resolvers) = who {
        rules = rules
            .add_rules(path_beneath_rules(HOST, read))?
            .add_rules(path_beneath_rules([resolvers], read))?;
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => "files, TCP ports, signals and abstract sockets",
        RulesetStatus::PartiallyEnforced => "in part: this kernel has an older one",
        RulesetStatus::NotEnforced => "none: this kernel has none",
    })
}
