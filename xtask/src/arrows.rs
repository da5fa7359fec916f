//! The direction of dependencies between the workspace's crates, as ARCHITECTURE.md draws it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::repository;

/// Which crates of the workspace a crate may use, tests included.
const ALLOWED: &[(&str, &[&str])] = &[
    ("banger-model", &[]),
    ("banger-guest-api", &[]),
    ("banger-wire", &["banger-guest-api"]),
    ("banger-inode", &[]),
    ("banger-hostfs", &[]),
    ("banger-archive", &["banger-hostfs", "banger-inode"]),
    ("banger-ext4", &["banger-inode"]),
    ("banger-netlink", &[]),
    ("banger-logins", &[]),
    ("banger-api", &["banger-guest-api", "banger-model"]),
    ("banger-store", &["banger-model"]),
    ("banger-bounded", &["banger-model"]),
    ("banger-fetch", &["banger-model"]),
    (
        "banger-oci",
        &[
            "banger-bounded",
            "banger-fetch",
            "banger-logins",
            "banger-model",
            "banger-store",
        ],
    ),
    (
        "banger-kernel",
        &["banger-archive", "banger-bounded", "banger-model", "banger-store"],
    ),
    (
        "banger-image",
        &[
            "banger-archive",
            "banger-bounded",
            "banger-ext4",
            "banger-hostfs",
            "banger-model",
            "banger-oci",
            "banger-store",
        ],
    ),
    (
        "banger-catalog",
        &[
            "banger-bounded",
            "banger-fetch",
            "banger-image",
            "banger-kernel",
            "banger-model",
            "banger-oci",
            "banger-store",
        ],
    ),
    ("banger-vmm", &["banger-model", "banger-wire"]),
    ("banger-confined", &["banger-model", "banger-cases"]),
    ("banger-caller", &[]),
    (
        "banger-git",
        &[
            "banger-caller",
            "banger-cases",
            "banger-confined",
            "banger-hostfs",
            "banger-model",
        ],
    ),
    ("banger-hostsys", &["banger-model"]),
    (
        "banger-hostnet",
        &[
            "banger-api",
            "banger-dns",
            "banger-guest-api",
            "banger-hostsys",
            "banger-model",
            "banger-netplan",
            "banger-root",
            "banger-vmm",
        ],
    ),
    ("banger-request", &["banger-api", "banger-caller", "banger-model"]),
    (
        "banger-guest-link",
        &[
            "banger-guest-api",
            "banger-hostsys",
            "banger-model",
            "banger-wire",
        ],
    ),
    (
        "banger-forward",
        &[
            "banger-api",
            "banger-guest-api",
            "banger-guest-link",
            "banger-model",
        ],
    ),
    (
        "banger-workspace",
        &[
            "banger-api",
            "banger-caller",
            "banger-confined",
            "banger-git",
            "banger-guest-api",
            "banger-guest-link",
            "banger-hostfs",
            "banger-hostsys",
            "banger-model",
            "banger-request",
            "banger-wire",
        ],
    ),
    (
        "banger-identity",
        &[
            "banger-api",
            "banger-archive",
            "banger-git",
            "banger-guest-api",
            "banger-guest-link",
            "banger-hostfs",
            "banger-model",
            "banger-request",
        ],
    ),
    (
        "banger-worker",
        &[
            "banger-api",
            "banger-confined",
            "banger-image",
            "banger-kernel",
            "banger-model",
            "banger-oci",
            "banger-request",
        ],
    ),
    (
        "banger-root",
        &["banger-model", "banger-netlink", "banger-netplan"],
    ),
    ("banger-netplan", &["banger-model"]),
    (
        "banger-settings",
        &[
            "banger-api",
            "banger-catalog",
            "banger-dns",
            "banger-fetch",
            "banger-guest-api",
            "banger-hostfs",
            "banger-hostsys",
            "banger-identity",
            "banger-model",
            "banger-oci",
            "banger-request",
        ],
    ),
    ("banger-state", &["banger-model"]),
    ("banger-dns", &["banger-model"]),
    ("banger-ssh", &[]),
    (
        "banger-vsock-agent",
        &[
            "banger-archive",
            "banger-guest-api",
            "banger-hostfs",
            "banger-netlink",
            "banger-ssh",
        ],
    ),
    (
        "banger-backends",
        &[
            "banger-hostsys",
            "banger-kernel",
            "banger-model",
            "banger-state",
            "banger-vmm",
        ],
    ),
    ("banger-keys", &["banger-api", "banger-hostsys", "banger-model"]),
    (
        "banger-core",
        &[
            "banger-api",
            "banger-backends",
            "banger-forward",
            "banger-git",
            "banger-guest-api",
            "banger-guest-link",
            "banger-hostnet",
            "banger-hostsys",
            "banger-identity",
            "banger-image",
            "banger-kernel",
            "banger-keys",
            "banger-model",
            "banger-netplan",
            "banger-request",
            "banger-settings",
            "banger-state",
            "banger-vmm",
            "banger-worker",
            "banger-workspace",
        ],
    ),
    (
        "banger-stores",
        &[
            "banger-api",
            "banger-catalog",
            "banger-core",
            "banger-fetch",
            "banger-image",
            "banger-kernel",
            "banger-model",
            "banger-oci",
            "banger-request",
            "banger-settings",
            "banger-store",
            "banger-worker",
        ],
    ),
    (
        "bangerd",
        &[
            "banger-api",
            "banger-backends",
            "banger-caller",
            "banger-core",
            "banger-forward",
            "banger-git",
            "banger-guest-api",
            "banger-guest-link",
            "banger-hostnet",
            "banger-hostsys",
            "banger-image",
            "banger-kernel",
            "banger-keys",
            "banger-model",
            "banger-request",
            "banger-settings",
            "banger-state",
            "banger-stores",
            "banger-vmm",
            "banger-worker",
            "banger-workspace",
        ],
    ),
    (
        "banger-client",
        &["banger-api", "banger-guest-api", "banger-model", "banger-wire"],
    ),
    (
        "banger-transfer",
        &[
            "banger-archive",
            "banger-git",
            "banger-guest-api",
            "banger-hostfs",
            "banger-model",
            "banger-wire",
        ],
    ),
    ("banger-service", &["banger-api", "banger-client", "banger-model"]),
    (
        "banger-command",
        &["banger-api", "banger-client", "banger-logins", "banger-model"],
    ),
    (
        "banger-cli-stores",
        &["banger-api", "banger-client", "banger-command", "banger-model"],
    ),
    (
        "banger",
        &[
            "banger-api",
            "banger-archive",
            "banger-cli-stores",
            "banger-client",
            "banger-command",
            "banger-hostfs",
            "banger-model",
            "banger-service",
            "banger-transfer",
            "banger-wire",
        ],
    ),
    // Outside the crates, nothing is used by anything that ships.
    ("banger-cases", &[]),
    ("banger-needs", &[]),
    (
        "banger-e2e",
        &["banger-api", "banger-cases", "banger-model", "banger-needs"],
    ),
    (
        "xtask",
        &[
            "banger-api",
            "banger-cases",
            "banger-dns",
            "banger-e2e",
            "banger-ext4",
            "banger-guest-api",
            "banger-model",
            "banger-needs",
            "banger-settings",
        ],
    ),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Set for dependencies inside the repository only.
    path: Option<String>,
    /// `dev` for what only tests use.
    #[serde(default)]
    kind: Option<String>,
}

