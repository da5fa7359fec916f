//! The challenges of a `WWW-Authenticate` header (RFC 9110, 11.6.1), read as registries write them: with more than one
//! space or a tab after the scheme, values without the quotes that they need, and commas too many. Clients that read
//! by the letter alone cannot log in there.

/// A challenge: a scheme and its parameters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The first parameter of this name, whatever its case.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }
}

/// The challenges in a header, in its order. What is no part of one is passed over.
pub(crate) fn challenges(text: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        if rest.is_empty() {
            return found;
        }
        let (word, after) = rest.split_at(rest.find(is_end_of_word).unwrap_or(rest.len()));
        let value = after.trim_start().strip_prefix('=');
        match (value, found.last_mut()) {
            (Some(value), Some(challenge)) if !word.is_empty() => {
                let value = value.trim_start();
                let (text, after) = read_value(value);
                challenge.parameters.push((word.to_owned(), text));
                rest = after;
            }
            (None, _) if !word.is_empty() => {
                found.push(Challenge {
                    scheme: word.to_owned(),
                    parameters: Vec::new(),
                });
                rest = after;
            }
            // A value without a name, or a parameter before any scheme.
            _ => {
                rest = rest
                    .get(rest.find([',', ' ']).unwrap_or(rest.len())..)
                    .unwrap_or_default()
            }
        }
    }
}

fn is_end_of_word(c: char) -> bool {
    c.is_ascii_whitespace() || c == ',' || c == '='
}

/// A value, in quotes or without, and what is behind it.
fn read_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        // A token, the rest of base64, or a URL without quotes.
        let end = text
            .find(|c: char| c.is_ascii_whitespace() || c == ',')
            .unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let realm = "https://auth.example/token";
        for text in [
            r#"Bearer realm="https://auth.example/token",service="s""#,
            r#"Bearer  realm="https://auth.example/token",service="s""#,
            "Bearer\trealm=\"https://auth.example/token\" , service=\"s\"",
            r#"bearer realm=https://auth.example/token,service=s"#,
            r#"  Bearer realm = "https://auth.example/token", service = s ,"#,
            r#"Basic realm="x", Bearer realm="https://auth.example/token", service="s""#,
            r#"Negotiate, Bearer Realm="https:\/\/auth.example/token",SERVICE="s""#,
            r#"Negotiate YWJj==, Bearer realm="https://auth.example/token",service="s""#,
        ] {
            let all = challenges(text);
            let bearer = all.iter().find(|one| one.scheme.eq_ignore_ascii_case("bearer"));
            let bearer = bearer.unwrap_or_else(|| panic!("{text}: {all:?}"));
            assert_eq!(bearer.parameter("realm"), Some(realm), "{text}");
            assert_eq!(bearer.parameter("service"), Some("s"), "{text}");
        }
        assert_eq!(
            challenges(r#"Bearer realm="a, b""#)[0].parameter("realm"),
            Some("a, b")
        );
        assert!(challenges("").is_empty() && challenges(",=, =x").is_empty());
    }

    proptest! {
        #[test]
        fn anything_is_read_to_its_end(text in "[ -~\t]{0,60}") {
            challenges(&text);
        }
    }
}
