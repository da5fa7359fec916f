//! What a client asks for, to who does it.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use banger_ssh::{ChannelId, Event, Open, Refusal};

use super::busy::Busy;
use super::forward;
use super::link::Link;
use super::listen::Listeners;
use super::session::{Session, User};
use crate::exec::Surroundings;
use crate::exec::account::{self, Account};

/// Everything of one connection that is about to happen.
pub(super) struct Dispatch {
    link: Rc<Link>,
    surroundings: Surroundings,
    busy: Rc<Busy>,
    /// Once it is known who the client is.
    user: Option<Rc<User>>,
    sessions: BTreeMap<ChannelId, Session>,
    listeners: Listeners,
}

impl Dispatch {
    pub(super) fn new(link: &Rc<Link>, surroundings: Surroundings, busy: Rc<Busy>) -> Self {
        Self {
            link: Rc::clone(link),
            surroundings,
            busy,
            user: None,
            sessions: BTreeMap::new(),
            listeners: Listeners::new(Rc::clone(link)),
        }
    }

    /// Does what an event asks for, or has it done.
    pub(super) fn hear(&mut self, event: Event) {
        match event {
            Event::Authenticated { user } => self.user = self.enter(&user),
            Event::Open { channel, open } => self.open(channel, open),
            Event::Request { channel, request } => {
                let done = self
                    .sessions
                    .get_mut(&channel)
                    .is_some_and(|session| session.request(request));
                self.link.with(|server| server.answer(channel, done));
            }
            Event::Listen { at, begin: true } => {
                let port = self.user.as_ref().and_then(|_| self.listeners.begin(at));
                self.link.with(|server| server.answer_listen(port));
            }
            Event::Listen { at, begin: false } => {
                let ended = self.listeners.end(&at).then_some(0);
                self.link.with(|server| server.answer_listen(ended));
            }
            Event::Closed { channel } => {
                self.sessions.remove(&channel);
            }
            // The link's own.
            Event::Data { .. } | Event::Eof { .. } | Event::Ready { .. } => {}
        }
    }

    /// Becomes the user. Who cannot be is given nothing.
    fn enter(&self, name: &str) -> Option<Rc<User>> {
        let account = match account::of(Some(name), &self.surroundings) {
            Ok(account) => account,
            Err(failure) => {
                eprintln!("banger: failed to serve SSH for {name}: {}", failure.message);
                return None;
            }
        };
        if let Err(error) = become_user(&account, &self.surroundings) {
            eprintln!("banger: failed to serve SSH: cannot become {name}: {error}");
            return None;
        }
        Some(Rc::new(User {
            account,
            surroundings: self.surroundings.clone(),
            link: Rc::clone(&self.link),
            busy: Rc::clone(&self.busy),
        }))
    }

    fn open(&mut self, id: ChannelId, open: Open) {
        let channel = self.link.channel(id);
        let Some(user) = &self.user else {
            return channel.refuse(Refusal::Prohibited, "this user cannot be served");
        };
        match open {
            Open::Session => {
                channel.confirm();
                self.sessions.insert(id, Session::new(channel, Rc::clone(user)));
            }
            Open::Tcp { host, port } => {
                tokio::task::spawn_local(forward::to_port(channel, host, port));
            }
            Open::Unix { path } => {
                tokio::task::spawn_local(forward::to_socket(channel, path));
            }
        }
    }
}

/// Makes this process the user's, for good.
///
/// # Errors
/// When the system refuses; then nothing must be done for the client.
fn become_user(account: &Account, surroundings: &Surroundings) -> io::Result<()> {
    use rustix::process::{Gid, Uid};
    if surroundings.is_real() && rustix::process::geteuid().is_root() {
        // This is the process's one thread so far, and those to come are of its making.
        let groups: Vec<_> = account.groups.iter().copied().map(Gid::from_raw).collect();
        rustix::thread::set_thread_groups(&groups)?;
        rustix::thread::set_thread_gid(Gid::from_raw(account.gid))?;
        rustix::thread::set_thread_uid(Uid::from_raw(account.uid))?;
        // The VM's private key is in this process, and its user's other processes must not read it (ptrace(2), /proc), whatever
        // `fs.suid_dumpable` is.
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    }
    // A home that is not there yet is no reason to send anybody away.
    std::env::set_current_dir(&account.home).or_else(|_| std::env::set_current_dir("/"))
}