impl Dependency {
    /// Whether this is the record of attack cases or what tests need of the host, which the tests of every crate use.
    fn is_for_tests(&self) -> bool {
        ["banger-cases", "banger-needs"].contains(&&*self.name) && self.kind.as_deref() == Some("dev")
    }
}

/// Fails with every arrow that ARCHITECTURE.md does not draw.
pub(crate) fn check() -> Result<()> {
    let output = repository::cargo()
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .output()
        .context("failed to run `cargo metadata`")?;
    ensure!(
        output.status.success(),
        "`cargo metadata` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("failed to read the output of `cargo metadata`")?;
    let wrong = wrong_arrows(&metadata);
    if wrong.is_empty() {
        println!(
            "arrows: {} crates, every dependency as drawn",
            metadata.packages.len()
        );
        return Ok(());
    }
    bail!(
        "dependencies that ARCHITECTURE.md does not allow:\n  {}",
        wrong.join("\n  ")
    )
}

fn wrong_arrows(metadata: &Metadata) -> Vec<String> {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let Some(may_use) = allowed.get(package.name.as_str()) else {
            wrong.push(format!(
                "{} is not in the table of xtask/src/arrows.rs",
                package.name
            ));
            continue;
        };
        let inside = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.path.is_some() && !dependency.is_for_tests());
        for dependency in inside.filter(|dependency| !may_use.contains(&dependency.name.as_str())) {
            wrong.push(format!("{} -> {}", package.name, dependency.name));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, uses: &[&str]) -> Package {
        let dependencies = uses
            .iter()
            .map(|name| Dependency {
                name: (*name).to_owned(),
                path: Some("/somewhere".to_owned()),
                kind: None,
            })
            .collect();
        Package {
            name: name.to_owned(),
            dependencies,
        }
    }

    #[test]
    fn this_workspace_keeps_its_arrows() {
        check().unwrap();
    }

    #[test]
    fn a_wrong_arrow_and_an_unknown_crate_are_named() {
        let metadata = Metadata {
            packages: vec![
                package("banger-vmm", &["banger-model", "bangerd"]),
                package("banger-new", &[]),
            ],
        };
        assert_eq!(
            wrong_arrows(&metadata),
            [
                "banger-vmm -> bangerd",
                "banger-new is not in the table of xtask/src/arrows.rs"
            ]
        );
    }
}
