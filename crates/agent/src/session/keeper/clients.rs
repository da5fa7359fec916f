//! A keeper's clients: who may write, and what each is sent.

use std::os::fd::OwnedFd;

use banger_guest_api::{
    Control, Exec, Failure, FailureCode, Session, SessionInput, SessionOutput, SessionState, SessionStream,
    TerminalSize, Writing,
};

use super::Keeper;
use crate::failure::refused;
use crate::session::client::{Client, Wish};

/// The byte that ends input on a terminal in its usual mode: Ctrl-D.
const END_OF_INPUT: u8 = 4;

/// Pieces that a client gets before the others have their turn, if it is quick.
const PIECES: usize = 4;

impl Keeper {
    /// Serves a client from here on.
    pub(super) fn serve(&mut self, connection: OwnedFd, stream: &SessionStream, sent: &[u8]) {
        let _ = rustix::io::ioctl_fionbio(&connection, true);
        let mut client = Client::new(connection, stream, sent, &self.log);
        if let Err(failure) = self.may_write(stream.input) {
            client.refuse(failure);
        } else {
            if let Some(pid) = self.session.pid {
                client.tell(&Control::Started { pid });
            }
            if stream.input != Writing::No {
                self.resize(stream.size);
            }
            if stream.output == SessionOutput::Live {
                let painted = match &self.screen {
                    _ if stream.since.is_some() => None,
                    Some(screen) => Some(screen.paint()),
                    None => self.place.screen(),
                };
                match painted {
                    Some(painted) => client.show(&painted, self.log.end()),
                    None => client.tell_place(),
                }
            }
        }
        self.clients.push(client);
    }

    /// Lets a client write as it wants to, if the others that do agree.
    fn may_write(&mut self, wanted: Writing) -> Result<(), Failure> {
        if wanted == Writing::No {
            return Ok(());
        }
        if !self.is_live() {
            return Err(refused("the session has ended and does not accept input"));
        }
        let takes_input = self.recipe.as_ref().is_some_and(|recipe| {
            let Exec { tty, .. } = &recipe.start.exec;
            tty.is_some() || recipe.start.stdin == SessionInput::Pipe
        });
        if !takes_input {
            return Err(refused(
                "the session does not accept input: it was started with its standard input closed",
            ));
        }
        let writers = self
            .clients
            .iter_mut()
            .filter(|client| client.writes != Writing::No);
        for writer in writers {
            match (wanted, writer.writes) {
                (Writing::Shared, Writing::Shared) => {}
                (Writing::Instead, _) => {
                    writer.refuse(taken("another client writes in the place of this one"))
                }
                _ => return Err(taken("another client is attached and writes to the session")),
            }
        }
        Ok(())
    }

    fn resize(&mut self, size: Option<TerminalSize>) {
        let (Some(screen), Some(size)) = (&mut self.screen, size) else {
            return;
        };
        screen.resize(size);
        if let Some(command) = &self.command {
            command.resize(size);
        }
        // One that is started again has the size that it had last.
        if let Some(tty) = self
            .recipe
            .as_mut()
            .and_then(|recipe| recipe.start.exec.tty.as_mut())
        {
            tty.size = size;
        }
    }

    /// Does what clients want.
    pub(super) fn hear_clients(&mut self) {
        for index in 0..self.clients.len() {
            let end = self.log.end();
            while let Some(wish) = self.clients[index].next_wish(end) {
                match wish {
                    Wish::Resize(size) => self.resize(Some(size)),
                    Wish::Signal(signal) => drop(self.signal(signal)),
                    Wish::Input => self.give_input(),
                }
            }
        }
    }

    /// Gives the command input of clients, one client's after another's.
    pub(super) fn give_input(&mut self) {
        let is_over = !self.is_live();
        let senders = self.clients.iter_mut().filter(|client| client.has_input());
        let Some(command) = &mut self.command else {
            if is_over {
                senders.for_each(|client| {
                    client.refuse(refused("the session has ended and does not accept input"))
                });
            }
            return;
        };
        for client in senders {
            let Some(input) = &command.input else {
                client.refuse(refused("the session no longer reads its input"));
                continue;
            };
            if !client.give(input) {
                command.input = None;
                client.refuse(refused("the session no longer reads its input"));
            } else if client.take_end_of_input() {
                if self.session.tty {
                    let _ = rustix::io::write(input, &[END_OF_INPUT]);
                } else {
                    command.input = None;
                }
            }
        }
    }

    pub(super) fn send_to_clients(&mut self) {
        let is_over = !self.is_live();
        for client in &mut self.clients {
            for _ in 0..PIECES {
                client.prepare(&self.log, self.screen.as_ref());
                client.send();
            }
            if is_over && client.is_waiting_for_the_end() && client.has_all(&self.log) {
                client.dismiss(&last_word(&self.session));
                client.send();
            }
        }
    }
}

/// A refusal to write, as another client does.
fn taken(what: &str) -> Failure {
    Failure {
        code: Some(FailureCode::WrittenByAnother),
        ..refused(what)
    }
}

/// How a session ended, for its clients.
fn last_word(session: &Session) -> Control {
    match session.exit {
        Some(status) if session.state == SessionState::Exited => Control::Exit { status },
        _ => Control::Error {
            failure: refused("the session was lost: the VM ended, or the session's keeper was killed"),
            exit_code: 125,
        },
    }
}
