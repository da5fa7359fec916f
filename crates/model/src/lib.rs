//! The values and decisions that every part of banger shares.
//!
//! Nothing here reads a clock, a file or a socket, or starts a process: what goes in is data, what comes out is
//! data or a refusal. That is why all of it can be tested by properties.

mod counted;
mod defaults;
mod describe;
mod error;
mod forward;
mod id;
mod image;
mod intent;
mod lifecycle;
mod name;
pub mod network;
mod printable;
mod shell;
mod size;
mod spec;
mod stage;
mod suspicion;
mod tail;

pub use counted::counted;
pub use defaults::{HostSize, VmDefaults};
pub use describe::{Describe, Described, Description, body, chain, sources};
pub use error::{ErrorBody, ErrorCode};
pub use forward::{
    Forward, InvalidForward, LOOPBACK, MAX_FORWARDS, Protocol, Publish, Reverse, validate_forwards,
};
pub use id::{ParseVmIdError, VmId};
pub use image::{Aspect, Compression, DifferenceKind, ImageConfig, ImageOrigin};
pub use intent::{Finish, Intent, Left, finish};
pub use lifecycle::{Denied, Event, Phase};
pub use name::{CatalogName, ImageName, InvalidName, KernelName, VmName};
pub use printable::{is_printable, printable, printable_bytes, printable_json};
pub use shell::shell_word;
pub use size::{ByteSize, ParseSizeError};
pub use spec::{InvalidSpec, ShapedBy, VmSpec, VmmChoice, VmmKind, WaitFor};
pub use stage::Stage;
pub use suspicion::suspicion;
pub use tail::{last_lines, log_tail};
