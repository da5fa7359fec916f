//! What a VM may reach, as a user says it.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::super::{InvalidRules, MAX_RULES, NetMode};
use super::Allow;

/// A text that is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown network mode `{0}`: expected off, nat, allow or learn")]
pub struct ParseNetModeError(String);

impl FromStr for NetMode {
    type Err = ParseNetModeError;

    fn from_str(text: &str) -> Result<Self, ParseNetModeError> {
        [Self::Off, Self::Nat, Self::Allow, Self::Learn]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| ParseNetModeError(text.to_owned()))
    }
}

/// What a VM may reach, as its user says it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Policy {
    /// How much.
    pub mode: NetMode,
    /// What beside that, in every mode but `Off`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Allow>,
}

impl Policy {
    /// Checks that the packet filter takes as many rules. Names of hosts are no rules of its.
    ///
    /// # Errors
    /// There are more.
    pub fn validate(&self) -> Result<(), InvalidRules> {
        let is_number = |allow: &&Allow| !matches!(allow, Allow::Name { .. } | Allow::Under { .. });
        let count = self.allow.iter().filter(is_number).collect::<BTreeSet<_>>().len();
        match count > MAX_RULES {
            true => Err(InvalidRules::TooMany(count)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_rules_than_the_filter_takes_are_refused_and_names_are_none_of_them() {
        let numbers = |count: usize| (0..count).map(|nth| format!("0.0.0.0/0:{}", nth + 1));
        let all = |count| numbers(count).chain((0..500).map(|nth| format!("x{nth}.org")));
        let of = |count| Policy {
            mode: NetMode::Nat,
            allow: all(count).map(|text| text.parse().unwrap()).collect(),
        };
        assert_eq!(of(MAX_RULES).validate(), Ok(()));
        let error = of(MAX_RULES + 1).validate().unwrap_err().to_string();
        assert_eq!(error, "257 network rules are too many: a VM can have at most 256");
    }
}
