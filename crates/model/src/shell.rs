//! Words of commands that users are shown, so that a shell reads each as the one that is meant.

use std::borrow::Cow;

use shlex::Quoter;

/// A word as a shell reads it.
///
/// # Panics
/// Never: the library refuses zero bytes alone, and is told to take them. No program can be given one.
pub fn shell_word(text: &str) -> String {
    let quoted = Quoter::new().allow_nul(true).quote(text);
    quoted.map(Cow::into_owned).expect("zero bytes are allowed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_one_word() {
        for text in [
            "",
            "a b",
            "it's",
            "$(reboot)",
            "a;b",
            "~",
            "*",
            "a\nb",
            "/plain/x-1.2",
            "größe",
        ] {
            let ran = std::process::Command::new("sh")
                .args(["-c", &format!("printf '%s|' {}", shell_word(text))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(ran.stdout).unwrap(), format!("{text}|"));
        }
        assert_eq!(shell_word("/root/repo"), "/root/repo");
    }
}
