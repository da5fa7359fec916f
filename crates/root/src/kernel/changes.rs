//! Notices that the host's links, addresses, routes, rules or resolvers are others than they were.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use banger_netlink::{received, route::link};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::{netlink, uses};

/// Groups of rtnetlink(7): links; addresses, routes and rules of both families.
const GROUPS: [u32; 7] = [1, 5, 7, 8, 9, 11, 19];
/// What changes in a burst is looked at when nothing came for so long, or after the other time at last.
const QUIET: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};
const BURST: Duration = Duration::from_millis(300);

/// Calls `changed` at first, and after each change. A host whose routes change all the time is looked at for a tenth of it.
pub(crate) fn follow(changed: impl Fn()) -> io::Result<()> {
    let routes = netlink::socket(NETLINK_ROUTE, &GROUPS)?;
    routes.set_non_blocking(true)?;
    let files = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    loop {
        arm(&files);
        let start = Instant::now();
        changed();
        std::thread::sleep(start.elapsed() * 9);
        let mut relevant = false;
        while !relevant {
            await_any(&routes, &files, None)?;
            let burst = Instant::now();
            relevant = drain(&routes, &files);
            while burst.elapsed() < BURST && await_any(&routes, &files, Some(&QUIET))? {
                relevant |= drain(&routes, &files);
            }
        }
    }
}

fn await_any(routes: &Socket, files: &impl AsFd, patience: Option<&Timespec>) -> io::Result<bool> {
    let mut events = [routes.as_fd(), files.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    match poll(&mut events, patience) {
        Err(rustix::io::Errno::INTR) => Ok(true),
        ready => Ok(ready? > 0),
    }
}

/// Takes what came; says whether any of it may matter.
fn drain(routes: &Socket, files: &impl AsFd) -> bool {
    let mut relevant = false;
    while rustix::io::read(files, &mut [0; 4096]).is_ok_and(|length| length > 0) {
        relevant = true;
    }
    loop {
        match routes.recv_from_full() {
            Ok((datagram, _)) => {
                relevant |= received(&datagram).any(|message| !is_own(message.kind, message.body))
            }
            // More came than there was room for.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => relevant = true,
            Err(_) => return relevant,
        }
    }
}

/// Whether it tells of a link of banger's: VMs come and go, and that is no news.
fn is_own(kind: u16, body: &[u8]) -> bool {
    matches!(kind, libc::RTM_NEWLINK | libc::RTM_DELLINK)
        && link(body).is_some_and(|link| link.name.starts_with("bgr"))
}

/// Watches the files that name resolvers, and the directories in which they appear. What is not there yet is noticed when the
/// directory above it changes; doing it again is no harm.
fn arm(files: &impl AsFd) {
    let what = WatchFlags::CREATE
        | WatchFlags::MODIFY
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE
        | WatchFlags::ATTRIB;
    let named = uses::FILES.iter().chain(&uses::DIRS).map(PathBuf::from);
    let real = named.clone().filter_map(|path| std::fs::canonicalize(path).ok());
    for path in named.chain(real) {
        let dir = path.ancestors().skip(1).find(|dir| dir.is_dir());
        for path in [Some(path.as_path()), dir]
            .into_iter()
            .flatten()
            .filter(|path| *path != Path::new("/"))
        {
            // One that is not there, or not to be read, cannot be watched.
            let _ = inotify::add_watch(files, path, what);
        }
    }
}
