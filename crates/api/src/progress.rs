//! What long work says while it goes on.

use banger_model::Stage;
use serde::{Deserialize, Serialize};

use crate::Vm;

/// The name of server-sent events that carry a [`Progress`].
pub const EVENT_PROGRESS: &str = "progress";
/// The name of the last event of work that succeeded; its data is the result.
pub const EVENT_DONE: &str = "done";
/// The name of the last event of work that failed; its data is an [`crate::ErrorBody`].
pub const EVENT_ERROR: &str = "error";

/// One word of progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Progress {
    /// The VM is named and sized; nothing runs yet.
    Planned {
        /// The VM as it will be.
        vm: Box<Vm>,
    },
    /// A stage of a start has ended.
    Stage {
        /// The stage.
        stage: Stage,
        /// How long it took, in microseconds.
        micros: u64,
    },
    /// Work without a stage begins.
    Step {
        /// What is being done, such as `copying the repository`.
        what: String,
    },
    /// Work on bytes goes on.
    Bytes {
        /// What is being done, such as `importing`.
        what: String,
        /// Bytes done.
        done: u64,
        /// Bytes in all, where known.
        total: Option<u64>,
    },
    /// Something worth knowing, such as why a fallback was chosen.
    Note {
        /// One sentence.
        text: String,
    },
}
