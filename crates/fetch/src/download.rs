//! One file as it comes.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode, Url};

use crate::clients::Clients;
use crate::error::Error;
use crate::pause::pause_after;
use crate::shown::shown;

/// With so much progress, an attempt does not count as failed.
const PROGRESS: u64 = 1 << 20;

/// The longest pause that a server may ask for with `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A file that is being fetched.
#[derive(Debug)]
pub struct Download<'a> {
    clients: &'a Clients,
    url: Url,
    /// All its bytes: as the caller knows, or else as the server says.
    total: Option<u64>,
    /// Bytes that were given out.
    position: u64,
    /// What the server tells this state of the file from others by.
    validator: Option<HeaderValue>,
    body: Option<Response>,
    /// What has come and was not given out.
    chunk: Bytes,
    failures: u32,
    /// Where the last failure was.
    failed_at: u64,
}

impl<'a> Download<'a> {
    pub(crate) fn begin(clients: &'a Clients, url: Url, expected: Option<u64>) -> Result<Self, Error> {
        let mut download = Self {
            clients,
            url,
            total: expected,
            position: 0,
            validator: None,
            body: None,
            chunk: Bytes::new(),
            failures: 0,
            failed_at: 0,
        };
        download.connect()?;
        Ok(download)
    }

    /// Its length, if that is known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Reads on; 0 is the end.
    ///
    /// # Errors
    /// When nothing more comes, after as many attempts as the limits say, or more than there should be.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            if !self.chunk.is_empty() {
                return self.give_out(buffer);
            }
            let Some(body) = &mut self.body else {
                self.connect()?;
                continue;
            };
            let failure = match self.clients.wait(body.chunk())? {
                Ok(Some(chunk)) => {
                    self.chunk = chunk;
                    continue;
                }
                Ok(None) => match self.total {
                    Some(total) if self.position < total => self.cut(total),
                    _ => return Ok(0),
                },
                Err(error) => self.broken(error),
            };
            self.body = None;
            self.failed(failure, None)?;
        }
    }

    fn give_out(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let read = self.chunk.len().min(buffer.len());
        buffer[..read].copy_from_slice(&self.chunk.split_to(read));
        self.position += read as u64;
        match self.total {
            Some(total) if self.position > total => Err(self.wrong_length(self.position, total)),
            _ => Ok(read),
        }
    }

    /// Asks for what is not there yet, as often as the limits allow.
    fn connect(&mut self) -> Result<(), Error> {
        loop {
            let mut pause = None;
            match self.ask(&mut pause) {
                Ok(body) => {
                    self.body = Some(body);
                    return Ok(());
                }
                Err(error) => self.failed(error, pause)?,
            }
        }
    }

    /// Counts a failure, and pauses before the next attempt if there is one.
    fn failed(&mut self, failure: Error, pause: Option<Duration>) -> Result<(), Error> {
        if self.position >= self.failed_at + PROGRESS {
            self.failures = 0;
        }
        self.failed_at = self.position;
        self.failures += 1;
        if self.failures >= self.clients.limits.attempts || !failure.may_pass() {
            return Err(failure);
        }
        let pause = pause.unwrap_or_else(|| pause_after(self.failures));
        self.clients.wait(async { tokio::time::sleep(pause).await })
    }

    fn ask(&mut self, pause: &mut Option<Duration>) -> Result<Response, Error> {
        let mut request = self.clients.client(&self.url)?.get(self.url.clone());
        // Lengths and ranges mean the file itself only when nobody compresses it underway.
        request = request.header(header::ACCEPT_ENCODING, "identity");
        if self.position > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", self.position));
            if let Some(validator) = &self.validator {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        // It sets a clock for itself, which needs the runtime.
        let asked = self.clients.wait(async { request.send().await })?;
        let response = asked.map_err(|source| self.unanswered(source))?;
        let url = || shown(&self.url);
        match response.status() {
            StatusCode::OK => self.whole(response),
            StatusCode::PARTIAL_CONTENT if self.position > 0 => self.part(response),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(Error::Absent { url: url() }),
            status => {
                *pause = retry_after(response.headers());
                Err(Error::Status { url: url(), status })
            }
        }
    }

    /// Takes an answer with the whole file: what is known of it is passed over.
    fn whole(&mut self, mut response: Response) -> Result<Response, Error> {
        let validator = validator(response.headers());
        if self.position == 0 {
            self.validator = validator;
        } else if validator != self.validator {
            return Err(Error::Changed {
                url: shown(&self.url),
            });
        }
        self.check_length(length(response.headers()))?;
        // What is more than that of the last chunk is given out.
        let mut known = self.position;
        while known > 0 {
            let chunk = self.clients.wait(response.chunk())?;
            let Some(mut chunk) = chunk.map_err(|error| self.broken(error))? else {
                return Err(self.cut(self.position));
            };
            let passed = known.min(chunk.len() as u64);
            self.chunk = chunk.split_off(passed as usize);
            known -= passed;
        }
        Ok(response)
    }

    /// Takes an answer with the rest of the file.
    fn part(&mut self, response: Response) -> Result<Response, Error> {
        let range = response.headers().get(header::CONTENT_RANGE);
        let range = range.and_then(|value| content_range(value.to_str().ok()?));
        match range {
            Some((start, total)) if start == self.position => {
                self.check_length(total)?;
                Ok(response)
            }
            _ => Err(Error::Range {
                url: shown(&self.url),
            }),
        }
    }

    fn check_length(&mut self, said: Option<u64>) -> Result<(), Error> {
        match (said, self.total) {
            (Some(said), Some(expected)) if said != expected => Err(self.wrong_length(said, expected)),
            (Some(said), None) => {
                self.total = Some(said);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn wrong_length(&self, said: u64, expected: u64) -> Error {
        Error::Length {
            url: shown(&self.url),
            said,
            expected,
        }
    }

    fn cut(&self, total: u64) -> Error {
        Error::Cut {
            url: shown(&self.url),
            position: self.position,
            total,
        }
    }

    fn unanswered(&self, source: reqwest::Error) -> Error {
        if source.is_timeout() && !source.is_connect() {
            return self.stalled();
        }
        Error::Send {
            url: shown(&self.url),
            source: source.without_url(),
        }
    }

    fn broken(&self, source: reqwest::Error) -> Error {
        if source.is_timeout() {
            return self.stalled();
        }
        Error::Broken {
            url: shown(&self.url),
            position: self.position,
            source: source.without_url(),
        }
    }

    fn stalled(&self) -> Error {
        Error::Stalled {
            url: shown(&self.url),
            position: self.position,
            stall: self.clients.limits.stall,
        }
    }
}

/// The length that an answer says it has.
fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What tells one state of a file from another (RFC 9110, 13.1.5): a strong entity tag, or else a date.
fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let strong = |tag: &&HeaderValue| !tag.as_bytes().starts_with(b"W/");
    let tag = headers.get(header::ETAG).filter(strong);
    tag.or_else(|| headers.get(header::LAST_MODIFIED)).cloned()
}

/// Start and total of a `Content-Range` (RFC 9110, 14.4) that goes to the end of the file.
pub fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
    match total {
        "*" => Some((start, None)),
        total => {
            let total = total.parse().ok()?;
            (end.checked_add(1) == Some(total) && start <= end).then_some((start, Some(total)))
        }
    }
}

/// `Retry-After` in seconds; a date is not worth the understanding.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_understood_or_refused() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for wrong in ["bytes 5-8/10", "bytes */10", "lines 5-9/10", "bytes 9-5/6", ""] {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_weak_tag_tells_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, HeaderValue::from_static("W/\"a\""));
        assert_eq!(validator(&headers), None);
        headers.insert(header::LAST_MODIFIED, HeaderValue::from_static("yesterday"));
        assert_eq!(validator(&headers).unwrap(), "yesterday");
        headers.insert(header::ETAG, HeaderValue::from_static("\"a\""));
        assert_eq!(validator(&headers).unwrap(), "\"a\"");
    }
}
