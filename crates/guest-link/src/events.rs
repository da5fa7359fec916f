//! What a guest tells of itself, line by line.

use banger_guest_api::Event;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};

use crate::budget::{self, Budget};

/// The most events of a stream. A guest tells a few in its life; one that tells more is not listened to any longer.
const MOST: u32 = 256;

/// The events of a guest, as they come.
#[derive(Debug)]
pub struct Events<B = hyper::body::Incoming> {
    body: B,
    lines: Lines,
    left: u32,
}

impl<B: Body<Data = Bytes> + Unpin> Events<B> {
    /// The events that a body brings.
    pub(crate) fn of(body: B) -> Self {
        Self {
            body,
            lines: Lines::default(),
            left: MOST,
        }
    }

    /// The next event; `None` when the guest's agent is gone, or speaks nonsense.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.lines.next() {
                Some(line) => {
                    self.left = self.left.checked_sub(1)?;
                    return budget::decode(&line, Budget::SMALL).ok();
                }
                None if self.lines.is_too_long() => return None,
                None => {}
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.lines.extend(&data);
            }
        }
    }
}

/// Bytes that are cut into lines. Each is looked at once, however small the pieces are that it comes in.
#[derive(Debug, Default)]
struct Lines {
    buffer: Vec<u8>,
    /// Up to here there is no end of a line.
    seen: usize,
}

impl Lines {
    fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let new = &self.buffer[self.seen..];
        let Some(end) = new.iter().position(|&byte| byte == b'\n') else {
            self.seen = self.buffer.len();
            return None;
        };
        let rest = self.buffer.split_off(self.seen + end + 1);
        self.seen = 0;
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    fn is_too_long(&self) -> bool {
        self.buffer.len() > Budget::SMALL.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use banger_guest_api::InitState;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    const UP: &str = "{\"event\":\"init\",\"state\":{\"is\":\"up\"}}\n";

    fn pieces(text: String, size: usize) -> Events<impl Body<Data = Bytes> + Unpin> {
        let pieces: Vec<_> = text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
        let frames = pieces
            .into_iter()
            .map(|piece| Ok::<_, std::io::Error>(Frame::data(piece)));
        Events::of(StreamBody::new(futures_util::stream::iter(frames)))
    }

    #[tokio::test]
    async fn events_come_in_any_pieces() {
        for size in [1, 7, 1000] {
            let mut events = pieces(UP.repeat(3), size);
            for _ in 0..3 {
                let state = InitState::Up;
                assert_eq!(events.next().await, Some(Event::Init { state }));
            }
            assert_eq!(events.next().await, None);
        }
    }

    #[tokio::test]
    async fn nonsense_ends_it() {
        for (name, text) in [
            ("no-json", "x\n".to_owned()),
            ("empty-lines", "\n\n".to_owned()),
            ("endless-line", "[".repeat(10 << 20)),
            ("many-values", format!("[{}]\n", "1,".repeat(20_000))),
        ] {
            let mut events = Events::of(Full::new(Bytes::from(text + UP)));
            assert_eq!(events.next().await, None, "{name}");
            banger_cases::refused("budget", &format!("guest.events-{name}"));
        }
    }

    #[tokio::test]
    async fn a_flood_ends() {
        let mut events = pieces(UP.repeat(100_000), 4096);
        let mut heard = 0;
        while events.next().await.is_some() {
            heard += 1;
        }
        assert_eq!(heard, MOST);
        banger_cases::refused("budget", "guest.events-flood");
    }

    #[tokio::test]
    async fn bytes_one_by_one_are_looked_at_once() {
        // By looking at all of the line for each byte, this would take a minute.
        let began = std::time::Instant::now();
        let mut events = pieces("x".repeat(60 << 10) + "\n", 1);
        assert_eq!(events.next().await, None);
        assert!(began.elapsed() < std::time::Duration::from_secs(5));
        banger_cases::refused("budget", "guest.events-of-one-byte");
    }
}
