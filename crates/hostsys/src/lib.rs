//! The host's services that the daemon uses: randomness ([`random`]), the time and its jumps ([`clock`]), that a file
//! has grown ([`follow`]), the host's size, what outlived a daemon ([`orphans`]), and where the programs of this installation lie ([`programs`]).
//!
//! Each is a few system calls and knows nothing of VMs. What opens paths for a VM's sake is `banger-hostfs`.

pub mod clock;
pub mod follow;
pub mod orphans;
pub mod programs;
pub mod random;
mod size;

pub use size::host_size;
