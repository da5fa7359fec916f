//! A tree goes through an archive and comes back equal; an archive that lies leaves nothing outside.

mod both;
mod random;
mod unpacking;
