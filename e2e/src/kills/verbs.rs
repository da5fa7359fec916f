//! The verbs in whose middle the daemon is killed.

use std::path::PathBuf;

/// A verb: what is there before it, its command line, and which outcomes are whole.
pub(super) struct Verb {
    pub(super) name: &'static str,
    /// What `vm` is before: nothing, at rest, or running.
    pub(super) before: Before,
    pub(super) args: fn(&Place) -> Vec<String>,
    /// Milliseconds within which the daemon is killed.
    pub(super) within: u64,
    pub(super) after: &'static [After],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    Nothing,
    Stopped,
    Running,
    /// With a workspace, in which the guest has changed files.
    Worked,
    /// With a workspace whose work was brought back.
    Pulled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Gone,
    Stopped,
    Running,
}

/// The files that verbs take.
pub(super) struct Place {
    pub(super) dir: PathBuf,
    pub(super) round: usize,
    /// An image of a registry's.
    pub(super) reference: String,
}

impl Place {
    pub(super) fn at(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

pub(super) const CREATE: &str =
    "vm create --name vm --image busybox --memory 512M --vmm fake --kernel debian --disk-size 256M";

pub(super) const VERBS: &[Verb] = &[
    verb(
        "create",
        Before::Nothing,
        |_| words(CREATE),
        120,
        &[After::Gone, After::Stopped, After::Running],
    ),
    verb(
        "create-no-start",
        Before::Nothing,
        |_| words(&format!("{CREATE} --no-start")),
        40,
        &[After::Gone, After::Stopped],
    ),
    verb(
        "start",
        Before::Stopped,
        |_| words("vm start vm"),
        100,
        &[After::Stopped, After::Running],
    ),
    verb(
        "stop",
        Before::Running,
        |_| words("vm stop vm"),
        100,
        &[After::Stopped, After::Running],
    ),
    verb(
        "kill",
        Before::Running,
        |_| words("vm kill vm"),
        60,
        &[After::Stopped, After::Running],
    ),
    // A stop that was finished without its start would be half a restart.
    verb(
        "restart",
        Before::Running,
        |_| words("vm restart vm"),
        200,
        &[After::Running],
    ),
    verb(
        "delete",
        Before::Running,
        |_| words("vm delete -f vm"),
        80,
        &[After::Gone, After::Running],
    ),
    verb(
        "delete-stopped",
        Before::Stopped,
        |_| words("vm delete vm"),
        50,
        &[After::Gone, After::Stopped],
    ),
    verb(
        "set",
        Before::Stopped,
        |place| {
            words(&format!(
                "vm set vm --disk-size {}M --env A=1",
                256 + 64 * (place.round % 8)
            ))
        },
        40,
        &[After::Stopped],
    ),
    verb(
        "prune",
        Before::Stopped,
        |_| words("vm prune --yes"),
        60,
        &[After::Gone, After::Stopped],
    ),
    verb(
        "commit",
        Before::Stopped,
        |_| words("vm commit --force vm committed"),
        200,
        &[After::Stopped],
    ),
    verb(
        "run-rm",
        Before::Nothing,
        |place| {
            let mut args =
                words("vm run --rm --name vm --image busybox --vmm fake --kernel debian --memory 512M");
            args.extend([
                place.at("nowhere"),
                "--".to_owned(),
                "sleep".to_owned(),
                "0.1".to_owned(),
            ]);
            args
        },
        300,
        &[After::Gone],
    ),
    verb(
        "forward-add",
        Before::Running,
        |place| words(&format!("vm forward add vm {}:80", 20_000 + place.round)),
        40,
        &[After::Running],
    ),
    verb(
        "forward-remove",
        Before::Running,
        |_| words("vm forward remove vm --all"),
        40,
        &[After::Running],
    ),
    verb(
        "session",
        Before::Running,
        |_| words("vm session start vm -- true"),
        60,
        &[After::Running],
    ),
    verb(
        "cp",
        Before::Running,
        |place| words(&format!("vm cp {} vm:/tmp/", place.at("file"))),
        60,
        &[After::Running],
    ),
    verb(
        "sync",
        Before::Running,
        |place| words(&format!("vm sync {} vm:/tmp/synced", place.at("tree"))),
        100,
        &[After::Running],
    ),
    verb(
        "image-import",
        Before::Stopped,
        |place| {
            words(&format!(
                "image import --force --name imported {}",
                place.at("tree")
            ))
        },
        300,
        &[After::Stopped],
    ),
    verb(
        "image-delete",
        Before::Stopped,
        |_| words("image delete imported"),
        40,
        &[After::Stopped],
    ),
    verb(
        "kernel-import",
        Before::Stopped,
        |place| {
            words(&format!(
                "kernel import --force imported --vmlinux {}",
                place.at("vmlinux")
            ))
        },
        60,
        &[After::Stopped],
    ),
    verb(
        "image-pull",
        Before::Stopped,
        |place| {
            words(&format!(
                "image pull --force --name pulled oci-archive:{}",
                place.at("image.tar")
            ))
        },
        400,
        &[After::Stopped],
    ),
    verb(
        "registry-pull",
        Before::Stopped,
        |place| words(&format!("image pull --force --name pulled {}", place.reference)),
        400,
        &[After::Stopped],
    ),
    // The VM that it is built in goes with its command.
    verb(
        "image-build",
        Before::Nothing,
        |place| {
            words(&format!(
                "image build --name built --force --from-image busybox --script {} --kernel debian --memory 512M",
                place.at("script")
            ))
        },
        600,
        &[After::Gone],
    ),
    verb(
        "image-publish",
        Before::Stopped,
        |place| {
            words(&format!(
                "image publish --new-key {} {} busybox",
                place.at(&format!("key-{}", place.round)),
                place.at(&format!("published-{}", place.round))
            ))
        },
        300,
        &[After::Stopped],
    ),
    verb(
        "image-export",
        Before::Stopped,
        |place| {
            words(&format!(
                "image export --force busybox -o {}",
                place.at("exported/image.tar")
            ))
        },
        300,
        &[After::Stopped],
    ),
    verb(
        "image-diff",
        Before::Stopped,
        |_| words("image diff busybox busybox"),
        100,
        &[After::Stopped],
    ),
    verb(
        "kernel-delete",
        Before::Stopped,
        |_| words("kernel rm imported"),
        40,
        &[After::Stopped],
    ),
    verb(
        "workspace-prepare",
        Before::Running,
        |place| words(&format!("vm workspace prepare vm {} --force", place.at("repo"))),
        400,
        &[After::Running],
    ),
    verb(
        "workspace-status",
        Before::Worked,
        |_| words("vm workspace status vm"),
        100,
        &[After::Running],
    ),
    verb(
        "workspace-pull",
        Before::Worked,
        |_| words("vm workspace pull vm"),
        300,
        &[After::Running],
    ),
    verb(
        "workspace-apply",
        Before::Pulled,
        |_| words("vm workspace apply vm"),
        200,
        &[After::Running],
    ),
];

const fn verb(
    name: &'static str,
    before: Before,
    args: fn(&Place) -> Vec<String>,
    within: u64,
    after: &'static [After],
) -> Verb {
    Verb {
        name,
        before,
        args,
        within,
        after,
    }
}
