//! What a guest's answers may become. Bytes alone are no bound: a byte of JSON can become fifty of memory. So the values are
//! counted, and how deep they lie, before anything of an answer is made; and what is kept of it has bounds of its own.

use banger_guest_api::{Failure, InitState, Ready};
use serde::de::DeserializeOwned;

/// What an answer may be.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Bytes.
    pub bytes: usize,
    /// Values: members of objects and elements of arrays.
    pub values: usize,
}

impl Budget {
    /// Of an answer that is not said to be long.
    pub const USUAL: Self = Self {
        bytes: 1 << 20,
        values: 32 << 10,
    };

    /// Of a failure, or of a line of events.
    pub const SMALL: Self = Self {
        bytes: 64 << 10,
        values: 1 << 10,
    };
}

/// The deepest that values lie in each other in any answer, and some.
const DEEPEST: usize = 16;

/// An answer is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It has too many values, or they lie too deep.
    #[error("the answer has more than {values} values, or they are nested more than {DEEPEST} deep")]
    TooMuch {
        /// The most of a right one.
        values: usize,
    },
    /// It is no such JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Reads an answer within its budget.
///
/// # Errors
/// When it does not fit, or is not what was asked for.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], budget: Budget) -> Result<T, Unfit> {
    if !fits(bytes, budget.values) {
        let values = budget.values;
        return Err(Unfit::TooMuch { values });
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// Whether text has at most so many values. It need not be JSON: then its parser says so, after as many values.
fn fits(text: &[u8], most: usize) -> bool {
    let (mut values, mut depth, mut in_string, mut is_escaped) = (1_usize, 0_usize, false, false);
    for &byte in text {
        if in_string {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b',' => values += 1,
            b'[' | b'{' => {
                values += 1;
                depth += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if values > most || depth > DEEPEST {
            return false;
        }
    }
    true
}

/// The most characters that are kept of a word of a guest's, and of a sentence.
const WORD: usize = 128;
const SENTENCE: usize = 2048;

/// The most causes that are kept of a failure; a cause holds the next.
const CAUSES: usize = 16;

/// The most names that are kept of a list.
const NAMES: usize = 64;

fn shorten(text: &mut String, most: usize) {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
        text.shrink_to_fit();
    }
}

/// A failure of which as much is kept as anyone reads.
pub fn failure(mut failure: Failure) -> Failure {
    shorten(&mut failure.message, SENTENCE);
    failure.causes.truncate(CAUSES);
    failure.causes.shrink_to_fit();
    for cause in &mut failure.causes {
        shorten(cause, SENTENCE);
    }
    failure
}

/// What a guest says when it is ready, which is kept as long as it runs.
pub(crate) fn ready(mut ready: Ready) -> Ready {
    shorten(&mut ready.kernel, WORD);
    if let Some(os) = &mut ready.os {
        shorten(os, WORD);
    }
    ready.phases_ms = std::mem::take(&mut ready.phases_ms)
        .into_iter()
        .filter(|(phase, _)| phase.len() <= WORD)
        .take(NAMES)
        .collect();
    ready
}

/// How far a guest's init has come, which is kept until it says more.
pub fn init(mut state: InitState) -> InitState {
    if let InitState::Degraded { failed } = &mut state {
        failed.truncate(NAMES);
        failed.shrink_to_fit();
        for unit in failed {
            shorten(unit, WORD);
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use banger_guest_api::Session;

    #[test]
    fn values_are_counted_before_they_are_made() {
        let budget = Budget {
            bytes: 1 << 20,
            values: 10,
        };
        let array = |count: usize| format!("[{}]", vec!["\"\""; count].join(","));
        assert_eq!(
            decode::<Vec<String>>(array(8).as_bytes(), budget).unwrap().len(),
            8
        );
        for (name, text) in [
            ("array", array(11)),
            (
                "keys",
                format!(
                    "{{{}}}",
                    (0..11)
                        .map(|n| format!("\"{n}\":1"))
                        .collect::<Vec<_>>()
                        .join(",")
                ),
            ),
            ("nested", "[".repeat(17)),
            ("nested-objects", "{\"a\":".repeat(17)),
            ("commas", ",".repeat(100)),
            ("after-a-quoted-quote", format!("[\"\\\"\",{}]", array(11))),
        ] {
            assert!(
                matches!(
                    decode::<serde_json::Value>(text.as_bytes(), budget),
                    Err(Unfit::TooMuch { .. })
                ),
                "{name}"
            );
            banger_cases::refused("budget", &format!("guest.json-{name}"));
        }
        // What is in a string is not counted.
        let text = format!("[\"{}\"]", "[{,\\\"".repeat(100));
        assert_eq!(decode::<Vec<String>>(text.as_bytes(), budget).unwrap().len(), 1);
    }

    #[test]
    fn a_usual_list_of_sessions_fits() {
        let session = r#"{"name":"a","argv":["b","c"],"cwd":"/","user":null,"tty":false,"stdin":"closed","restart":"never","state":"running","pid":1,"started_ms":1,"ended_ms":null,"exit":null,"restarts":0,"usage":null,"log":{"start":0,"end":1,"lost":0,"max":1},"clients":0,"is_written_to":false}"#;
        let text = format!("[{}]", vec![session; 1000].join(","));
        let sessions: Vec<Session> = decode(text.as_bytes(), Budget::USUAL).unwrap();
        assert_eq!(sessions.len(), 1000);
    }

    #[test]
    fn what_is_kept_is_short() {
        let long = failure(Failure {
            causes: vec!["x".repeat(10_000); 1000],
            ..Failure::new("é".repeat(10_000))
        });
        assert_eq!(
            (long.message.chars().count(), long.causes.len()),
            (SENTENCE + 1, CAUSES)
        );
        assert!(long.causes.iter().all(|cause| cause.len() <= SENTENCE + 4));
        let state = init(InitState::Degraded {
            failed: vec!["u".repeat(1000); 1000],
        });
        let InitState::Degraded { failed } = state else {
            unreachable!("it is what it was")
        };
        assert_eq!((failed.len(), failed[0].chars().count()), (NAMES, WORD + 1));
        let ready = ready(Ready {
            init: banger_guest_api::InitKind::Agent,
            kernel: "k".repeat(1 << 20),
            os: Some("o".repeat(1 << 20)),
            phases_ms: (0..1000).map(|n| (format!("phase{n}"), n)).collect(),
        });
        assert!(ready.phases_ms.len() == NAMES && ready.kernel.len() < 200);
        banger_cases::refused("budget", "guest.long-words");
    }
}
