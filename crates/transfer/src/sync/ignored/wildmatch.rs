//! Whether a text matches a pattern with wildcards, as git means it. What it means is in gitignore(5), "Pattern format", in the
//! comments of git's `wildmatch.h`, and in what git does: the tests beside `patterns.rs` compare with it. It is in bytes.
//!
//! | in a pattern | in a path, where [`Mode::path`] | in a name |
//! |---|---|---|
//! | `?`, `[…]` | one byte that is no slash | one byte |
//! | `*` | bytes that are no slashes | bytes |
//! | `**`, between slashes or ends | bytes | as `*` |
//! | `**/`, at the beginning or behind a slash | also nothing | as `*/` |
//! | `\` | the next byte means itself; at the end, nothing matches | the same |
//! | a class that is malformed: without its end, or `[:nope:]` | nothing matches | the same |
//!
//! Each part of a pattern maps the set of places in the text that were reached to the next set, so the time is at most the
//! length of the pattern times that of the text, whatever stars there are.

/// How a pattern is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode {
    /// A slash is matched by slashes and `**` only.
    pub(super) path: bool,
    /// Letters of ASCII match in either case; those in a class or behind a backslash as git has it, which is that only small
    /// ones do.
    pub(super) fold: bool,
}

/// Whether all of `text` matches all of `pattern`.
pub(super) fn matches(pattern: &[u8], text: &[u8], mode: Mode) -> bool {
    let mut reached = Reached::new(text, mode);
    let mut at = 0;
    while let Some(&byte) = pattern.get(at) {
        let rest = &pattern[at + 1..];
        at += 1;
        match byte {
            b'*' => {
                let more = rest.iter().take_while(|&&byte| byte == b'*').count();
                let begins = at == 1 || pattern[at - 2] == b'/';
                at += more;
                let rest = &pattern[at..];
                let ends = rest.is_empty() || rest.starts_with(b"/") || rest.starts_with(b"\\/");
                if !mode.path {
                    reached.skip(true);
                } else if more > 0 && begins && ends {
                    let is_dirs = rest.starts_with(b"/");
                    at += usize::from(is_dirs);
                    reached.skip_dirs(is_dirs);
                } else {
                    reached.skip(false);
                }
            }
            b'?' => reached.step(|_| true),
            b'[' => {
                let Some((class, length)) = Class::parse(rest, mode.fold) else {
                    return false;
                };
                at += length;
                reached.step(|byte| class.has(byte));
            }
            b'\\' => {
                let Some(&escaped) = rest.first() else {
                    return false;
                };
                at += 1;
                reached.literal(escaped);
            }
            byte if mode.fold => reached.literal(byte.to_ascii_lowercase()),
            byte => reached.literal(byte),
        }
        if reached.is_nothing() {
            return false;
        }
    }
    reached.is_end()
}

/// The places in a text that what was read of a pattern may end at.
struct Reached<'a> {
    text: &'a [u8],
    mode: Mode,
    /// By place, one more than there are bytes.
    places: Vec<bool>,
}

impl<'a> Reached<'a> {
    fn new(text: &'a [u8], mode: Mode) -> Self {
        let mut places = vec![false; text.len() + 1];
        places[0] = true;
        Self { text, mode, places }
    }

    fn is_nothing(&self) -> bool {
        !self.places.contains(&true)
    }

    fn is_end(&self) -> bool {
        self.places.last() == Some(&true)
    }

    /// One byte that a literal is.
    fn literal(&mut self, literal: u8) {
        self.advance(|byte| byte == literal);
    }

    /// One byte that a wildcard takes.
    fn step(&mut self, takes: impl Fn(u8) -> bool) {
        let path = self.mode.path;
        self.advance(|byte| !(path && byte == b'/') && takes(byte));
    }

    fn advance(&mut self, takes: impl Fn(u8) -> bool) {
        for (place, &byte) in self.text.iter().enumerate().rev() {
            let byte = if self.mode.fold {
                byte.to_ascii_lowercase()
            } else {
                byte
            };
            self.places[place + 1] = self.places[place] && takes(byte);
        }
        self.places[0] = false;
    }

