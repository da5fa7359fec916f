//! What the running helper really holds, as `/proc` says.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use banger_model::network::{NetMode, Slot};
use banger_root::confine::{Who, confine};
use banger_root::wire::Attach;

use crate::world::{OWNER, World, mac, rules};

use rustix::process::{Gid, Uid};

/// A user who is nobody.
const HELPER: u32 = 61_053;

fn kind_of(link: &Path) -> Option<String> {
    let target = fs::read_link(link).ok()?.to_string_lossy().into_owned();
    Some(target.split(":[").next().unwrap_or_default().to_owned())
}

pub(crate) fn the_helper_holds_what_it_needs() {
    let world = World::lonely();
    let mut client = world.prepared();
    client
        .attach(Attach {
            slot: Slot(0),
            mac: mac(0),
            rules: rules(NetMode::Nat, &[]),
        })
        .unwrap();
    let proc = std::path::PathBuf::from(format!("/proc/{}", world.pid()));
    let tasks: Vec<_> = fs::read_dir(proc.join("task"))
        .unwrap()
        .map(|task| task.unwrap().path())
        .collect();
    let mut seen = 0;
    for task in tasks {
        // Threads that have done their work end at any time.
        let Ok(status) = fs::read_to_string(task.join("status")) else {
            continue;
        };
        seen += 1;
        let field = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name}:")))
                .unwrap();
            line.trim().to_owned()
        };
        // NET_BIND_SERVICE is 10, NET_ADMIN 12 (linux/capability.h).
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(
                u64::from_str_radix(&field(set), 16).unwrap(),
                (1 << 10) | (1 << 12),
                "{set}"
            );
        }
        // `nft` is given the one alone.
        for set in ["CapInh", "CapAmb"] {
            assert_eq!(u64::from_str_radix(&field(set), 16).unwrap(), 1 << 12, "{set}");
        }
        for ids in ["Uid", "Gid"] {
            let ids = field(ids);
            assert!(
                ids.split_whitespace()
                    .all(|id| id != "0" && *id != OWNER.to_string()),
                "{ids}"
            );
        }
        assert_eq!(field("Groups"), "");
        assert_eq!(
            (field("NoNewPrivs").as_str(), field("Seccomp").as_str()),
            ("1", "2")
        );
    }
    assert!(seen >= 2, "threads that serve");
    while client.status().unwrap().warm < 2 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let state = world.state.path().display();
    let (log, records) = (format!("{state}/log"), format!("{state}/state"));
    // Its standard output is whatever the tests' is.
    let stdout = kind_of(&proc.join("fd/1")).unwrap();
    // By which owners' helpers take turns, and changes of resolvers are noticed.
    let turns = format!("{state}/run/addresses.lock");
    let known = ["/dev/null", "socket", &log, &stdout, &turns, "anon_inode:inotify"];
    let strange = || -> BTreeSet<String> {
        fs::read_dir(proc.join("fd"))
            .unwrap()
            .filter_map(|descriptor| kind_of(&descriptor.unwrap().path()))
            .filter(|name| !known.contains(&name.as_str()) && !name.starts_with(&records))
            .collect()
    };
    // A change of the filter is told as soon as it holds; `nft` ends when the kernel has freed what was before.
    let since = Instant::now();
    while !strange().is_empty() && since.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(strange(), BTreeSet::new());
    // Only the network is another one than ours, and that because this test made it so.
    for kind in ["mnt", "pid", "user", "uts", "ipc", "cgroup"] {
        let ours = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_eq!(fs::read_link(proc.join("ns").join(kind)).unwrap(), ours);
    }
    assert_eq!(fs::read_link(proc.join("cwd")).unwrap().to_str(), Some("/"));
    let said = client.status().unwrap().confinement;
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(
        said[1].starts_with("landlock: files"),
        "this kernel has Landlock: {said:?}"
    );
}

