//! The system calls that are left: what the helper, the C library and `nft` were seen to need. All others fail.

use std::collections::BTreeMap;

use libc::{c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// Those that every architecture has.
#[rustfmt::skip]
const ALLOWED: [c_long; 113] = [
    // Files and descriptors.
    libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev, libc::SYS_pread64, libc::SYS_pwrite64,
    libc::SYS_close, libc::SYS_close_range, libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx,
    libc::SYS_fstatfs, libc::SYS_lseek, libc::SYS_getdents64, libc::SYS_openat, libc::SYS_readlinkat,
    libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_unlinkat,
    libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_ftruncate, libc::SYS_flock, libc::SYS_fcntl, libc::SYS_dup,
    libc::SYS_dup3, libc::SYS_pipe2, libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_getcwd,
    libc::SYS_inotify_init1, libc::SYS_inotify_add_watch, libc::SYS_inotify_rm_watch, libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_eventfd2, libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime, libc::SYS_signalfd4, libc::SYS_memfd_create,
    // Memory.
    libc::SYS_mmap, libc::SYS_munmap, libc::SYS_mprotect, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_brk,
    libc::SYS_membarrier,
    // Threads, children, signals to themselves.
    libc::SYS_clone3, libc::SYS_execve, libc::SYS_wait4, libc::SYS_waitid, libc::SYS_exit,
    libc::SYS_exit_group, libc::SYS_futex, libc::SYS_set_robust_list, libc::SYS_get_robust_list,
    libc::SYS_set_tid_address, libc::SYS_rseq, libc::SYS_sched_yield, libc::SYS_sched_getaffinity,
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_rt_sigsuspend,
    libc::SYS_sigaltstack, libc::SYS_restart_syscall, libc::SYS_tgkill,
    // What one is, and what time.
    libc::SYS_getpid, libc::SYS_getppid, libc::SYS_gettid, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid,
    libc::SYS_getegid, libc::SYS_getresuid, libc::SYS_getresgid, libc::SYS_getgroups, libc::SYS_capget,
    libc::SYS_uname, libc::SYS_sysinfo, libc::SYS_umask, libc::SYS_prlimit64, libc::SYS_getrandom,
    libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_clock_nanosleep, libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    // Sockets, of the families below.
    libc::SYS_socketpair, libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4,
    libc::SYS_connect, libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_getsockopt,
    libc::SYS_setsockopt, libc::SYS_sendto, libc::SYS_sendmsg, libc::SYS_sendmmsg, libc::SYS_recvfrom,
    libc::SYS_recvmsg, libc::SYS_recvmmsg, libc::SYS_shutdown, libc::SYS_getpgid, libc::SYS_getsid,
    libc::SYS_pidfd_open, libc::SYS_getrusage, libc::SYS_times,
];

/// Older forms of the same, which newer architectures do not have.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OLDER: [c_long; 22] = [
    libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_readlink, libc::SYS_rename,
    libc::SYS_unlink, libc::SYS_getdents, libc::SYS_poll, libc::SYS_select, libc::SYS_pipe, libc::SYS_dup2,
    libc::SYS_epoll_create, libc::SYS_epoll_wait, libc::SYS_inotify_init, libc::SYS_eventfd,
    libc::SYS_fork, libc::SYS_vfork, libc::SYS_arch_prctl, libc::SYS_time, libc::SYS_getrlimit,
    libc::SYS_getpgrp,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: [c_long; 0] = [];

/// The families of sockets: the daemon's, the kernel's, and DNS.
const FAMILIES: [c_int; 4] = [libc::AF_UNIX, libc::AF_NETLINK, libc::AF_INET, libc::AF_INET6];
/// What is asked of devices and sockets beside reading and writing: of TAPs (linux/if_tun.h); names and numbers of links; what
/// the C library asks of any descriptor.
const IOCTLS: [c_long; 10] = [
    0x4004_54ca, // TUNSETIFF
    0x4004_54cb, // TUNSETPERSIST
    0x4004_54cc, // TUNSETOWNER
    libc::SIOCGIFINDEX as c_long,
    libc::SIOCGIFNAME as c_long,
    libc::FIONBIO as c_long,
    libc::FIOCLEX as c_long,
    libc::FIONREAD as c_long,
    libc::TCGETS as c_long,
    libc::TIOCGWINSZ as c_long,
];
/// Names of threads and of memory, and what one may read of oneself.
const PRCTLS: [c_int; 6] = [
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_GET_DUMPABLE,
    libc::PR_CAPBSET_READ,
    libc::PR_GET_NO_NEW_PRIVS,
    0x5356_4d41, // PR_SET_VMA
];
/// Every namespace that clone(2) can make.
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Refuses all other system calls to this thread and what it starts; gives how many are left. `any_prctl` is for a process
/// that has no capability, whose program asks more of itself.
pub(super) fn allow_only_needed(any_prctl: bool) -> Result<usize, seccompiler::Error> {
    let calls = ALLOWED.iter().chain(&OLDER);
    let mut rules: Rules = calls.map(|&call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_socket, one_of(0, FAMILIES.map(c_int::cast_unsigned))?);
    rules.insert(libc::SYS_ioctl, one_of(1, IOCTLS.map(c_long::cast_unsigned))?);
    let prctls = one_of(0, PRCTLS.map(c_int::cast_unsigned))?;
    rules.insert(libc::SYS_prctl, if any_prctl { Vec::new() } else { prctls });
    let plain = SeccompCmpOp::MaskedEq(NAMESPACES);
    let plain = SeccompCondition::new(0, SeccompCmpArgLen::Qword, plain, 0)?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![plain])?]);
    let count = rules.len();
    // What it asks for is in memory, where no filter looks: the C library takes clone(2) where there is no clone3(2).
    let newer = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let absent = SeccompAction::Errno(libc::ENOSYS as u32);
    apply_filter(&program(newer, SeccompAction::Allow, absent)?)?;
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    apply_filter(&program(rules, refused, SeccompAction::Allow)?)?;
    Ok(count)
}

fn program(rules: Rules, other: SeccompAction, these: SeccompAction) -> Result<BpfProgram, BackendError> {
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, other, these, arch)?.try_into()
}

/// That an argument is one of these.
fn one_of<V: Into<u64>>(
    argument: u8,
    values: impl IntoIterator<Item = V>,
) -> Result<Vec<SeccompRule>, BackendError> {
    let is = |value: V| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value.into())
            .and_then(|is| SeccompRule::new(vec![is]))
    };
    values.into_iter().map(is).collect()
}
