//! The names of files by which a repository asks for something.

/// banger's own file.
pub(super) const OWN: &str = "banger.toml";

/// Where a development container is described (containers.dev, "Reference", `devcontainer.json`).
pub(super) const CONTAINER: [&str; 2] = [".devcontainer/devcontainer.json", ".devcontainer.json"];

/// Files in which a repository names its tools, as mise and its kin read them.
pub(super) const TOOLS: [&str; 8] = [
    "mise.toml",
    ".mise.toml",
    ".tool-versions",
    ".nvmrc",
    ".node-version",
    ".python-version",
    "rust-toolchain.toml",
    "go.mod",
];
