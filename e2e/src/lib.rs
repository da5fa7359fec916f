//! What the stories of `tests/` are told with: the real programs in a home of their own, and guests that really boot.

mod backend;
pub mod bombs;
pub mod frames;
mod home;
mod hosted;
pub mod hostile;
mod internet;
pub mod kills;
pub mod last_words;
mod mirror;
pub mod npm;
mod output;
pub mod packages;
mod processes;
pub mod python;
mod registry;
mod repository;
mod server;
mod ssh;
mod store;
mod terminal;
mod uplink;
mod user;

pub use backend::{Backend, program_absence, root_absence};
pub use home::{HUNG, Home};
pub use hosted::Hosted;
pub use internet::{Internet, SITE6, SITES};
pub use mirror::lay_mirror;
pub use output::Output;
pub use registry::{OciImage, PASSWORD, Registry, USER};
pub use repository::{committed, git, repository};
pub use server::{Server, Trick};
pub use ssh::Ssh;
pub use store::{Image, VARIABLE, fill_with_busybox, scratch};
pub use terminal::Terminal;
pub use uplink::Uplink;
