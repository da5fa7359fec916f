//! Words of commands that users are shown, so that a shell reads each as the one that is meant.

/// A word as a shell reads it.
pub fn shell_word(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-+@:,=%".contains(char);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
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
