//! Sources and destinations of copies on the command line, and their progress. `banger_transfer` copies.

mod guest;
mod meter;
mod place;

pub(crate) use self::guest::Guest;
pub(crate) use self::meter::Meter;
pub(crate) use self::place::Place;
