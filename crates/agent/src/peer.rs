//! Who is at the other end of a connection. In a guest every local user can reach the agent's sockets: by the loopback of
//! vsock(7), or by the guest's own CID; so a listener asks the kernel who connected, and serves its host alone.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd};

use rustix::net::AddressFamily;
use rustix::net::sockopt::{socket_domain, socket_peercred};
use vsock::VMADDR_CID_HOST;

/// Whether what connected may give the agent orders: the host, or root (or this process's own user) on a Unix socket. Nobody
/// may by a socket of another family.
///
/// # Errors
/// When the kernel does not say who it is, as of a connection that has broken since.
pub(crate) fn may_give_orders(socket: impl AsFd) -> io::Result<bool> {
    Ok(match socket_domain(&socket)? {
        AddressFamily::VSOCK => peer_cid(&socket)? == VMADDR_CID_HOST,
        AddressFamily::UNIX => {
            let uid = socket_peercred(&socket)?.uid;
            uid.is_root() || uid == rustix::process::geteuid()
        }
        _ => false,
    })
}

/// The context id of a vsock connection's peer. Loopback connections have the guest's own, or `VMADDR_CID_LOCAL`; no local
/// socket can be bound to the host's.
fn peer_cid(socket: impl AsFd) -> io::Result<u32> {
    let mut address = MaybeUninit::<libc::sockaddr_vm>::zeroed();
    let mut length = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
    // SAFETY: the pointers are of an address and its size, which the kernel fills no further than that.
    let named = unsafe {
        libc::getpeername(
            socket.as_fd().as_raw_fd(),
            address.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if named < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all bytes were zero before the kernel wrote to them, and any bytes are such an address.
    Ok(unsafe { address.assume_init() }.svm_cid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    #[test]
    fn only_the_host_and_root_give_orders() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert!(may_give_orders(&ours).unwrap());
        // Whoever it is.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!may_give_orders(&stream).unwrap());
        banger_cases::refused("guest-users", "peer.tcp");
    }

    /// Whoever runs these is root: only root can be another user. `make test` runs them where it is.
    mod needs_root {
        use super::*;

        #[tokio::test]
        #[ignore = "needs root"]
        async fn another_local_user_is_hung_up_on() {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("socket");
            let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
            for open in [dir.path(), &path] {
                std::fs::set_permissions(open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
            }
            let listener = crate::socket::Listener::new(listener.into()).unwrap();
            let as_nobody = path.clone();
            let refused = std::thread::spawn(move || {
                use std::io::Read;
                // This thread alone becomes another user.
                rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
                let mut stream = UnixStream::connect(as_nobody).unwrap();
                stream.read(&mut [0; 1]).unwrap()
            });
            let (accepted, _root) = tokio::join!(listener.accept(), async {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || {
                    let read = refused.join().unwrap();
                    (read, UnixStream::connect(path).unwrap())
                });
                let (read, root) = read.await.unwrap();
                assert_eq!(read, 0);
                root
            });
            assert!(may_give_orders(accepted.unwrap()).unwrap());
            banger_cases::refused("guest-users", "peer.unix-nobody");
        }
    }
}
