//! Names that people give to VMs, images and kernels.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that breaks the rule of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid name `{name}` for {kind}: use {rule}")]
pub struct InvalidName {
    name: String,
    kind: &'static str,
    rule: &'static str,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $rule:expr, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if $check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidName { name: text.to_owned(), kind: $kind, rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type!(
    /// The name of a VM: one label of a host name (RFC 1123), because the guest takes it as its own.
    VmName,
    "a VM",
    "up to 63 lower-case letters, digits and inner hyphens",
    is_host_label
);
name_type!(
    /// The name of an image in the store, such as `debian-bookworm`.
    ImageName,
    "an image",
    ARTIFACT_RULE,
    is_artifact_name
);
name_type!(
    /// The name of a kernel in the store, such as `debian-6.1`.
    KernelName,
    "a kernel",
    ARTIFACT_RULE,
    is_artifact_name
);

name_type!(
    /// What a user calls a catalog.
    CatalogName,
    "a catalog",
    ARTIFACT_RULE,
    is_artifact_name
);

const ARTIFACT_RULE: &str =
    "up to 128 letters, digits, and inner `.`, `_` and `-`, beginning with a letter or digit";

impl VmName {
    /// A readable name for a VM that was given none, chosen by `seed`, which should be random.
    ///
    /// There are 4,096 of them; a caller that finds one taken tries the next seed.
    pub fn generated(seed: u64) -> Self {
        let pick = |words: &[&'static str; 64], at: u64| words[(at % 64) as usize];
        Self(format!("{}-{}", pick(&ADJECTIVES, seed), pick(&NOUNS, seed / 64)))
    }
}

fn is_host_label(text: &str) -> bool {
    let inner = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_artifact_name(text: &str) -> bool {
    let outer = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=128).contains(&text.len())
        && text.bytes().all(inner)
        && outer(text.bytes().next())
        && outer(text.bytes().last())
}

#[rustfmt::skip]
const ADJECTIVES: [&str; 64] = [
    "able", "agile", "amber", "apt", "bold", "brave", "bright", "brisk", "calm", "clear", "clever", "cosy", "crisp",
    "deft", "eager", "early", "easy", "fair", "fast", "fine", "firm", "fond", "fresh", "gentle", "glad", "golden",
    "grand", "great", "happy", "hardy", "jolly", "keen", "kind", "light", "lively", "lucky", "mellow", "merry",
    "mild", "neat", "nimble", "noble", "patient", "plain", "plucky", "polite", "proud", "quick", "quiet", "rapid",
    "ready", "silent", "sleek", "smart", "smooth", "solid", "spry", "steady", "sunny", "swift", "tidy", "warm",
    "wise", "witty",
];
#[rustfmt::skip]
const NOUNS: [&str; 64] = [
    "alder", "badger", "beacon", "beech", "birch", "bison", "brook", "cedar", "comet", "coral", "crane", "creek",
    "delta", "dune", "ember", "falcon", "fern", "fjord", "forge", "fox", "geyser", "glade", "grove", "harbor",
    "hawk", "heron", "ibex", "iris", "jay", "juniper", "kestrel", "lagoon", "lark", "lynx", "maple", "marten",
    "meadow", "mesa", "moss", "oak", "orchid", "osprey", "otter", "owl", "pebble", "pine", "plover", "puffin",
    "quail", "raven", "reef", "ridge", "river", "robin", "sparrow", "spruce", "stoat", "summit", "swan", "tern",
    "thistle", "walnut", "willow", "wren",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_name_is_a_host_label() {
        for good in ["a", "web-1", "0x", &"a".repeat(63)] {
            assert!(good.parse::<VmName>().is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a.b",
            "a_b",
            "ä",
            "a/b",
            "..",
            &"a".repeat(64),
        ] {
            assert!(bad.parse::<VmName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_artifact_name_is_never_a_path() {
        for good in ["debian-bookworm", "debian-6.1", "A_b.c"] {
            assert!(good.parse::<ImageName>().is_ok(), "{good:?}");
        }
        for bad in ["", ".", "..", "a/b", ".hidden", "a.", "a b", "a\n"] {
            assert!(bad.parse::<KernelName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn generated_names_are_valid_and_differ() {
        let names: std::collections::BTreeSet<_> = (0..4096).map(VmName::generated).collect();
        assert_eq!(names.len(), 4096);
        assert!(names.iter().all(|name| name.as_str().parse::<VmName>().is_ok()));
    }

    #[test]
    fn a_refusal_states_the_rule() {
        let refusal = "My VM".parse::<VmName>().unwrap_err().to_string();
        assert_eq!(
            refusal,
            "invalid name `My VM` for a VM: use up to 63 lower-case letters, digits and inner hyphens"
        );
    }
}