/// Confined as the helper is, a process writes nowhere else and starts nothing else.
pub(crate) fn confinement_holds() {
    let state = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let (inside, outside) = (state.path().to_owned(), elsewhere.path().join("file"));
    // All of it is a thread's own; that thread ends.
    let confined = std::thread::spawn(move || {
        let (uid, gid) = (Uid::from_raw(HELPER), Gid::from_raw(HELPER));
        std::os::unix::fs::chown(&inside, Some(HELPER), Some(HELPER)).unwrap();
        let held = std::fs::File::open(&inside).unwrap();
        confine(Who::Helper(uid, gid, Path::new("/etc")), &[held.as_fd()]).unwrap();
        let refused = |what: &str, result: std::io::Result<()>| {
            let denied = result
                .as_ref()
                .is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied);
            assert!(denied, "{what}: {result:?}");
        };
        let run = |program: &str| std::process::Command::new(program).arg("--version").output();
        fs::write(inside.join("file"), "x").unwrap();
        refused("write elsewhere", fs::write(&outside, "x"));
        refused("write to /etc", fs::write("/etc/banger-was-here", "x"));
        refused("read passwords", fs::read("/etc/shadow").map(drop));
        refused("read an environment", fs::read("/proc/self/environ").map(drop));
        refused("list root's home", fs::read_dir("/root").map(drop));
        refused(
            "change a setting",
            fs::write("/proc/sys/kernel/core_pattern", "x"),
        );
        refused("start a shell", run("/bin/sh").map(drop));
        refused("start a program", run("/usr/bin/env").map(drop));
        refused(
            "change an owner",
            std::os::unix::fs::chown(inside.join("file"), Some(1), None),
        );
        refused("listen", std::net::TcpListener::bind("127.0.0.1:0").map(drop));
        refused("connect", std::net::TcpStream::connect("127.0.0.1:1").map(drop));
        // SAFETY: these two calls touch no memory.
        let calls = unsafe {
            [
                libc::unshare(libc::CLONE_NEWUSER),
                libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0),
            ]
        };
        assert_eq!(calls, [-1, -1]);
        let nft = run("/usr/sbin/nft").unwrap();
        assert!(nft.status.success(), "{nft:?}");
    });
    confined.join().unwrap();
}

/// Each system call that is tried, with what it is given: so that where the filter let it through, the kernel would say
/// something else, or do harm to nobody but this thread.
#[rustfmt::skip]
const TRIED: [(&str, libc::c_long); 60] = [
    ("acct", libc::SYS_acct), ("add_key", libc::SYS_add_key), ("adjtimex", libc::SYS_adjtimex),
    ("bpf", libc::SYS_bpf), ("capset", libc::SYS_capset), ("chmod", libc::SYS_fchmodat),
    ("chown", libc::SYS_fchownat), ("chroot", libc::SYS_chroot), ("clock_settime", libc::SYS_clock_settime),
    ("delete_module", libc::SYS_delete_module), ("fanotify_init", libc::SYS_fanotify_init),
    ("finit_module", libc::SYS_finit_module), ("fsopen", libc::SYS_fsopen), ("init_module", libc::SYS_init_module),
    ("io_setup", libc::SYS_io_setup), ("io_uring_enter", libc::SYS_io_uring_enter),
    ("io_uring_setup", libc::SYS_io_uring_setup), ("ioperm", 173), ("iopl", 172), ("kcmp", libc::SYS_kcmp),
    ("kexec_load", libc::SYS_kexec_load), ("keyctl", libc::SYS_keyctl), ("kill", libc::SYS_kill),
    ("landlock_create_ruleset", libc::SYS_landlock_create_ruleset), ("link", libc::SYS_linkat),
    ("mbind", libc::SYS_mbind), ("memfd_secret", 447), ("migrate_pages", libc::SYS_migrate_pages),
    ("mkdir", libc::SYS_mkdirat), ("mknod", libc::SYS_mknodat), ("modify_ldt", 154), ("mount", libc::SYS_mount),
    ("move_mount", libc::SYS_move_mount), ("move_pages", libc::SYS_move_pages),
    ("name_to_handle_at", libc::SYS_name_to_handle_at), ("open_by_handle_at", libc::SYS_open_by_handle_at),
    ("open_tree", libc::SYS_open_tree), ("perf_event_open", libc::SYS_perf_event_open),
    ("personality", libc::SYS_personality), ("pidfd_getfd", libc::SYS_pidfd_getfd),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal), ("pivot_root", libc::SYS_pivot_root),
    ("process_madvise", libc::SYS_process_madvise), ("process_vm_readv", libc::SYS_process_vm_readv),
    ("process_vm_writev", libc::SYS_process_vm_writev), ("ptrace", libc::SYS_ptrace),
    ("quotactl", libc::SYS_quotactl), ("reboot", libc::SYS_reboot), ("request_key", libc::SYS_request_key),
    ("setdomainname", libc::SYS_setdomainname), ("sethostname", libc::SYS_sethostname),
    ("setns", libc::SYS_setns), ("setresuid", libc::SYS_setresuid), ("setxattr", libc::SYS_setxattr),
    ("swapon", libc::SYS_swapon), ("symlink", libc::SYS_symlinkat), ("syslog", libc::SYS_syslog),
    ("umount2", libc::SYS_umount2), ("unshare", libc::SYS_unshare), ("userfaultfd", libc::SYS_userfaultfd),
];

