//! Query strings whose values are any bytes: percent-encoded as RFC 3986, section 2.1, has it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

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
    #[error("unknown query parameter `{0}`")]
    Unknown(String),
    /// A value is not percent-encoded.
    #[error("query parameter `{0}` is not percent-encoded")]
    Encoding(String),
    /// A value is not of its kind.
    #[error("invalid value of query parameter `{0}`")]
    Value(&'static str),
    /// A value is missing.
    #[error("missing query parameter `{0}`")]
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

/// All but unreserved characters (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The same but slashes, which mean nothing in a query.
const RESERVED_IN_QUERY: &AsciiSet = &RESERVED.remove(b'/');

/// Percent-encodes all but unreserved characters and slashes.
pub fn encoded(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED_IN_QUERY).to_string()
}

/// A segment of a path, percent-encoded: one with a slash would lead elsewhere.
pub fn segment(text: &str) -> String {
    percent_encode(text.as_bytes(), RESERVED).to_string()
}

/// Undoes percent-encoding; nothing for what is none.
pub fn decoded(text: &str) -> Option<Vec<u8>> {
    // Where no escape follows, the library takes the percent sign as it is.
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let is_encoded = text.split('%').skip(1).all(is_escape);
    is_encoded.then(|| percent_decode_str(text).collect())
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
        for bad in ["%", "%4", "%G0", "a%%41", "%+1", "%4é"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
        assert_eq!(decoded("%2f%2F+é"), Some("//+é".into()));
    }

    #[test]
    fn a_slash_stays_in_its_segment() {
        assert_eq!(encoded(b"/a b\xff~"), "/a%20b%FF~");
        assert_eq!(segment("../a b"), "..%2Fa%20b");
    }
}
