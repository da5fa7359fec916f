//! The settings of a VM as TOML that a person edits, and the change that an edited text asks for.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use banger_api::{Vm, VmSet};
use banger_model::network::NetMode;
use banger_model::{ByteSize, KernelName, VmmChoice};
use serde::{Deserialize, Deserializer};

/// Begins the lines above a text that was refused, with the reason.
const REFUSAL: &str = "#! ";

/// What is wrong with an edited text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub(super) struct Mistake {
    line: usize,
    message: String,
}

/// The text. A setting whose line was removed stays as it is; rules, variables and labels that were removed are removed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    vcpus: Option<u32>,
    memory: Option<ByteSize>,
    disk_size: Option<ByteSize>,
    vmm: Option<VmmChoice>,
    kernel: Option<KernelName>,
    net: Option<NetMode>,
    #[serde(default)]
    allow: Vec<String>,
    identity: Option<bool>,
    #[serde(default)]
    env: BTreeMap<String, Value>,
    #[serde(default)]
    labels: BTreeMap<String, Value>,
}

/// The value of a variable or a label: a text, and not empty, because an empty one removes it.
#[derive(Debug)]
struct Value(String);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text,
            value @ (toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_)) => {
                value.to_string()
            }
            _ => return Err(serde::de::Error::custom("expected a text")),
        };
        Ok(Self(text))
    }
}

/// The settings of a VM as a text with comments.
pub(super) fn of(vm: &Vm) -> String {
    let mut text = format!(
        "# Settings of VM {}, which is {}. Save the file and close the editor to apply changes.\n\
         # An unchanged or empty file changes nothing.\n\n\
         # These change only while the VM is stopped; `banger vm edit {} --restart` stops and starts it.\n",
        vm.name,
        vm.phase.as_str(),
        vm.name,
    );
    let mut line = |value: String, comment: &str| {
        let gap = if comment.is_empty() { "" } else { "  # " };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{value}{gap}{comment}");
    };
    line(format!("vcpus = {}", vm.vcpus), "");
    line(setting("memory", size(vm.memory)), "such as 512M or 4GiB");
    line(setting("disk_size", size(vm.disk_size)), "a disk can only grow");
    line(setting("vmm", vm.vmm.as_str()), "auto, firecracker or qemu");
    line(
        setting("kernel", vm.kernel.as_str()),
        "`banger kernel list` lists them",
    );
    line("\n# These apply immediately.".to_owned(), "");
    line(
        setting("net", vm.network.mode.as_str()),
        "off, nat (public Internet), allow (only the rules) or learn",
    );
    line(
        "# Rules: HOST, CIDR or *.DOMAIN, each with an optional :PORT; vm:NAME, host:PORT or @PRESET"
            .to_owned(),
        "",
    );
    line(setting("allow", vm.network.allow.clone()), "");
    line(
        format!("identity = {}", !vm.anonymous),
        "inject your files and git identity; from the next start on",
    );
    for (title, comment, values) in [
        (
            "env",
            "environment of every command in the VM, such as DEBUG = \"1\"",
            &vm.env,
        ),
        ("labels", "such as team = \"core\"", &vm.labels),
    ] {
        line(format!("\n[{title}]"), comment);
        for (name, value) in values {
            line(setting(name, value.as_str()), "");
        }
    }
    text
}

/// A line of TOML. The name and the value are quoted where TOML needs it.
fn setting(name: &str, value: impl Into<toml::Value>) -> String {
    let table = toml::Table::from_iter([(name.to_owned(), value.into())]);
    table.to_string().trim_end().to_owned()
}

/// A size that is parsed to the same number of bytes.
fn size(size: ByteSize) -> String {
    let text = size.to_string().replace(' ', "");
    match text.parse() == Ok(size) {
        true => text,
        false => format!("{}B", size.as_bytes()),
    }
}

/// Whether nothing but comments is left of a text.
pub(super) fn is_empty(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    lines.all(|line| line.is_empty() || line.starts_with('#'))
}

/// A text that was refused, below the reasons.
pub(super) fn refused(text: &str, reasons: &[String]) -> String {
    let mut all = String::new();
    for line in reasons.iter().flat_map(|reason| reason.lines()) {
        let _ = writeln!(all, "{REFUSAL}{line}");
    }
    all + without_refusal(text)
}

fn without_refusal(mut text: &str) -> &str {
    while let Some((_, rest)) = text
        .split_once('\n')
        .filter(|(line, _)| line.starts_with(REFUSAL.trim_end()))
    {
        text = rest;
    }
    text
}

