//! What a user is told of a failure beside its message.

use banger_model::{Describe, ErrorCode, InvalidSpec, shell_word};

use banger_forward as forward;

use super::error::Error;

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound { .. } => ErrorCode::NotFound,
            Self::Exists(_) => ErrorCode::AlreadyExists,
            Self::Denied { .. }
            | Self::StillRuns { .. }
            | Self::Unsaved { .. }
            | Self::NotRunning { .. }
            | Self::Paused { .. }
            | Self::DiskInUse(_)
            | Self::NeedsStopped { .. }
            | Self::Gone(_)
            | Self::Disturbed(_) => ErrorCode::WrongPhase,
            Self::Repository(source) => source.code(),
            Self::Shrink { .. }
            | Self::TooLarge { .. }
            | Self::Invalid(_)
            | Self::Allow(_)
            | Self::NoPreset { .. }
            | Self::NoDefault { .. }
            | Self::NoFreeName => ErrorCode::InvalidRequest,
            Self::Network { source, .. } | Self::Detach(source) => source.code(),
            Self::Store { source, .. } => source.code(),
            Self::Kernel { source, .. } => source.code(),
            Self::Unsupported { .. } => ErrorCode::Unsupported,
            Self::Backend(source) => source.code(),
            Self::Database { source, .. } | Self::Forget(source) => source.code(),
            Self::Config(source) => source.code(),
            Self::File { .. } | Self::Disk { .. } | Self::NoSpace { .. } | Self::Random(_) => ErrorCode::Host,
            Self::Machine { .. } | Self::Ended { .. } | Self::Died { .. } => ErrorCode::Vmm,
            Self::Knock { .. } | Self::NoSsh(_) | Self::SshSilent(_) | Self::Cut { .. } => ErrorCode::Guest,
            Self::Silent { .. } => ErrorCode::Timeout,
            Self::Guest { source, .. } => source.code(),
            Self::Forward { source, .. } => source.code(),
            Self::Cancelled(_) => ErrorCode::Cancelled,
            Self::Defect(_) => ErrorCode::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NotFound { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::NotFound { near: None, .. } => "`banger vm list` lists all VMs".to_owned(),
            Self::Exists(name) => format!(
                "choose another name, or remove the existing VM: `banger vm stop {name} && banger vm delete {name}`"
            ),
            Self::StillRuns { name, .. } => format!(
                "stop the VM with `banger vm stop {name}`, or end and delete it with `banger vm delete -f {name}`"
            ),
            Self::Unsaved { name, work } => {
                let path = shell_word(&work.guest_path);
                return vec![
                    format!(
                        "start the VM and pull the work: `banger vm start {name} && banger vm workspace pull {name} {path}`"
                    ),
                    format!("or discard the work: `banger vm delete -f {name}`"),
                ];
            }
            Self::NotRunning { name, .. } => format!("start the VM with `banger vm start {name}`"),
            Self::Paused { name, .. } => {
                return vec![
                    "free space on the file system of VM disks: `banger cache prune` and `banger image prune` remove data \
                     that can be fetched again; the VM then resumes by itself"
                        .to_owned(),
                    format!("or end the VM and lose unwritten data: `banger vm kill {name}`"),
                ];
            }
            Self::NoSpace { .. } => {
                "free space: `banger cache prune` and `banger image prune` remove data that can be fetched again".to_owned()
            }
            Self::DiskInUse(_) => {
                "another banger runs the VM, such as one in a container that shares these files: stop the VM there"
                    .to_owned()
            }
            Self::NeedsStopped { name, .. } => {
                format!("stop the VM first: `banger vm stop {name}`; or add `--restart`, which restarts the VM")
            }
            Self::Disturbed(name) => format!(
                "try again; a guest is paused for a minute at most, so stop the VM first if its disk is large: \
                 `banger vm stop {name}`"
            ),
            Self::NoDefault { kind, present } => no_default(kind, present),
            Self::Allow(_) => {
                "rules are HOST[:PORT], CIDR[:PORT], *.DOMAIN[:PORT], vm:NAME, host:PORT and @PRESET"
                    .to_owned()
            }
            Self::Invalid(InvalidSpec::Rules(_)) => {
                "allow wider blocks, such as 10.0.0.0/8, or names, such as `*.example.org`, which are not counted".to_owned()
            }
            Self::NoPreset { present, .. } if present.is_empty() => {
                "define the preset in config.toml: `[allow]` with `NAME = [\"RULE\", …]`".to_owned()
            }
            Self::NoPreset { present, .. } => format!("available: @{}", present.join(", @")),
            Self::Network {
                name,
                source: banger_hostnet::Error::HostPort { port },
            } => format!("`banger vm forward add {name} --reverse {port}:{port}` reaches the host's 127.0.0.1:{port}"),
            Self::Network { source, .. } | Self::Detach(source) => return source.hints(),
            Self::NoSsh(name) => {
                format!("install an SSH server in the image, or omit `--sshd`: `banger vm ssh {name}` does not need one")
            }
            Self::Silent { name, .. } => {
                format!("`banger vm create --vmm qemu` shows whether VM `{name}` boots under another VMM")
            }
            Self::Unsupported { .. } => {
                "`banger kernel list` and `banger doctor` show what is supported".to_owned()
            }
            Self::Repository(source) => return source.hints(),
            Self::TooLarge { host, .. } => {
                format!("choose a smaller size, such as `--memory {}M`", host.as_mib() / 2)
            }
            Self::Store { source, .. } => return source.hints(),
            Self::Backend(source) => return source.hints(),
            Self::Config(source) => return source.hints(),
            Self::Database { source, .. } | Self::Forget(source) => return source.hints(),
            Self::Machine { source, .. } => return source.hints(),
            Self::Guest { name, source, .. } => return source.hints_for(name.as_str()),
            Self::Forward {
                name,
                source: forward::Error::Silent,
            } => format!("print the guest's console with `banger vm logs {name}`"),
            Self::Forward { source, .. } => return source.hints(),
            _ => return Vec::new(),
        };
        vec![hint]
    }

    fn log(&self) -> Option<String> {
        match self {
            Self::Knock { console, .. }
            | Self::Ended { console, .. }
            | Self::Died { console, .. }
            | Self::Silent { console, .. }
            | Self::Guest { console, .. } => console.clone(),
            Self::Machine { source, .. } => source.log().map(str::to_owned),
            _ => None,
        }
    }
}

fn no_default(kind: &str, present: &[String]) -> String {
    match (kind, present) {
        ("kernel", []) => {
            "import a kernel: `banger kernel import debian --package linux-image-cloud-amd64`".to_owned()
        }
        (_, []) => "import an image: `mmdebstrap --variant=minbase --include=git bookworm - | \
                    banger image import --name debian-bookworm -`"
            .to_owned(),
        (kind, present) => format!(
            "available: {}; specify one with `--{kind}`, or set a default with `banger {kind} default {}`",
            present.join(", "),
            present[0]
        ),
    }
}
