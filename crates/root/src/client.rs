//! The client: what a daemon uses of this crate.

use std::collections::BTreeSet;
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use banger_model::network::{Cidr, Finding, Network, Slot};
use banger_netplan::daemon::Flow;
use banger_netplan::{Answer, Rules};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::net::sockopt::socket_peercred;
use rustix::process::{PidfdFlags, pidfd_open};

use crate::wire::{
    Attach, Attached, DnsSocket, Failure, MAX_FRAME, Range, Reply, Status, Verb, frame, read_frame,
};

/// The longest reply, in bytes: an audit of as many VMs as there may be.
const MAX_REPLY: usize = 64 << 20;

/// How long a reply may take: a rebuild of hundreds of VMs takes a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to the helper. Calls are made one after another and block; an attach takes milliseconds.
#[derive(Debug)]
pub struct Client {
    socket: UnixStream,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No helper answers there.
    #[error("failed to connect to the root helper at {path}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the root helper did not answer")]
    Exchange(#[source] io::Error),
    /// The helper closed the connection, as it does with who may not use it.
    #[error("the root helper closed the connection: does this network belong to another user?")]
    Closed,
    /// The answer is to another question: client and helper are of different versions.
    #[error("unexpected answer from the root helper: its version may differ")]
    Unexpected,
    /// The helper says why.
    #[error(transparent)]
    Failed(#[from] Failure),
}

macro_rules! expect {
    ($reply:expr, $pattern:pat => $value:expr) => {
        match $reply {
            $pattern => Ok($value),
            _ => Err(CallError::Unexpected),
        }
    };
}

impl Client {
    /// Connects to the helper of this user.
    ///
    /// # Errors
    /// None listens there, or this user may not connect.
    pub fn connect(path: &Path) -> Result<Self, CallError> {
        match UnixStream::connect(path) {
            // A helper that hangs must not hang who calls it.
            Ok(socket) => match socket.set_read_timeout(Some(PATIENCE)) {
                Ok(()) => Ok(Self { socket }),
                Err(source) => Err(CallError::Connect {
                    path: path.to_owned(),
                    source,
                }),
            },
            Err(source) => Err(CallError::Connect {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Waits until the helper of this connection has ended, for a moment: after the connection broke, that is the likely reason.
    pub fn wait_for_end(&self) {
        let helper = socket_peercred(&self.socket).ok().map(|peer| peer.pid);
        // One that has ended has no descriptor.
        let Some(helper) = helper.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
            return;
        };
        let moment = Timespec {
            tv_sec: 2,
            tv_nsec: 0,
        };
        // Whoever connects next sees whether it has.
        let _ = poll(&mut [PollFd::new(&helper, PollFlags::IN)], Some(&moment));
    }

    /// Sends one verb and waits for its reply. [`Reply::Failed`] is an error here.
    ///
    /// # Errors
    /// The exchange fails, or the helper says that the verb did.
    pub fn call(&mut self, verb: &Verb) -> Result<Reply, CallError> {
        self.send(verb)?;
        unfailed(receive(&mut self.socket)?)
    }

    /// What there is.
    ///
    /// # Errors
    /// Those of [`Client::call`]; so for all that follow.
    pub fn status(&mut self) -> Result<Status, CallError> {
        expect!(self.call(&Verb::Status)?, Reply::Status(status) => status)
    }

    /// Of which addresses the network may be.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub fn range(&mut self) -> Result<Range, CallError> {
        expect!(self.call(&Verb::Range)?, Reply::Range(range) => range)
    }

    /// Lets there be a network.
    ///
    /// # Errors
    /// Its addresses are used by another, or VMs are attached to one that differs, or those of [`Client::call`].
    pub fn prepare(&mut self, network: Network) -> Result<(), CallError> {
        expect!(self.call(&Verb::Prepare(network))?, Reply::Done => ())
    }

    /// Attaches a VM.
    ///
    /// # Errors
    /// Another slot has its hardware address, no network is prepared, or those of [`Client::call`].
    pub fn attach(&mut self, attach: Attach) -> Result<Attached, CallError> {
        expect!(self.call(&Verb::Attach(attach))?, Reply::Attached(attached) => attached)
    }

    /// Detaches a VM; one that is not attached is already detached.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub fn detach(&mut self, slot: Slot) -> Result<(), CallError> {
        expect!(self.call(&Verb::Detach { slot })?, Reply::Done => ())
    }

    /// Changes what a VM may reach.
    ///
    /// # Errors
    /// It is not attached, or those of [`Client::call`].
    pub fn policy(&mut self, slot: Slot, rules: Rules) -> Result<(), CallError> {
        expect!(self.call(&Verb::Policy { slot, rules })?, Reply::Done => ())
    }

    /// Lets a VM reach what its resolver told it. Return the answer to the guest only after this.
    ///
    /// # Errors
    /// An address is one that no name may stand for, the VM is not attached, or those of [`Client::call`].
    pub fn answers(&mut self, slot: Slot, answers: Vec<Answer>) -> Result<(), CallError> {
        expect!(self.call(&Verb::Answers { slot, answers })?, Reply::Done => ())
    }

    /// Refuses these blocks to all VMs beside what the helper sees, in place of those of before.
    ///
    /// # Errors
    /// There are too many, or those of [`Client::call`].
    pub fn refuse(&mut self, blocks: BTreeSet<Cidr>) -> Result<(), CallError> {
        expect!(self.call(&Verb::Refuse(blocks))?, Reply::Done => ())
    }

    /// Where the host differs from the plan.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub fn audit(&mut self) -> Result<Vec<Finding>, CallError> {
        self.send(&Verb::Audit)?;
        match receive(&mut self.socket)? {
            Heard::Reply(reply) => expect!(unfailed(reply)?, Reply::Audit(audit) => audit.findings()),
            Heard::Earlier(Earlier::Findings(findings)) => Ok(findings),
            Heard::Earlier(Earlier::Flow(_)) => Err(CallError::Unexpected),
        }
    }

    /// Makes the host what the plan says.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub fn rebuild(&mut self) -> Result<(), CallError> {
        expect!(self.call(&Verb::Rebuild)?, Reply::Done => ())
    }

    /// Removes everything.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub fn teardown(&mut self) -> Result<(), CallError> {
        expect!(self.call(&Verb::Teardown)?, Reply::Done => ())
    }

