//! Ends of logs, as they are shown beside an error.

/// The end of a log: so many bytes at most, without what a terminal would obey.
pub fn log_tail(log: &[u8], most: usize) -> String {
    let end = &log[log.len().saturating_sub(most)..];
    let text = String::from_utf8_lossy(end);
    let shown: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    shown.trim().to_owned()
}

/// The last lines of a log that say something.
pub fn last_lines(log: &str, most: usize) -> impl Iterator<Item = &str> {
    let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let skip = lines.len().saturating_sub(most);
    lines.into_iter().skip(skip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_nothing_that_a_terminal_obeys() {
        assert_eq!(log_tail(b"beginning\nthe \x1b[2Jend\r\n\n", 14), "the [2Jend");
        assert_eq!(log_tail(b"", 10), "");
    }

    #[test]
    fn empty_lines_are_not_counted() {
        let lines: Vec<_> = last_lines("one\n\ntwo\n  \nthree\n", 2).collect();
        assert_eq!(lines, ["two", "three"]);
    }
}
