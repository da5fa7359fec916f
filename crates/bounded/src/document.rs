//! Documents of JSON, whose parts are counted before they become values.

use crate::budget::Exceeded;

/// The most values of a document, and how deep they may lie in each other. A document is a few megabytes of text; as a tree
/// of values it can be fifty times as much.
const MOST_VALUES: usize = 200_000;
const DEEPEST: usize = 64;

/// Whether a document of JSON has no more values than documents have.
pub fn document(what: &'static str, text: &[u8]) -> Result<(), Exceeded> {
    let (mut values, mut depth) = (1_usize, 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for &byte in text {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                values += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if depth > DEEPEST {
            return Err(Exceeded::Document {
                what,
                most: DEEPEST,
                parts: "levels",
            });
        }
        if values > MOST_VALUES {
            return Err(Exceeded::Document {
                what,
                most: MOST_VALUES,
                parts: "values",
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_counted_outside_of_strings() {
        assert_eq!(
            document("x", br#"{"a": "[[[[{{{{,,,,\"", "b": ["\\", 1]}"#),
            Ok(())
        );
        let wide = format!("[{}1]", "1,".repeat(MOST_VALUES));
        assert!(matches!(
            document("x", wide.as_bytes()),
            Err(Exceeded::Document { parts: "values", .. })
        ));
        let in_string = format!("[\"{}\"]", ",[".repeat(MOST_VALUES));
        assert_eq!(document("x", in_string.as_bytes()), Ok(()));
        let deep = "[".repeat(100_000);
        assert!(matches!(
            document("x", deep.as_bytes()),
            Err(Exceeded::Document { parts: "levels", .. })
        ));
        banger_cases::refused("budget", "document.values");
        banger_cases::refused("budget", "document.depth");
    }
}
