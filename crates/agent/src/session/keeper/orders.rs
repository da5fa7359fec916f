//! Who gives a keeper orders, and what it does for them.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::Timeout;
use rustix::net::{SendFlags, SocketFlags, accept_with, send};
use rustix::process::Signal;

use super::Keeper;
use crate::failure::refused;
use crate::peer;
use crate::session::order::{Answer, Incoming, Order, Received};

/// How long the server may take to read an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Someone who gives an order.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) connection: OwnedFd,
    incoming: Incoming,
    pub(super) waits_for_end: bool,
    pub(super) is_done: bool,
}

impl Keeper {
    pub(super) fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        // One that has left again is not served.
        if let Ok(connection) = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
            && peer::may_give_orders(&connection).unwrap_or(false)
        {
            self.callers.push(Caller {
                connection,
                incoming: Incoming::default(),
                waits_for_end: false,
                is_done: false,
            });
        }
    }

    pub(super) fn take_order(&mut self, index: usize) {
        let caller = &mut self.callers[index];
        let (order, connection) = match caller.incoming.read(&caller.connection) {
            Received::Part => return,
            Received::Whole(order, connection) => (order, connection),
            Received::Nothing => return caller.is_done = true,
        };
        let answer = match (order, connection) {
            (Order::Describe, _) => Answer::Done(Box::new(self.describe())),
            (Order::Wait, _) => return caller.waits_for_end = true,
            (Order::Stream { stream, sent }, Some(connection)) => {
                self.serve(connection, &stream, &sent);
                Answer::Taken
            }
            (Order::Signal(signal), _) => self.signal(signal),
            (Order::Stop(grace_ms), _) => self.stop(Duration::from_millis(grace_ms)),
            (Order::Begin { .. } | Order::Recall { .. } | Order::Stream { .. }, _) => {
                Answer::Refused(refused("a running session does not accept this request"))
            }
        };
        let caller = &mut self.callers[index];
        caller.answer(&answer);
        caller.is_done = true;
    }

    pub(super) fn signal(&self, signal: i32) -> Answer {
        match (Signal::from_named_raw(signal), &self.command) {
            (Some(signal), Some(command)) => {
                command.signal(signal);
                Answer::Done(Box::new(self.describe()))
            }
            (None, _) => Answer::Refused(refused(format!("there is no signal {signal}"))),
            (_, None) => Answer::Refused(refused("the session's command is not running")),
        }
    }

    /// Asks the command to end, and sets the time at which it is killed.
    fn stop(&mut self, grace: Duration) -> Answer {
        self.is_to_end = true;
        if let Some(command) = &self.command {
            if grace.is_zero() {
                command.signal(Signal::KILL);
            } else {
                command.signal(Signal::TERM);
                if self.session.tty {
                    // An interactive shell ends when its terminal is hung up, and by nothing less.
                    command.signal(Signal::HUP);
                }
                // One that is stopped could not hear it.
                command.signal(Signal::CONT);
                let at = Instant::now() + grace;
                self.kill_at = Some(self.kill_at.map_or(at, |earlier| earlier.min(at)));
            }
        }
        Answer::Done(Box::new(self.describe()))
    }
}

impl Caller {
    pub(super) fn answer(&self, answer: &Answer) {
        // Who has left does not hear it.
        if let Ok(json) = serde_json::to_vec(answer) {
            let _ = send_whole(&self.connection, &json);
        }
    }
}

/// Sends an answer. Mostly it fits; a very long command line does not, and the server is there to read it.
fn send_whole(to: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    rustix::net::sockopt::set_socket_timeout(to, Timeout::Send, Some(PATIENCE))?;
    rustix::io::ioctl_fionbio(to, false)?;
    while !bytes.is_empty() {
        match send(to, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
