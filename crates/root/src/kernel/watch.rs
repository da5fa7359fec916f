//! What is around a host, and when it is to be looked at again: as rtnetlink tells of its links, addresses, routes and rules, and
//! the file system of the files that name its resolvers. The socket stays the host's even where it is handed to a process in
//! another network namespace.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, FromRawFd, IntoRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use banger_model::network::{Cidr, Surroundings};
use banger_netlink::received;
use banger_netlink::route::{Address, Link, RTPROT_KERNEL, RTPROT_RA, Route};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::event::Timespec;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::netlink::{self, Lists, is_news, receive};
use super::uses;

/// Groups of rtnetlink(7): links; addresses, routes and rules of both families.
const GROUPS: [u32; 7] = [1, 5, 7, 8, 9, 11, 19];
/// Tunnels are given routes of whole halves of the Internet, which makes nobody there a neighbour.
const WIDEST: [u8; 2] = [8, 16];
/// What changes in a burst is looked at when nothing came for so long, or after the other time at last.
const QUIET: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};
const BURST: Duration = Duration::from_millis(300);

/// A socket that hears of changes.
#[derive(Debug)]
pub struct Watch(Socket);

impl Watch {
    /// Of the network that the calling thread is in.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn open() -> io::Result<Self> {
        netlink::socket(NETLINK_ROUTE, &GROUPS).map(Self)
    }

    /// The same socket of an earlier [`Watch::open`], perhaps of another process.
    pub fn of(socket: OwnedFd) -> Self {
        // SAFETY: the descriptor is owned here, and given away.
        Self(unsafe { Socket::from_raw_fd(socket.into_raw_fd()) })
    }

    /// The socket, to be handed on.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn socket(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }

    /// Looks around now.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn look(&self) -> io::Result<Surroundings> {
        self.glance().map(|(around, _)| around)
    }

    /// Looks around, and says whether something changed meanwhile.
    fn glance(&self) -> io::Result<(Surroundings, bool)> {
        let mut lists = Lists::of(&self.0);
        let (links, addresses, routes) = (lists.links()?, lists.addresses()?, lists.routes()?);
        Ok((surroundings(&links, &addresses, &routes), lists.news))
    }

    /// Tells of the surroundings at first and after each change, even where they are the same by then.
    ///
    /// # Errors
    /// The socket fails, which ends it.
    pub fn follow(&self, tell: impl Fn(Surroundings)) -> io::Result<()> {
        let files = inotify::init(CreateFlags::CLOEXEC)?;
        loop {
            arm(&files);
            let start = Instant::now();
            let (around, changed) = self.glance()?;
            let looking = start.elapsed();
            tell(around);
            // A host whose routes change all the time, so also while it is looked at, is looked at for a tenth of it.
            match changed {
                true => std::thread::sleep(looking * 9),
                false => self.wait(&files)?,
            }
        }
    }

    /// Waits for news, and for a quiet moment after them: a link that comes up brings many.
    fn wait(&self, files: &OwnedFd) -> io::Result<()> {
        while self.hear(files, None)? != Some(true) {}
        let burst = Instant::now();
        while burst.elapsed() < BURST && self.hear(files, Some(&QUIET))?.is_some() {}
        Ok(())
    }

    /// Takes what comes next, if something comes; says whether it may matter.
    fn hear(&self, files: &OwnedFd, patience: Option<&Timespec>) -> io::Result<Option<bool>> {
        let [told, changed] = netlink::wait([&self.0, files], patience)?;
        if changed {
            rustix::io::read(files, &mut [0; 4096])?;
        }
        let is_any = |datagram: Vec<u8>| received(&datagram).any(|message| is_news(&message));
        let news = told && receive(&self.0)?.is_none_or(is_any);
        Ok((told || changed).then_some(news || changed))
    }
}

/// Watches the files that name resolvers, and the directories in which they appear. What is not there yet is noticed when the
/// directory above it changes; doing it again is no harm.
fn arm(files: &OwnedFd) {
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
        let paths = [Some(path.as_path()), dir].into_iter().flatten();
        for path in paths.filter(|path| *path != Path::new("/")) {
            // One that is not there, or not to be read, cannot be watched.
            let _ = inotify::add_watch(files, path, what);
        }
    }
}

fn surroundings(links: &[Link], addresses: &[Address], routes: &[Route]) -> Surroundings {
    let is_everywhere = |address: &IpAddr| match address {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    };
    let shared = links.iter().filter(|link| link.shared);
    let shared: BTreeSet<u32> = shared.map(|link| link.index).collect();
    let mut around = Surroundings::default();
    for address in addresses.iter().filter(|address| !is_everywhere(&address.own)) {
        around.own.insert(address.own);
        let other = address.peer.unwrap_or(address.own);
        around.connected.extend(block(other, address.prefix));
    }
    for route in routes.iter().filter(|route| route.direct) {
        // It follows from an address or a router, and was not put there by hand or a program.
        let follows = matches!(route.protocol, RTPROT_KERNEL | RTPROT_RA);
        if follows || route.link.is_some_and(|link| shared.contains(&link)) {
            around.connected.extend(block(route.first, route.prefix));
        }
    }
    around.connected.retain(|block| !is_everywhere(&block.first()));
    around
}

fn block(address: IpAddr, prefix: u8) -> Option<Cidr> {
    let widest = WIDEST[usize::from(address.is_ipv6())];
    Cidr::around(address, prefix).filter(|_| prefix >= widest)
}
