//! Secrets: values that are files in the guest's memory, and nowhere else.
//!
//! `PUT /v1/secrets/NAME` with the value as its body makes [`DIR`]`/NAME` of mode 0400. The directory is in memory that is
//! never swapped out where the kernel can promise that. A second value of the same name replaces the first.

use std::fmt;
use std::str::FromStr;

use crate::query::{self, Query, QueryError};

/// Where they are in the guest.
pub const DIR: &str = "/run/banger/secrets";

/// The most bytes of a value.
pub const MAX: usize = 1 << 20;

/// The longest name.
const LONGEST: usize = 64;

/// The name of a secret, which is that of its file: letters, digits, `_`, `-` and `.`, and no `.` or `-` at the beginning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretName(String);

/// A name that no secret can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid secret name `{0}`: use at most 64 letters, digits, `_`, `-` and `.`, as in API_TOKEN")]
pub struct InvalidSecretName(String);

impl SecretName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretName {
    type Err = InvalidSecretName;

    fn from_str(text: &str) -> Result<Self, InvalidSecretName> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let is_name = (1..=LONGEST).contains(&text.len())
            && text.chars().all(is_plain)
            && !text.starts_with(['.', '-']);
        match is_name {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidSecretName(text.chars().take(LONGEST).collect())),
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The query of such a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PutSecret {
    /// Who may read it beside root, as [`crate::Exec::user`] names them; root alone when absent.
    pub user: Option<String>,
}

impl PutSecret {
    /// It as a query.
    pub fn to_query(&self) -> String {
        let user = self.user.iter();
        user.fold(Query::default(), |query, user| query.add("user", user.as_bytes()))
            .end()
    }

    /// Reads it from a query.
    ///
    /// # Errors
    /// When the query has anything else.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut put = Self::default();
        for pair in query::pairs(text) {
            match pair? {
                ("user", user) => {
                    let user = String::from_utf8(user).map_err(|_| QueryError::Value("user"))?;
                    put.user = Some(user);
                }
                (other, _) => return Err(QueryError::Unknown(other.to_owned())),
            }
        }
        Ok(put)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_of_a_file_in_the_directory() {
        for name in ["API_TOKEN", "a", "npm.token", "key-2", "2"] {
            assert!(name.parse::<SecretName>().is_ok(), "{name}");
        }
        let long = "x".repeat(65);
        for name in ["", ".", "..", ".hidden", "a/b", "-x", "a b", "ä", "a\0", &long] {
            assert!(name.parse::<SecretName>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_query_names_its_reader() {
        for user in [None, Some("web:1000".to_owned()), Some("a b&c".to_owned())] {
            let put = PutSecret { user };
            assert_eq!(PutSecret::parse(&put.to_query()), Ok(put));
        }
        assert!(PutSecret::parse("mode=777").is_err());
    }
}
