//! Replies that switch the protocol of a connection, and the protocols that follow.

use std::marker::PhantomData;

use banger_guest_api::{Control, FilesEnd, HANDED_OVER, Listed, SSH, STDIO_MUX};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use super::reply::Reply;
use crate::openapi::Schemas;

/// Another protocol on the same connection (RFC 9110, section 7.8).
#[derive(Debug)]
pub struct Upgrade<P>(PhantomData<P>);

/// A protocol on a connection to the guest's agent, as a descriptor; or on the same connection, for a client that takes no descriptor.
#[derive(Debug)]
pub struct Handed<P>(PhantomData<P>);

/// A reply after which the connection speaks another protocol.
pub trait Switches: Reply {}

/// One of which a connection to the guest's agent may come as a descriptor.
pub trait HandsOver: Switches {}

impl<P: Protocol> Switches for Upgrade<P> {}

impl<P: Protocol> Switches for Handed<P> {}

impl<P: Protocol> HandsOver for Handed<P> {}

impl HandsOver for Upgrade<HandedOver> {}

/// A protocol that a connection is switched to. `docs/protocol.md` has them.
pub trait Protocol {
    /// What the header `Upgrade` names it.
    const TOKEN: &'static str;

    /// Adds the schemas of its messages, which nothing else of the description refers to.
    fn messages(schemas: &mut Schemas);
}

impl<P: Protocol> Reply for Upgrade<P> {
    const STATUS: u16 = 101;
    const UPGRADES: &'static [&'static str] = &[P::TOKEN];

    fn contents(schemas: &mut Schemas) -> Vec<(&'static str, RefOr<Schema>)> {
        P::messages(schemas);
        Vec::new()
    }

    fn shown() -> String {
        format!("101 `{}`", P::TOKEN)
    }
}

impl<P: Protocol> Reply for Handed<P> {
    const STATUS: u16 = 101;
    const UPGRADES: &'static [&'static str] = &[HandedOver::TOKEN, P::TOKEN];

    fn contents(schemas: &mut Schemas) -> Vec<(&'static str, RefOr<Schema>)> {
        Upgrade::<P>::contents(schemas)
    }

    fn shown() -> String {
        format!("101 `{}`; or 101 `{}`", HandedOver::TOKEN, P::TOKEN)
    }
}

/// Frames of a command.
#[derive(Debug)]
pub struct StdioMux;

impl Protocol for StdioMux {
    const TOKEN: &'static str = STDIO_MUX;

    fn messages(schemas: &mut Schemas) {
        schemas.named::<Control>();
    }
}

/// SSH, the server first (RFC 4253).
#[derive(Debug)]
pub struct Ssh;

impl Protocol for Ssh {
    const TOKEN: &'static str = SSH;

    fn messages(_: &mut Schemas) {}
}

/// A connection to the guest's agent, as a descriptor. Frames of files go over it.
#[derive(Debug)]
pub struct HandedOver;

impl Protocol for HandedOver {
    const TOKEN: &'static str = HANDED_OVER;

    fn messages(schemas: &mut Schemas) {
        schemas.named::<FilesEnd>();
        schemas.named::<Listed>();
    }
}
