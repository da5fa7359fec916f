//! What a copy is called on the command line, and how far it is. The copying is `banger_transfer`'s.

mod guest;
mod meter;
mod place;

pub(crate) use self::guest::Guest;
pub(crate) use self::meter::Meter;
pub(crate) use self::place::Place;
