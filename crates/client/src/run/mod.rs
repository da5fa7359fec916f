//! What a repository's VM takes beside single requests, for whoever makes one as `banger vm run` does: where the checkout is, what is
//! granted of the repository's wishes, what the checkout needs before it can be worked in, and a VM that goes with its command.

mod bootstrap;
mod held;
mod placement;
mod wishes;

pub use bootstrap::Bootstrap;
pub use held::Held;
pub use placement::{others, reused};
pub use wishes::{Meant, meant, reach, without};
