//! Who makes the network.

use serde::Deserialize;

/// What a user says of who makes it: `network` in config.toml.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetworkChoice {
    /// By the root helper where there is one, else in namespaces of the user's own for VMs that reach something, else none.
    #[default]
    Auto,
    /// By the root helper; VMs do not start without it.
    Helper,
    /// In namespaces of the user's own; VMs do not start without them.
    Rootless,
    /// None.
    Off,
}
