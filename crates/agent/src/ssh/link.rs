//! The connection and its channels, as tasks use them: [`Channel`]s are read and written, and whoever has to wait, waits.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;

use banger_ssh::{ChannelId, Event, Exit, Opening, Refusal, Server, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::sync::Notify;

use crate::socket::Socket;

/// Bytes that are received at once.
const CHUNK: usize = 64 << 10;

/// One connection, shared by its tasks, which are all of one thread.
#[derive(Debug)]
pub(super) struct Link {
    server: RefCell<Server>,
    inboxes: RefCell<BTreeMap<ChannelId, Rc<Inbox>>>,
    /// There is something to send.
    output: Notify,
    /// There may be room for output again.
    room: Notify,
}

/// What came on a channel.
#[derive(Debug, Default)]
struct Inbox {
    queue: RefCell<VecDeque<Vec<u8>>>,
    ended: Cell<bool>,
    closed: Cell<bool>,
    changed: Notify,
}

/// The channel is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

impl From<Gone> for io::Error {
    fn from(_: Gone) -> Self {
        io::ErrorKind::BrokenPipe.into()
    }
}

/// An open channel, or one that is about to be. The last copy closes it.
#[derive(Debug, Clone)]
pub(super) struct Channel(Rc<Open>);

#[derive(Debug)]
struct Open {
    link: Rc<Link>,
    id: ChannelId,
    inbox: Rc<Inbox>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.link.with(|server| server.close(self.id));
    }
}

impl Link {
    pub(super) fn new(server: Server) -> Rc<Self> {
        Rc::new(Self {
            server: RefCell::new(server),
            inboxes: RefCell::default(),
            output: Notify::new(),
            room: Notify::new(),
        })
    }

    /// Does something on the connection; what it sends is sent soon.
    pub(super) fn with<T>(&self, what: impl FnOnce(&mut Server) -> T) -> T {
        let done = what(&mut self.server.borrow_mut());
        self.output.notify_one();
        done
    }

    /// Carries the connection to its end. `hear` gets the events that are not a channel's data.
    pub(super) async fn run(
        self: &Rc<Self>,
        socket: Socket,
        sent: &[u8],
        mut hear: impl FnMut(Event),
    ) -> Result<(), banger_ssh::Error> {
        let (mut from, mut to) = tokio::io::split(socket);
        let mut buffer = vec![0; CHUNK];
        let mut over = self.receive(sent, &mut hear);
        while over.is_ok() {
            let listens = self.server.borrow().listens();
            let speaks = !self.server.borrow().output().is_empty();
            tokio::select! {
                read = from.read(&mut buffer), if listens => match read {
                    Ok(read) if read > 0 => over = self.receive(&buffer[..read], &mut hear),
                    Ok(_) | Err(_) => over = Err(banger_ssh::Error::Left),
                },
                sent = self.flush(&mut to), if speaks => {
                    if sent.is_err() {
                        over = Err(banger_ssh::Error::Left);
                    }
                }
                () = self.output.notified() => {}
            }
        }
        // Its last words, if it still hears any.
        while !self.server.borrow().output().is_empty() && self.flush(&mut to).await.is_ok() {}
        let _ = to.shutdown().await;
        for inbox in std::mem::take(&mut *self.inboxes.borrow_mut()).into_values() {
            inbox.close();
        }
        self.room.notify_waiters();
        over
    }

    /// Sends some of the output.
    async fn flush(&self, to: &mut WriteHalf<Socket>) -> io::Result<()> {
        let sent = poll_fn(|context| {
            let server = self.server.borrow();
            Pin::new(&mut *to).poll_write(context, server.output())
        })
        .await?;
        let mut server = self.server.borrow_mut();
        server.sent(sent);
        if !server.is_full() {
            self.room.notify_waiters();
        }
        Ok(())
    }

    fn receive(&self, bytes: &[u8], hear: &mut impl FnMut(Event)) -> Result<(), banger_ssh::Error> {
        let over = self.server.borrow_mut().receive(bytes);
        loop {
            // Not held while it is heard: answers go to the server.
            let event = self.server.borrow_mut().next_event();
            match event {
                None => break,
                Some(Event::Data { channel, bytes }) => self.deliver(channel, |inbox| {
                    inbox.queue.borrow_mut().push_back(bytes);
                }),
                Some(Event::Eof { channel }) => self.deliver(channel, |inbox| inbox.ended.set(true)),
                Some(Event::Ready { .. }) => self.room.notify_waiters(),
                Some(Event::Closed { channel }) => {
                    self.deliver(channel, |inbox| inbox.closed.set(true));
                    self.inboxes.borrow_mut().remove(&channel);
                    self.room.notify_waiters();
                    hear(Event::Closed { channel });
                }
                Some(event) => hear(event),
            }
        }
        if !self.server.borrow().is_full() {
            self.room.notify_waiters();
        }
        over
    }

