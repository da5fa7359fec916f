//! What was logged so far, as lines with their times: the last ones, those since a time, with their times before them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use banger_vmm::console::Times;
use jiff::Timestamp;

/// What is logged of a time that is not known: the line is older than the record of times.
const UNKNOWN: &str = "-";

/// Bytes of one file that are held: a console log is shorter, and a VMM's may be of any length.
const MOST: u64 = 2 << 20;

/// The files of a log, read.
#[derive(Debug, Default)]
pub(super) struct Past {
    text: Vec<u8>,
    times: Times,
}

impl Past {
    /// Adds what is left of a file that stands at `path`, with its times; of one that is longer than a console log gets, the end.
    pub(super) fn add(&mut self, path: &Path, mut file: &File) -> io::Result<()> {
        let begins_at = self.text.len();
        let is_whole = file.metadata()?.len() <= MOST;
        if !is_whole {
            file.seek(SeekFrom::End(-(MOST as i64)))?;
        }
        file.take(MOST).read_to_end(&mut self.text)?;
        if is_whole {
            // After the text: a time of text that came meanwhile is not looked up, but text without its time would be old.
            self.times.append(begins_at as u64, &Times::of_log(path));
        } else {
            // The rest of a line is no line.
            let text = &self.text[begins_at..];
            let rest = text
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(text.len(), |end| end + 1);
            self.text.drain(begins_at..begins_at + rest);
        }
        Ok(())
    }

    /// Whether there are lines, and none has a time.
    pub(super) fn is_timeless(&self) -> bool {
        !self.text.is_empty() && self.times.is_empty()
    }

    /// The lines since that time, of them the last `tail`. A line whose time is not known is older than every time.
    pub(super) fn selected(&self, since: Option<Timestamp>, tail: Option<u64>) -> Vec<Line<'_>> {
        let mut at = 0;
        let mut lines: Vec<Line<'_>> = Vec::new();
        for text in self.text.split_inclusive(|byte| *byte == b'\n') {
            let millis = self.times.at(at);
            let time = millis.and_then(|millis| Timestamp::from_millisecond(millis).ok());
            at += text.len() as u64;
            if since.is_none_or(|since| time.is_some_and(|time| time >= since)) {
                lines.push(Line { text, time });
            }
        }
        let most = tail.map_or(usize::MAX, |tail| usize::try_from(tail).unwrap_or(usize::MAX));
        lines.split_off(lines.len().saturating_sub(most))
    }
}

/// A line with its end, unless that is not written yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) text: &'a [u8],
    pub(super) time: Option<Timestamp>,
}

/// Puts times before lines.
#[derive(Debug)]
pub(super) struct Stamps {
    /// Whether the last byte did not end a line.
    is_in_line: bool,
    wanted: bool,
}

impl Stamps {
    /// None, unless they are `wanted`.
    pub(super) const fn new(wanted: bool) -> Self {
        Self {
            is_in_line: false,
            wanted,
        }
    }

    /// The text, with this time before each line that begins in it.
    pub(super) fn put(&mut self, text: &[u8], time: Option<Timestamp>, out: &mut Vec<u8>) {
        if !self.wanted {
            out.extend(text);
            return;
        }
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if !self.is_in_line {
                let time = time.map_or_else(|| UNKNOWN.to_owned(), |time| format!("{time:.3}"));
                out.extend(time.bytes());
                out.push(b' ');
            }
            out.extend(line);
            self.is_in_line = !line.ends_with(b"\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn past() -> (tempfile::TempDir, Past) {
        let dir = tempfile::tempdir().unwrap();
        let files = ["console.log.1", "console.log"].map(|name| dir.path().join(name));
        // A line goes over the end of a file.
        std::fs::write(&files[0], "old\none\ntw").unwrap();
        std::fs::write(dir.path().join("console.log.1.times"), "4 1000\n8 2000\n").unwrap();
        std::fs::write(&files[1], "o\nthree\nfour").unwrap();
        std::fs::write(dir.path().join("console.log.times"), "2 3000\n").unwrap();
        let mut past = Past::default();
        for path in &files {
            past.add(path, &File::open(path).unwrap()).unwrap();
        }
        (dir, past)
    }

    fn texts(lines: &[Line<'_>]) -> Vec<String> {
        lines
            .iter()
            .map(|line| String::from_utf8(line.text.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn lines_are_chosen_by_number_and_time() {
        let (_dir, past) = past();
        let all = past.selected(None, None);
        assert_eq!(texts(&all), ["old\n", "one\n", "two\n", "three\n", "four"]);
        let times: Vec<_> = all
            .iter()
            .map(|line| line.time.map(Timestamp::as_second))
            .collect();
        assert_eq!(times, [None, Some(1), Some(2), Some(3), Some(3)]);
        assert_eq!(texts(&past.selected(None, Some(2))), ["three\n", "four"]);
        assert_eq!(texts(&past.selected(None, Some(0))), [""; 0]);
        assert_eq!(
            texts(&past.selected(Some(second(2)), None)),
            ["two\n", "three\n", "four"]
        );
        assert_eq!(texts(&past.selected(Some(second(2)), Some(1))), ["four"]);
        assert_eq!(texts(&past.selected(Some(second(9)), None)), [""; 0]);
    }

    #[test]
    fn of_a_long_file_the_end_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vmm.log");
        let line = b"0123456789abcde\n";
        std::fs::write(&path, [&b"x"[..], &line.repeat(300_000)].concat()).unwrap();
        let mut past = Past::default();
        past.add(&path, &File::open(&path).unwrap()).unwrap();
        assert!(past.text.len() as u64 <= MOST && past.text.len() as u64 > MOST - 32);
        let lines = past.selected(None, Some(3));
        assert!(lines.len() == 3 && lines.iter().all(|kept| kept.text == line));
        assert_eq!(past.selected(None, None)[0].text, line);
    }

    #[test]
    fn a_time_is_put_once_before_each_line() {
        let (_dir, past) = past();
        let (mut stamps, mut out) = (Stamps::new(true), Vec::new());
        for line in past.selected(None, Some(2)) {
            stamps.put(line.text, line.time, &mut out);
        }
        stamps.put(b"teen\nfive\n", Some(second(4)), &mut out);
        stamps.put(b"six", None, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "1970-01-01T00:00:03.000Z three\n1970-01-01T00:00:03.000Z fourteen\n1970-01-01T00:00:04.000Z five\n- six"
        );
    }
}