/// What the helper may ask the kernel is a list; all else is refused, what is not known yet too.
pub(crate) fn no_other_system_call_is_left() {
    let state = tempfile::tempdir().unwrap();
    let inside = state.path().to_owned();
    let confined = std::thread::spawn(move || {
        let (uid, gid) = (Uid::from_raw(HELPER), Gid::from_raw(HELPER));
        std::os::unix::fs::chown(&inside, Some(HELPER), Some(HELPER)).unwrap();
        let held = std::fs::File::open(&inside).unwrap();
        confine(Who::Helper(uid, gid, Path::new("/etc")), &[held.as_fd()]).unwrap();
        // SAFETY: the arguments are numbers that are no memory and no descriptor, and where the filter fails, of no use.
        let call = |number: libc::c_long, first: libc::c_long, second: libc::c_long| unsafe {
            (
                libc::syscall(number, first, second, -1, -1, -1, -1),
                *libc::__errno_location(),
            )
        };
        let mut done = Vec::new();
        for (name, number) in TRIED {
            assert_eq!(call(number, -1, -1), (-1, libc::EPERM), "{name}");
            done.push(format!("call.{name}"));
        }
        for number in [450, 460, 469, 600, 9999, 0x4000_0000, 0x4000_0001] {
            assert_eq!(call(number, -1, -1), (-1, libc::EPERM), "{number}");
            done.push(format!("call.unknown-{number}"));
        }
        for (name, family) in [
            ("vsock", libc::AF_VSOCK),
            ("packet", libc::AF_PACKET),
            ("alg", libc::AF_ALG),
            ("key", 15),
            ("can", 29),
            ("tipc", 30),
            ("bluetooth", 31),
            ("xdp", 44),
            ("mctp", 45),
            ("qipcrtr", 42),
        ] {
            let (result, errno) = call(libc::SYS_socket, family.into(), libc::SOCK_RAW.into());
            assert_eq!((result, errno), (-1, libc::EPERM), "{name}");
            done.push(format!("socket.{name}"));
        }
        for (name, flags) in [
            ("user", libc::CLONE_NEWUSER),
            ("net", libc::CLONE_NEWNET),
            ("mount", libc::CLONE_NEWNS),
            ("pid", libc::CLONE_NEWPID),
            ("uts", libc::CLONE_NEWUTS),
            ("ipc", libc::CLONE_NEWIPC),
        ] {
            // No signal at its end; the new process would share nothing of this one's but that it ends.
            assert_eq!(
                call(libc::SYS_clone, flags.into(), 0),
                (-1, libc::EPERM),
                "{name}"
            );
            done.push(format!("clone.{name}"));
        }
        // The C library asks for another one then.
        assert_eq!(call(libc::SYS_clone3, -1, -1), (-1, libc::ENOSYS));
        done.push("clone.any".to_owned());
        for (name, option) in [
            ("capbset-drop", 24),
            ("securebits", 28),
            ("dumpable", 4),
            ("seccomp", 22),
            ("ambient", 47),
            ("keepcaps", 8),
            ("mm", 35),
            ("pdeathsig", 1),
        ] {
            assert_eq!(call(libc::SYS_prctl, option, 0), (-1, libc::EPERM), "{name}");
            done.push(format!("prctl.{name}"));
        }
        for (name, request) in [
            ("tiocsti", 0x5412),
            ("bridge", 0x89a2),
            ("vhost", 0xaf01),
            ("kvm", 0xae01),
            ("flags", 0x8914),
        ] {
            assert_eq!(call(libc::SYS_ioctl, 0, request), (-1, libc::EPERM), "{name}");
            done.push(format!("ioctl.{name}"));
        }
        done
    });
    for case in confined.join().unwrap() {
        banger_cases::refused("root-helper", &case);
    }
}