/// What an edited text changes of a VM; `None` if nothing.
///
/// # Errors
/// When the text is not TOML, or has keys or values that no VM has.
pub(super) fn change(vm: &Vm, text: &str) -> Result<Option<VmSet>, Mistake> {
    let new: Document = toml::from_str(text).map_err(|error| mistake(text, &error))?;
    let emptied = |new: &BTreeMap<String, Value>, old: &BTreeMap<String, String>| {
        let mut empty = new
            .iter()
            .filter(|(name, value)| value.0.is_empty() && old.get(*name).is_none_or(|old| !old.is_empty()));
        empty.next().map(|(name, _)| name.clone())
    };
    if let Some(name) = emptied(&new.env, &vm.env).or_else(|| emptied(&new.labels, &vm.labels)) {
        return Err(Mistake {
            line: line_of(text, &name),
            message: format!("`{name}` is empty: remove its line to remove it"),
        });
    }
    let set = VmSet {
        vcpus: new.vcpus.filter(|vcpus| *vcpus != vm.vcpus),
        memory: new.memory.filter(|memory| *memory != vm.memory),
        disk_size: new.disk_size.filter(|size| *size != vm.disk_size),
        vmm: new.vmm.filter(|vmm| *vmm != vm.vmm),
        kernel: new.kernel.filter(|kernel| *kernel != vm.kernel),
        net: new.net.filter(|net| *net != vm.network.mode),
        allow: (new.allow != vm.network.allow).then_some(new.allow),
        anonymous: new
            .identity
            .map(|identity| !identity)
            .filter(|anonymous| *anonymous != vm.anonymous),
        env: changes(&vm.env, new.env),
        labels: changes(&vm.labels, new.labels),
    };
    Ok((set != VmSet::default()).then_some(set))
}

/// The line and the reason of a parser's refusal.
fn mistake(text: &str, error: &toml::de::Error) -> Mistake {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = text.as_bytes().get(..at).unwrap_or_default();
    Mistake {
        line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
        message: error.message().to_owned(),
    }
}

/// The line that sets a name.
fn line_of(text: &str, name: &str) -> usize {
    let sets = |line: &str| {
        let (key, _) = line.split_once('=').unwrap_or_default();
        key.trim().trim_matches(['"', '\'']) == name
    };
    text.lines().position(sets).map_or(1, |at| at + 1)
}

/// The values to set, and empty ones for what is removed.
fn changes(old: &BTreeMap<String, String>, new: BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    let mut changes: BTreeMap<_, _> = gone.map(|name| (name.clone(), String::new())).collect();
    let changed = new
        .into_iter()
        .filter(|(name, value)| old.get(name) != Some(&value.0));
    changes.extend(changed.map(|(name, value)| (name, value.0)));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm() -> Vm {
        serde_json::from_value(serde_json::json!({
            "id": "0707070707070707", "name": "web", "phase": "running", "image": "debian", "kernel": "debian",
            "vcpus": 2, "memory": 4_u64 << 30, "disk_size": (8_u64 << 30) + 512, "disk_used": 0, "vmm": "auto",
            "machine": null, "env": { "DEBUG": "1", "odd": "a\"b\n# c" }, "labels": { "example.org/team": "core" },
            "network": { "mode": "allow", "allow": ["*.example.org", "vm:db"] },
            "created": "2026-11-30T14:05:09Z", "last_error": null
        }))
        .unwrap()
    }

    fn changed(edit: impl Fn(&str) -> String) -> Result<Option<VmSet>, String> {
        let text = of(&vm());
        let edited = edit(&text);
        assert_ne!(text, edited, "the edit changes the text");
        change(&vm(), &edited).map_err(|mistake| mistake.to_string())
    }

    #[test]
    fn a_vm_is_a_text_with_comments() {
        insta::assert_snapshot!(of(&vm()));
        assert_eq!(change(&vm(), &of(&vm())), Ok(None));
        assert!(!is_empty(&of(&vm())) && is_empty("# a\n\n  # b\n"));
    }

    #[test]
    fn only_what_was_edited_is_set() {
        let set = |edit: &dyn Fn(&str) -> String| changed(edit).unwrap().unwrap();
        let memory = set(&|text| text.replace("\"4GiB\"", "\"6G\""));
        assert_eq!(
            memory,
            VmSet {
                memory: Some(ByteSize::gib(6)),
                ..VmSet::default()
            }
        );
        let removed = set(&|text| text.replace("DEBUG = \"1\"", "").replace("\"core\"", "7"));
        assert_eq!(removed.env, BTreeMap::from([("DEBUG".to_owned(), String::new())]));
        assert_eq!(
            removed.labels,
            BTreeMap::from([("example.org/team".to_owned(), "7".to_owned())])
        );
        let closed = set(&|text| text.replace("[\"*.example.org\", \"vm:db\"]", "[]"));
        assert_eq!((closed.allow, closed.net), (Some(Vec::new()), None));
        // A line that is gone leaves its setting.
        assert_eq!(changed(|text| text.replace("vcpus = 2\n", "")), Ok(None));
    }

    #[test]
    fn a_mistake_has_its_line() {
        let refused = |old: &str, new: &str| changed(|text| text.replace(old, new)).unwrap_err();
        insta::assert_snapshot!(
            [
                refused("vcpus = 2", "vcpus = two"),
                refused("\"4GiB\"", "\"4 apples\""),
                refused("vcpus = 2", "cpus = 2"),
                refused("\"allow\"", "\"some\""),
                refused("DEBUG = \"1\"", "DEBUG = \"\""),
                refused("DEBUG = \"1\"", "DEBUG = [1]"),
            ]
            .join("\n")
        );
    }

    #[test]
    fn the_reasons_of_a_refusal_stand_above_the_text_once() {
        let text = of(&vm());
        let once = refused(&text, &["failed".to_owned(), "line 3: a\nb".to_owned()]);
        assert!(
            once.starts_with("#! failed\n#! line 3: a\n#! b\n# Settings"),
            "{once}"
        );
        assert_eq!(refused(&once, &[]), text);
    }
}
