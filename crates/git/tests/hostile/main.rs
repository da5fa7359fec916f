//! Repositories that bring their own git directory: what in them would lead git elsewhere is refused, and what is legitimate
//! works.

mod directories;
mod keys;
mod pipes;
mod place;
mod references;
