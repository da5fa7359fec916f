//! Server-sent events (the WHATWG HTML standard, section 9.2), as far as the daemon sends them.

use banger_api::{
    EVENT_DONE, EVENT_ERROR, EVENT_FLOW, EVENT_GAP, EVENT_PROGRESS, EgressGap, ErrorBody, Progress, VmFlow,
};
use banger_wire::{Incoming, next_chunk};
use serde::de::DeserializeOwned;

use crate::error::ClientError;

/// The most bytes of an event: a report on a workspace names each file that was left out.
const MOST: usize = 64 << 20;

/// The events of one response.
#[derive(Debug)]
pub(crate) struct Events {
    body: Incoming,
    parser: Parser,
}

impl Events {
    pub(crate) fn new(body: Incoming) -> Self {
        Self {
            body,
            parser: Parser::default(),
        }
    }

    /// Tells of progress until the work has ended, and gives how.
    pub(crate) async fn outcome<T: DeserializeOwned>(
        mut self,
        mut on_progress: impl FnMut(Progress),
    ) -> Result<T, ClientError> {
        loop {
            let event = self.next().await?.ok_or(ClientError::Ended)?;
            match event.name.as_str() {
                // A newer daemon may tell more than we know; that is no failure.
                EVENT_PROGRESS => serde_json::from_str(&event.data)
                    .into_iter()
                    .for_each(&mut on_progress),
                EVENT_DONE => return serde_json::from_str(&event.data).map_err(ClientError::Answer),
                EVENT_ERROR => {
                    let body: ErrorBody = serde_json::from_str(&event.data).map_err(ClientError::Answer)?;
                    return Err(ClientError::Api(Box::new(body)));
                }
                _ => {}
            }
        }
    }

    /// The next one; none at the end.
    async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.parser.next() {
                return Ok(Some(event));
            }
            if self.parser.buffer.len() > MOST {
                return Err(ClientError::TooLong(MOST));
            }
            // A connection that breaks in the middle means that the daemon was killed.
            let chunk = next_chunk(&mut self.body).await;
            let Some(data) = chunk.map_err(|_| ClientError::Ended)? else {
                return Ok(None);
            };
            self.parser.feed(&data);
        }
    }
}

/// What a VM reaches and is refused, as it comes.
#[derive(Debug)]
pub struct Egress(Events);

/// One word of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EgressEvent {
    /// A flow, as it is counted now.
    Flow(Box<VmFlow>),
    /// Something is missing here.
    Gap(EgressGap),
}

impl Egress {
    pub(crate) fn new(body: Incoming) -> Self {
        Self(Events::new(body))
    }

    /// The next one; none when the VM is deleted.
    ///
    /// # Errors
    /// When the connection breaks, or what came is of another version.
    pub async fn next(&mut self) -> Result<Option<EgressEvent>, ClientError> {
        while let Some(Event { name, data }) = self.0.next().await? {
            let event = match name.as_str() {
                EVENT_FLOW => serde_json::from_str(&data).map(EgressEvent::Flow),
                EVENT_GAP => serde_json::from_str(&data).map(EgressEvent::Gap),
                _ => continue,
            };
            return event.map(Some).map_err(ClientError::Answer);
        }
        Ok(None)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Event {
    name: String,
    data: String,
}

/// Cuts a byte stream into events. Each byte is looked at once, however small the pieces are that it comes in.
#[derive(Debug, Default)]
struct Parser {
    buffer: Vec<u8>,
    /// Up to here there is no end of an event.
    seen: usize,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole event. Comments, which keep the connection alive, are none.
    fn next(&mut self) -> Option<Event> {
        loop {
            let new = &self.buffer[self.seen..];
            let Some(end) = new.windows(2).position(|pair| pair == b"\n\n") else {
                // The last byte may be the first of an end.
                self.seen = self.buffer.len().saturating_sub(1);
                return None;
            };
            let block: Vec<u8> = self.buffer.drain(..self.seen + end + 2).collect();
            self.seen = 0;
            let text = String::from_utf8_lossy(&block);
            let mut event = Event {
                name: String::new(),
                data: String::new(),
            };
            for line in text.lines() {
                let (field, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "event" => event.name = value.to_owned(),
                    "data" if event.data.is_empty() => event.data = value.to_owned(),
                    "data" => event.data = format!("{}\n{value}", event.data),
                    _ => {}
                }
            }
            if !event.name.is_empty() {
                return Some(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_they_are_cut() {
        let text = b": alive\n\nevent: progress\ndata: {\"a\":1}\n\nevent: done\ndata: x\ndata: y\n\n";
        for cut in 1..text.len() {
            let mut parser = Parser::default();
            let mut seen = Vec::new();
            for chunk in text.chunks(cut) {
                parser.feed(chunk);
                seen.extend(std::iter::from_fn(|| parser.next()));
            }
            let names: Vec<_> = seen
                .iter()
                .map(|event| (event.name.as_str(), event.data.as_str()))
                .collect();
            assert_eq!(
                names,
                [("progress", "{\"a\":1}"), ("done", "x\ny")],
                "cut at {cut}"
            );
        }
    }
}
