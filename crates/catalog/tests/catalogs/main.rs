//! Catalogs on this host's file system: published, pulled, and tampered with.

mod place;
mod publishing;
mod pulling;