    fn deliver(&self, channel: ChannelId, what: impl FnOnce(&Inbox)) {
        let inbox = self.inboxes.borrow().get(&channel).cloned();
        if let Some(inbox) = inbox {
            what(&inbox);
            inbox.changed.notify_waiters();
        }
    }

    /// The channel of this number, which is in the making.
    pub(super) fn channel(self: &Rc<Self>, id: ChannelId) -> Channel {
        let inbox = Rc::<Inbox>::default();
        self.inboxes.borrow_mut().insert(id, Rc::clone(&inbox));
        Channel(Rc::new(Open {
            link: Rc::clone(self),
            id,
            inbox,
        }))
    }

    /// Opens a channel to the client; nothing when there are too many.
    pub(super) fn open(self: &Rc<Self>, opening: &Opening) -> Option<Channel> {
        let id = self.with(|server| server.open(opening))?;
        Some(self.channel(id))
    }
}

impl Inbox {
    fn close(&self) {
        self.closed.set(true);
        self.changed.notify_waiters();
    }
}

impl Channel {
    /// Says that the client may have it.
    pub(super) fn confirm(&self) {
        self.0.link.with(|server| server.confirm(self.0.id));
    }

    /// Says that the client may not have it, and why.
    pub(super) fn refuse(&self, why: Refusal, words: &str) {
        self.0.link.with(|server| server.refuse(self.0.id, why, words));
    }

    /// The next bytes; none when the client sends no more. Say when they were [`Channel::consumed`].
    pub(super) async fn read(&self) -> Result<Option<Vec<u8>>, Gone> {
        let inbox = &self.0.inbox;
        loop {
            let changed = inbox.changed.notified();
            // What came before the end counts.
            if let Some(bytes) = inbox.queue.borrow_mut().pop_front() {
                return Ok(Some(bytes));
            }
            if inbox.closed.get() {
                return Err(Gone);
            }
            if inbox.ended.get() {
                return Ok(None);
            }
            changed.await;
        }
    }

    /// Lets the client send as many bytes more as these, which are done with.
    pub(super) fn consumed(&self, bytes: Vec<u8>) {
        self.0.link.with(|server| {
            server.consumed(self.0.id, bytes.len());
            server.recycle(bytes);
        });
    }

    /// Returns when the channel is gone.
    pub(super) async fn gone(&self) -> Gone {
        loop {
            let changed = self.0.inbox.changed.notified();
            if self.0.inbox.closed.get() {
                return Gone;
            }
            changed.await;
        }
    }

    /// Sends all of `bytes`, as the client takes them.
    pub(super) async fn write(&self, stream: Stream, mut bytes: &[u8]) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let room = self.0.link.room.notified();
            if self.0.inbox.closed.get() {
                return Err(Gone);
            }
            let written = self.0.link.with(|server| server.write(self.0.id, stream, bytes));
            bytes = &bytes[written.ok_or(Gone)?..];
            if !bytes.is_empty() {
                room.await;
            }
        }
        Ok(())
    }

    /// Says that nothing more is sent.
    pub(super) fn end(&self) {
        self.0.link.with(|server| server.end(self.0.id));
    }

    /// Closes it, whoever else has copies.
    pub(super) fn close(&self) {
        self.0.link.with(|server| server.close(self.0.id));
    }

    /// Says how the command ended.
    pub(super) fn exit(&self, exit: Exit) {
        self.0.link.with(|server| server.exit(self.0.id, exit));
    }

    /// Carries everything between the channel and a stream, until both directions have ended or either broke.
    pub(super) async fn relay(&self, stream: impl AsyncRead + AsyncWrite) {
        let (mut from, mut to) = tokio::io::split(stream);
        let there = async {
            while let Some(bytes) = self.read().await? {
                to.write_all(&bytes).await?;
                self.consumed(bytes);
            }
            to.shutdown().await
        };
        let back = async {
            let mut buffer = vec![0; CHUNK / 2];
            loop {
                let read = from.read(&mut buffer).await?;
                if read == 0 {
                    self.end();
                    return io::Result::Ok(());
                }
                self.write(Stream::Data, &buffer[..read]).await?;
            }
        };
        // That it broke is told by the channel's end.
        let _ = tokio::try_join!(there, back);
    }
}