    /// Any bytes, or any that are no slashes.
    fn skip(&mut self, slashes: bool) {
        for (place, &byte) in self.text.iter().enumerate() {
            self.places[place + 1] |= self.places[place] && (slashes || byte != b'/');
        }
    }

    /// Any bytes; or, if a slash follows, nothing at all or any bytes and a slash.
    fn skip_dirs(&mut self, is_dirs: bool) {
        if !is_dirs {
            return self.skip(true);
        }
        let before = self.places.clone();
        self.skip(true);
        self.advance(|byte| byte == b'/');
        for (place, before) in self.places.iter_mut().zip(before) {
            *place |= before;
        }
    }
}

/// The bytes that a class takes.
struct Class {
    takes: [bool; 256],
    negated: bool,
}

impl Class {
    fn has(&self, byte: u8) -> bool {
        self.takes[usize::from(byte)] != self.negated
    }

    fn add(&mut self, takes: impl Fn(u8) -> bool) {
        for byte in 0..=u8::MAX {
            self.takes[usize::from(byte)] |= takes(byte);
        }
    }

    /// What stands behind a bracket, and how long it is with its end. None if it is malformed.
    fn parse(text: &[u8], fold: bool) -> Option<(Self, usize)> {
        let negated = matches!(text.first(), Some(b'!' | b'^'));
        let takes = [false; 256];
        let mut class = Self { takes, negated };
        let first = usize::from(negated);
        let mut at = first;
        // What a range may begin with.
        let mut before = None;
        loop {
            let byte = *text.get(at)?;
            let next = text.get(at + 1).copied();
            match byte {
                // In front, it means itself.
                b']' if at > first => return Some((class, at + 1)),
                b'-' if before.is_some() && next.is_some_and(|next| next != b']') => {
                    let low = before.take()?;
                    at += 1;
                    let high = literal(text, &mut at)?;
                    // Texts are in small letters already.
                    class.add(|byte| {
                        let is = |byte| (low..=high).contains(&byte);
                        is(byte) || fold && byte.is_ascii_lowercase() && is(byte.to_ascii_uppercase())
                    });
                }
                b'[' if next == Some(b':') => {
                    let name = &text[at + 2..];
                    let end = name.iter().position(|&byte| byte == b']')?;
                    match name[..end].strip_suffix(b":") {
                        Some(name) => {
                            let is = named(name)?;
                            class.add(|byte| {
                                is(byte) || fold && name == b"upper" && byte.is_ascii_lowercase()
                            });
                            before = None;
                            at += 2 + end;
                        }
                        None => before = class.add_one(byte),
                    }
                }
                _ => {
                    let byte = literal(text, &mut at)?;
                    before = class.add_one(byte);
                }
            }
            at += 1;
        }
    }

    fn add_one(&mut self, byte: u8) -> Option<u8> {
        self.takes[usize::from(byte)] = true;
        Some(byte)
    }
}

/// The byte at a place, or the one behind the backslash there, on which the place is then.
fn literal(text: &[u8], at: &mut usize) -> Option<u8> {
    if text.get(*at) == Some(&b'\\') {
        *at += 1;
    }
    text.get(*at).copied()
}

/// A class that has a name, in which nothing but ASCII is.
fn named(name: &[u8]) -> Option<fn(u8) -> bool> {
    Some(match name {
        b"alnum" => |byte| byte.is_ascii_alphanumeric(),
        b"alpha" => |byte| byte.is_ascii_alphabetic(),
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => |byte| byte.is_ascii_control(),
        b"digit" => |byte| byte.is_ascii_digit(),
        b"graph" => |byte| byte.is_ascii_graphic(),
        b"lower" => |byte| byte.is_ascii_lowercase(),
        b"print" => |byte| byte.is_ascii_graphic() || byte == b' ',
        b"punct" => |byte| byte.is_ascii_punctuation(),
        // Git's own, not that of C.
        b"space" => |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'),
        b"upper" => |byte| byte.is_ascii_uppercase(),
        b"xdigit" => |byte| byte.is_ascii_hexdigit(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
