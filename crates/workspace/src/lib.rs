//! Workspaces: git checkouts of the host, placed in guests, and the work that comes back.
//!
//! | | |
//! |---|---|
//! | out | `plan` decides which files go, `snapshot` makes a commit of them, `history` says which commits go along, `checkout` makes the guest's repository of that, `delta` compares with what the guest has, `stream` sends |
//! | back | `remote` runs git in the guest, `quarantine` takes what it sends apart from the user's repository, `pull` moves it over when it is whole, as `packs` |
//!
//! Nothing here writes to the user's repository but `quarantine`, which adds objects (`packs`), and references below `refs/banger`.
//!
//! A guest is used through the trait [`Guest`](banger_guest_link::Guest), so this crate can run on another host than the guest. A
//! [`Place`] has all values that it needs: it reads no configuration and no database and knows no VM. [`Records`] are files that
//! record what was placed.

mod apply;
mod blocking;
mod checkout;
mod chosen;
mod delta;
mod error;
mod filters;
mod guest_error;
mod has;
mod history;
mod ignore;
mod inspect;
mod listing;
mod names;
mod packs;
mod patch;
mod place;
mod placed;
mod plan;
mod planned;
mod prepare;
mod preview;
mod pull;
mod quarantine;
mod remote;
mod report;
mod room;
#[cfg(test)]
mod rounds;
mod second_look;
mod settings;
mod snapshot;
mod source;
mod source_error;
mod stage;
mod started;
mod stream;
mod target;
#[cfg(test)]
mod testing;
mod told;

pub use apply::apply;
pub use chosen::chosen;
pub use error::Error;
pub use guest_error::GuestError;
pub use inspect::{status, unsaved};
pub use patch::patch;
pub use place::Place;
pub use placed::{Record, Records};
pub use prepare::prepare;
pub use preview::preview;
pub use pull::pull;
pub use source_error::SourceError;
pub use stage::clear;
pub use started::started;
pub use target::Target;
