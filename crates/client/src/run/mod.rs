//! What a repository's VM takes beside single requests, for whoever makes one as `banger vm run` does: where the checkout is,
//! how far its preparation is, and a VM that goes with its command.

mod bootstrap;
mod held;
mod placement;

pub use bootstrap::Bootstrap;
pub use held::Held;
pub use placement::{others, reused};