    /// The sockets of the gateway's port 53. Asked again, they are the same ones.
    ///
    /// # Errors
    /// No network is prepared, another program has the port, or those of [`Client::call`].
    pub fn dns_sockets(&mut self) -> Result<Vec<(DnsSocket, OwnedFd)>, CallError> {
        self.send(&Verb::DnsSockets)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut length = [0; 4];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL;
        let got = retry_on_intr(|| {
            let space = &mut [IoSliceMut::new(&mut length)];
            recvmsg(&self.socket, space, &mut control, flags)
        });
        let got = got.map_err(|errno| CallError::Exchange(errno.into()))?;
        let sockets: Vec<OwnedFd> = control
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(rights) => Some(rights),
                _ => None,
            })
            .flatten()
            .collect();
        if got.bytes == 0 {
            return Err(CallError::Closed);
        }
        self.socket
            .read_exact(&mut length[got.bytes..])
            .map_err(CallError::Exchange)?;
        let mut frame = length.chain(&mut self.socket);
        let reply = read_frame(&mut frame, MAX_REPLY).map_err(CallError::Exchange)?;
        let reply = reply.ok_or(CallError::Closed)?;
        let kinds = expect!(unfailed(reply)?, Reply::Sockets(kinds) => kinds)?;
        if kinds.len() == sockets.len() {
            Ok(kinds.into_iter().zip(sockets).collect())
        } else {
            Err(CallError::Unexpected)
        }
    }

    /// Makes this connection one that tells of flows, in the network that there is by then.
    ///
    /// # Errors
    /// Another connection does already, no network is prepared, or those of [`Client::call`].
    pub fn flows(
        mut self,
        network: impl Fn() -> Option<Network> + Send + 'static,
    ) -> Result<Flows, CallError> {
        expect!(self.call(&Verb::Flows)?, Reply::Done => ())?;
        // Between two flows any time may pass.
        self.socket.set_read_timeout(None).map_err(CallError::Exchange)?;
        Ok(Flows {
            socket: self.socket,
            network: Box::new(network),
        })
    }

    fn send(&mut self, verb: &Verb) -> Result<(), CallError> {
        let frame = frame(verb).map_err(CallError::Exchange)?;
        if frame.len() > MAX_FRAME + 4 {
            let long = io::Error::other("longer than a frame may be");
            return Err(CallError::Exchange(long));
        }
        self.socket.write_all(&frame).map_err(CallError::Exchange)
    }
}

