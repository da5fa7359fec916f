//! Text of strangers, as it may be printed: guests, images, registries and repositories choose names and messages, and a
//! terminal obeys what is in them.

use std::borrow::Cow;
use std::fmt::Write;

/// Characters that are letters or marks for Unicode and that nobody sees: default-ignorable code points beside the format
/// characters (DerivedCoreProperties.txt, `Default_Ignorable_Code_Point`).
const UNSEEN: [(char, char); 8] = [
    ('\u{34f}', '\u{34f}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Spaces that are as good as the usual one: typography uses them.
const SPACES: [(char, char); 5] = [
    ('\u{a0}', '\u{a0}'),
    ('\u{2000}', '\u{200a}'),
    ('\u{202f}', '\u{202f}'),
    ('\u{205f}', '\u{205f}'),
    ('\u{3000}', '\u{3000}'),
];

/// Marks that may stand on one letter. More of them reach into the lines above and below.
const MARKS: usize = 4;

/// Whether a character is shown where it stands and does nothing else: no control character, no line or paragraph separator,
/// no direction mark, none that is unseen, none that has no meaning (yet, or outside one vendor's fonts).
#[must_use]
pub fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    let within = |ranges: &[(char, char)]| ranges.iter().any(|&(first, last)| (first..=last).contains(&c));
    within(&SPACES) || (!within(&UNSEEN) && is_graphic(c))
}

/// Whether the standard library shows a character in `{:?}`, as it does with all that has a graphic form. It is put behind a
/// letter, since a combining mark at the beginning is never shown there.
fn is_graphic(c: char) -> bool {
    let mut buffer = [0; 8];
    buffer[0] = b'a';
    let len = c.encode_utf8(&mut buffer[1..]).len();
    std::str::from_utf8(&buffer[..=len]).is_ok_and(|text| text.escape_debug().eq(['a', c]))
}

/// Whether a character stands on the one before it.
fn is_mark(c: char) -> bool {
    // What stands alone as itself is no mark: at the beginning of a text, `{:?}` escapes marks and nothing else that is graphic.
    !c.is_ascii() && is_graphic(c) && !c.escape_debug().eq([c])
}

/// The text on one line, with escapes such as `\n` and `\u{1b}` in place of all that is not printable. The same text again
/// when nothing is to be escaped, so doing it twice does no harm.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut marks = 0;
    for c in text.chars() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if is_printable(c) && marks <= MARKS {
            out.push(c);
        } else {
            push_escaped(&mut out, c);
        }
    }
    Cow::Owned(out)
}

/// The same of bytes; those that are no UTF-8 become `\xff`.
#[must_use]
pub fn printable_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out += &printable(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// JSON whose texts have escapes in place of what is not printable. It is the same value.
#[must_use]
pub fn printable_json(json: &str) -> Cow<'_, str> {
    if json.chars().all(|c| c == '\n' || is_printable(c)) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if c == '\n' || is_printable(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(out)
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c => out.extend(c.escape_unicode()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of a case.
    fn plain(text: &str) -> String {
        text.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        for (hostile, shown) in [
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\u{9b}2Jb", "a\\u{9b}2Jb"),
            ("a\u{7f}\u{8}b", "a\\u{7f}\\u{8}b"),
            ("ok\r\nerror: no", "ok\\r\\nerror: no"),
            ("a\tb\0", "a\\tb\\u{0}"),
            ("a\u{202e}b\u{2066}c\u{2069}", "a\\u{202e}b\\u{2066}c\\u{2069}"),
            ("a\u{200b}\u{200d}\u{feff}b", "a\\u{200b}\\u{200d}\\u{feff}b"),
            ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
            (
                "a\u{ad}\u{61c}\u{180e}\u{fff9}",
                "a\\u{ad}\\u{61c}\\u{180e}\\u{fff9}",
            ),
            ("a\u{3164}\u{ffa0}\u{115f}", "a\\u{3164}\\u{ffa0}\\u{115f}"),
            ("a\u{fe0f}\u{34f}\u{e0041}", "a\\u{fe0f}\\u{34f}\\u{e0041}"),
            ("a\u{e000}\u{10ffff}", "a\\u{e000}\\u{10ffff}"),
        ] {
            assert_eq!(printable(hostile), shown);
            assert_eq!(printable(shown), shown, "twice does no harm");
            banger_cases::refused("terminal", &format!("text.{}", plain(shown)));
        }
    }

    #[test]
    fn no_control_or_format_character_is_printable() {
        let hostile = (0..0x20).chain(0x7f..0xa0).chain([0xad]).chain(0x200b..=0x200f);
        for code in hostile
            .chain(0x2028..=0x202e)
            .chain(0x2060..=0x206f)
            .chain(0xe0000..0xe1000)
        {
            let c = char::from_u32(code).unwrap();
            assert!(!is_printable(c), "{code:x}");
        }
    }

    #[test]
    fn what_people_write_stays() {
        for text in [
            "plain \"quoted\" 'text' with \\ and 100 %",
            "äöü ß é e\u{301} ñ",
            "日本語\u{3000}テキスト 한국어 ไทย हिन्दी العربية עברית",
            "→ • … „“ µs 10\u{a0}MiB 🚀 ░▒▓",
        ] {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn marks_do_not_pile_up() {
        let text = format!("a{}", "\u{335}".repeat(5));
        assert_eq!(printable(&text), format!("a{}\\u{{335}}", "\u{335}".repeat(4)));
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_such() {
        assert_eq!(printable_bytes(b"a\xff\xfe\x9bb\n"), "a\\xff\\xfe\\x9bb\\n");
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = "\u{9b}2J\u{202e}\u{e0041}\u{7f} ü";
        let json = format!("{{\n\"a\": \"{value}\"\n}}");
        let shown = printable_json(&json);
        assert_eq!(shown, "{\n\"a\": \"\\u009b2J\\u202e\\udb40\\udc41\\u007f ü\"\n}");
    }
}
