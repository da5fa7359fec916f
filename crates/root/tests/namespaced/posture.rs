//! What the running helper really holds, as `/proc` says.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use banger_model::network::{NetMode, Slot};
use banger_root::wire::Attach;

use crate::world::{World, mac, rules};

fn kind_of(link: &std::path::Path) -> Option<String> {
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
    assert!(tasks.len() >= 2, "threads that serve");
    for task in tasks {
        let status = fs::read_to_string(task.join("status")).unwrap();
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
        for set in ["CapInh", "CapAmb"] {
            assert_eq!(u64::from_str_radix(&field(set), 16).unwrap(), 0, "{set}");
        }
        assert_eq!(
            (field("NoNewPrivs").as_str(), field("Seccomp").as_str()),
            ("1", "2")
        );
    }
    while client.status().unwrap().warm < 2 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let state = world.state.path().display();
    let (log, records) = (format!("{state}/log"), format!("{state}/state"));
    // Its standard output is whatever the tests' is.
    let stdout = kind_of(&proc.join("fd/1")).unwrap();
    let known = ["/dev/null", "socket", &log, &stdout];
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
        banger_root::confine::confine(&[&inside]).unwrap();
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
