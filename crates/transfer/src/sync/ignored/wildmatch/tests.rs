//! Patterns, matched as git does.

use super::*;

const PATH: Mode = Mode {
    path: true,
    fold: false,
};
const NAME: Mode = Mode {
    path: false,
    fold: false,
};

#[test]
fn what_is_malformed_matches_nothing() {
    for pattern in [
        "[",
        "[]",
        "[!]",
        "[a-",
        "[[:x",
        "[[:foo:]]",
        "*/[[:x",
        "a\\",
        "[\\",
        "[a-\\",
        "[a",
    ] {
        for text in [
            "a", "[", "]", "-", ":", "x", "a/x", "a\\", "[]", "", "[[:x", "a/[:x",
        ] {
            let pattern_matches = |mode| matches(pattern.as_bytes(), text.as_bytes(), mode);
            assert!(
                !pattern_matches(PATH) && !pattern_matches(NAME),
                "{pattern} {text}"
            );
        }
    }
}

#[test]
fn stars_take_no_time_to_speak_of() {
    let text = vec![b'a'; 1000];
    for (number, part) in ["a*", "*a", "**/", "a**/", "*?"].into_iter().enumerate() {
        let pattern = part.repeat(300) + "b";
        let began = std::time::Instant::now();
        assert!(!matches(pattern.as_bytes(), &text, PATH) && !matches(pattern.as_bytes(), &text, NAME));
        assert!(began.elapsed().as_secs() < 30, "{part}: {:?}", began.elapsed());
        banger_cases::refused("host-files", &format!("sync.exponential-pattern.{number}"));
    }
}
