//! Network namespaces that last as long as a value does.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// A network namespace of its own, with nothing in it but a loopback interface that is up.
#[derive(Debug)]
pub(crate) struct Netns(File);

impl Netns {
    pub(crate) fn new() -> Self {
        let made = std::thread::spawn(|| {
            // SAFETY: the thread shares no file descriptors table by this, only its network changes, and it ends here.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.expect("unshare the network");
            Self(File::open("/proc/thread-self/ns/net").expect("open the namespace"))
        });
        let netns = made.join().expect("make a namespace");
        netns.ip("link set lo up");
        netns
    }

    /// Does something in the namespace, on a thread of its own.
    pub(crate) fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter();
                act()
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Moves the calling thread there for good.
    pub(crate) fn enter(&self) {
        use std::os::fd::AsFd;
        move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("enter the namespace");
    }

    /// A path by which other processes find it, as long as this value and process live.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Runs a shell's line there and gives what it prints.
    pub(crate) fn sh(&self, line: &str) -> String {
        self.run(|| {
            let output = Command::new("sh")
                .args(["-ec", line])
                .stdin(Stdio::null())
                .output()
                .expect("start sh");
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{line}: {words}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        })
    }

    pub(crate) fn ip(&self, arguments: &str) -> String {
        self.sh(&format!("ip {arguments}"))
    }
}
