//! What daemons said before their homes went: a story that failed shows it, because what it expected and did not see seldom
//! has the reason.

use std::cell::RefCell;
use std::path::Path;

/// How many lines of a log are kept.
const LINES: usize = 25;

thread_local! {
    static WORDS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps the end of a daemon's log for the story that this thread tells.
pub(crate) fn keep(log: &Path) {
    let Ok(text) = std::fs::read(log) else { return };
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    WORDS.with_borrow_mut(|words| {
        for line in last {
            words.push_str("\n  ");
            words.push_str(line);
        }
    });
}

/// What was kept on this thread since it was last asked.
pub fn take() -> String {
    WORDS.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_kept_once() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        keep(&log);
        assert_eq!(take(), "");
        let lines: Vec<_> = (1..=LINES + 1).map(|line| format!("line {line}")).collect();
        std::fs::write(&log, lines.join("\n")).unwrap();
        keep(&log);
        let words = take();
        assert!(words.starts_with("\n  line 2\n") && words.ends_with(&format!("line {}", LINES + 1)));
        assert_eq!(take(), "");
    }
}
