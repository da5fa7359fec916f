//! Query strings whose values are any bytes: percent-encoded as RFC 3986, section 2.1, has it.

/// A query in the making.
#[derive(Debug, Default)]
pub(crate) struct Query(String);

impl Query {
    /// Adds a value.
    pub(crate) fn add(mut self, name: &str, value: &[u8]) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(&encoded(value));
        self
    }

    /// Adds `name=true` if it is.
    pub(crate) fn flag(self, name: &str, value: bool) -> Self {
        if value { self.add(name, b"true") } else { self }
    }

    pub(crate) fn end(self) -> String {
        self.0
    }
}

/// A query is not what the route takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The route has no such value.
    #[error("the query has `{0}`, which this route does not know")]
    Unknown(String),
    /// A value is not percent-encoded.
    #[error("`{0}` in the query is not percent-encoded")]
    Encoding(String),
    /// A value is not of its kind.
    #[error("`{0}` in the query has a wrong value")]
    Value(&'static str),
    /// A value is missing.
    #[error("the query has no `{0}`")]
    Missing(&'static str),
}

/// The names and values of a query, in order.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = Result<(&str, Vec<u8>), QueryError>> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = decoded(value).ok_or_else(|| QueryError::Encoding(pair.to_owned()))?;
        Ok((name, decoded))
    })
}

/// Percent-encodes all but unreserved characters and slashes.
pub fn encoded(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Undoes percent-encoding.
pub fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digits = digits.iter().map(|&digit| char::from(digit).to_digit(16));
        bytes.push(
            digits
                .into_iter()
                .try_fold(0, |value, digit| Some(value * 16 + digit? as u8))?,
        );
        rest = after;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let text = encoded(&bytes);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(decoded(&text), Some(bytes));
        }
    }

    #[test]
    fn what_is_no_escape_is_refused() {
        for bad in ["%", "%4", "%G0"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }
}
