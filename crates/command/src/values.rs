//! Parsers of values on the command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::failure::Failure;

/// `NAME=VALUE`; `NAME` alone takes its value from the environment.
pub fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => match std::env::var(text) {
            Ok(value) => (text, value),
            Err(_) => {
                return Err(format!(
                    "`{text}` is not set in your environment: expected NAME=VALUE"
                ));
            }
        },
    };
    if name.is_empty() {
        return Err(format!("`{text}` has no name: expected NAME=VALUE"));
    }
    Ok((name.to_owned(), value))
}

/// `NAME=VALUE`, or `NAME` with an empty value.
pub fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if name.is_empty() {
        return Err(format!("`{text}` has no name: expected NAME=VALUE"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// A duration such as `30s`, `2m`, `500ms`, or a bare number of seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let refused = || "expected a number and a unit, such as 500ms, 30s or 2m".to_owned();
    let number: u64 = number.parse().map_err(|_| refused())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "" | "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        "d" => Ok(Duration::from_secs(number.saturating_mul(86400))),
        "h" => Ok(Duration::from_secs(number.saturating_mul(3600))),
        _ => Err(refused()),
    }
}

/// A time in the past, as RFC 3339: such a text itself, or how long ago it was, such as `10m`.
pub fn since(text: &str) -> Result<String, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.to_string());
    }
    let refused =
        || "expected a duration such as 10m or 2h, or a time such as 2026-11-30T14:00:00Z".to_owned();
    let ago = duration(text).map_err(|_| refused())?;
    let time = jiff::Timestamp::now().checked_sub(ago).map_err(|_| refused())?;
    Ok(time.to_string())
}

/// An absolute path, because the daemon has another working directory.
pub fn absolute(path: PathBuf) -> Result<PathBuf, Failure> {
    std::path::absolute(&path)
        .map_err(|error| Failure::during(format!("failed to resolve {}", path.display()), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("soon").is_err() && duration("3x").is_err());
    }

    #[test]
    fn a_past_time_is_absolute_or_ago() {
        assert_eq!(
            since("2026-11-30T14:00:00+01:00").unwrap(),
            "2026-11-30T13:00:00Z"
        );
        let ago: jiff::Timestamp = since("2h").unwrap().parse().unwrap();
        let seconds = jiff::Timestamp::now().as_second() - ago.as_second();
        assert!((7199..7300).contains(&seconds), "{seconds}");
        assert!(since("yesterday").is_err() && since("-1h").is_err());
    }

    #[test]
    fn an_assignment_may_hold_more_equals_signs() {
        assert_eq!(assignment("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(assignment("=x").is_err());
        assert!(assignment("SURELY_NOT_SET_HERE").is_err());
        assert_eq!(label("team"), Ok(("team".to_owned(), String::new())));
    }
}