/// Flows as they begin or are refused. Drop it to end it.
pub struct Flows {
    /// The connection, for who wants to wait on it, read [frames](crate::wire::read_frame) itself, or shut it down.
    pub socket: UnixStream,
    network: Box<dyn Fn() -> Option<Network> + Send>,
}

impl Iterator for Flows {
    type Item = Result<Flow, CallError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let flow = match receive(&mut self.socket) {
                Ok(Heard::Reply(Reply::Logged(logged))) => Flow::of_log(&logged, (self.network)().as_ref()),
                Ok(Heard::Earlier(Earlier::Flow(flow))) => Some(flow),
                Ok(_) => return Some(Err(CallError::Unexpected)),
                Err(CallError::Closed) => return None,
                Err(error) => return Some(Err(error)),
            };
            // What is no flow was logged by another's rule.
            if let Some(flow) = flow {
                return Some(Ok(flow));
            }
        }
    }
}

/// What a helper answers, or one that was installed before it left the judging to us.
#[derive(Deserialize)]
#[serde(untagged)]
enum Heard {
    Reply(Reply),
    Earlier(Earlier),
}

/// Answers as they were.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Earlier {
    Flow(Flow),
    Findings(Vec<Finding>),
}

fn receive<T: DeserializeOwned>(socket: &mut UnixStream) -> Result<T, CallError> {
    match read_frame(socket, MAX_REPLY) {
        Ok(Some(reply)) => Ok(reply),
        Ok(None) => Err(CallError::Closed),
        // A helper that refuses to talk closes with our verb unread.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(CallError::Closed),
        Err(error) => Err(CallError::Exchange(error)),
    }
}

fn unfailed(reply: Reply) -> Result<Reply, CallError> {
    match reply {
        Reply::Failed(failure) => Err(failure.into()),
        reply => Ok(reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket with a time limit, in which a call was interrupted now and then, as when the process is stopped and goes on.
    struct Interrupted<'a>(&'a [u8], bool);

    impl Read for Interrupted<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            match self.1 {
                true => Err(io::ErrorKind::Interrupted.into()),
                false => self.0.read(&mut to[..1]),
            }
        }
    }

    #[test]
    fn a_process_that_slept_goes_on_reading() {
        let frame = frame(&Reply::Done).unwrap();
        let read = |bytes| read_frame::<Reply>(&mut Interrupted(bytes, false), MAX_REPLY);
        assert_eq!(read(&frame).unwrap(), Some(Reply::Done));
        assert_eq!(read(&[]).unwrap(), None);
        assert!(read(&frame[..2]).is_err());
    }

    #[test]
    fn helpers_of_before_are_understood() {
        let heard = |text: &str| serde_json::from_str::<Heard>(text).unwrap();
        let findings = heard(r#"{"findings":[{"problem":"p","hint":"h"}]}"#);
        assert!(matches!(findings, Heard::Earlier(Earlier::Findings(all)) if all.len() == 1));
        let flow = heard(
            r#"{"flow":{"slot":3,"allowed":true,"rule":"nat","source":null,"destination":null,"protocol":6,"port":80}}"#,
        );
        assert!(matches!(flow, Heard::Earlier(Earlier::Flow(flow)) if flow.port == Some(80)));
        let range = heard(
            r#"{"range":{"room":"172.16.0.0/16","ula":"fd00::/64","used":[
                {"net":"10.0.0.0/8","by":"route"},{"net":"10.0.0.1","by":{"resolver":"/etc/resolv.conf"}}]}}"#,
        );
        assert!(matches!(range, Heard::Reply(Reply::Range(range)) if range.used.len() == 2));
    }
}
