//! Command lines for images without a shell.

/// The words of a line, as a POSIX shell would cut them if it expanded nothing (Shell Command Language, section 2.2):
/// blanks part words, quotes and backslashes keep them together. Nothing when a quote is not closed.
pub(super) fn of(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        letter => word.push(letter),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '"' => break,
                        '\\' => match letters.next()? {
                            letter @ ('"' | '\\' | '$' | '`') => word.push(letter),
                            letter => word.extend(['\\', letter]),
                        },
                        letter => word.push(letter),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next()?),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn words_are_cut_as_a_shell_does() {
        let words = |line| of(line).unwrap();
        assert_eq!(words("/app  --port 80\n"), ["/app", "--port", "80"]);
        assert_eq!(
            words(r#"a 'b c' "d \" \x" e\ f ''"#),
            ["a", "b c", r#"d " \x"#, "e f", ""]
        );
        assert_eq!(words(""), [""; 0]);
        assert_eq!(of("a 'b"), None);
    }
}
