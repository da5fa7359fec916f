//! Files that go into a guest and come out of it.

use banger_guest_api::{
    Channel, FilesDone, FilesEnd, FrameError, GetFiles, Listed, OfDirectory, PutFiles, frame,
};
use banger_model::ErrorCode;
use bytes::{Buf, Bytes};
use futures_util::Stream;
use http_body_util::{BodyExt, Full};
use hyper::Method;
use hyper::body::Incoming;

use super::{Client, ClientError, build, collect, request, segment, streamed};
use crate::ErrorBody;

/// The most bytes of a line of a listing: a name is at most 4096 bytes, and a link's target, each three when encoded.
const LONGEST_LINE: usize = 64 << 10;

type Result<T> = std::result::Result<T, ClientError>;

#[expect(
    clippy::missing_errors_doc,
    reason = "the same for all of them: `ClientError`, with `Api` when the daemon or the guest refuses"
)]
impl Client {
    /// Copies a tar into a VM as it comes.
    pub async fn put_files(
        &self,
        name: &str,
        put: &PutFiles,
        tar: impl Stream<Item = std::io::Result<Bytes>> + Send + Sync + 'static,
    ) -> Result<FilesDone> {
        let path = path(name, "", &put.to_query());
        let response = self.send(build(Method::PUT, &path, streamed(tar))).await?;
        serde_json::from_slice(&collect(response).await?).map_err(ClientError::Answer)
    }

    /// Copies files out of a VM, as a tar.
    pub async fn get_files(&self, name: &str, get: &GetFiles) -> Result<Files> {
        self.files(&path(name, "", &get.to_query())).await
    }

    /// What is in a directory of a VM.
    pub async fn list_files(&self, name: &str, of: &OfDirectory) -> Result<Listing> {
        let files = self.files(&path(name, "/list", &of.to_query())).await?;
        Ok(Listing {
            files,
            line: Vec::new(),
            rest: Bytes::new(),
        })
    }

    /// Removes files of a VM: paths below a directory, each ended by a NUL.
    pub async fn remove_files(&self, name: &str, of: &OfDirectory, names: Vec<u8>) -> Result<FilesDone> {
        let path = path(name, "/remove", &of.to_query());
        let names = Full::new(Bytes::from(names)).map_err(|never| match never {});
        let response = self.send(build(Method::POST, &path, names.boxed())).await?;
        serde_json::from_slice(&collect(response).await?).map_err(ClientError::Answer)
    }

    async fn files(&self, path: &str) -> Result<Files> {
        let response = self.send(request::<()>(Method::GET, path, None)).await?;
        Ok(Files {
            body: response.into_body(),
            rest: Bytes::new(),
            header: Vec::with_capacity(frame::HEADER),
            frame: None,
        })
    }
}

fn path(name: &str, part: &str, query: &str) -> String {
    format!("/v1/vms/{}/files{part}?{query}", segment(name))
}

/// Files as they come.
#[derive(Debug)]
pub struct Files {
    body: Incoming,
    rest: Bytes,
    header: Vec<u8>,
    frame: Option<Begun>,
}

/// A frame that has begun.
#[derive(Debug)]
struct Begun {
    channel: Channel,
    left: usize,
    control: Vec<u8>,
}

/// A part of files that come.
#[derive(Debug)]
pub enum FilesPart {
    /// Bytes of the tar.
    Bytes(Bytes),
    /// It is whole.
    Done(FilesDone),
}

impl Files {
    /// The next part. After the last one nothing may be asked for.
    ///
    /// # Errors
    /// When the guest could not read a file, in its words, or the stream is cut short.
    pub async fn next(&mut self) -> Result<FilesPart> {
        loop {
            if self.rest.is_empty() {
                let next = self.body.frame().await.ok_or(ClientError::Ended)?;
                self.rest = next.map_err(ClientError::Http)?.into_data().unwrap_or_default();
                continue;
            }
            let Some(frame) = &mut self.frame else {
                let wanted = (frame::HEADER - self.header.len()).min(self.rest.len());
                self.header.extend_from_slice(&self.rest.split_to(wanted));
                self.frame = begun(&self.header)?;
                continue;
            };
            let payload = self.rest.split_to(frame.left.min(self.rest.len()));
            frame.left -= payload.len();
            let is_control = frame.channel == Channel::Control;
            if is_control {
                frame.control.extend_from_slice(&payload);
            }
            if frame.left == 0 {
                let frame = self.frame.take();
                self.header.clear();
                if is_control {
                    return end(&frame.map(|frame| frame.control).unwrap_or_default());
                }
            }
            if !is_control {
                return Ok(FilesPart::Bytes(payload));
            }
        }
    }
}

fn begun(header: &[u8]) -> Result<Option<Begun>> {
    let Some((&[channel, a, b, c, d], _)) = header.split_first_chunk::<{ frame::HEADER }>() else {
        return Ok(None);
    };
    let channel = match channel {
        byte if byte == Channel::Stdout as u8 => Channel::Stdout,
        byte if byte == Channel::Control as u8 => Channel::Control,
        byte => return Err(ClientError::Frame(FrameError::Channel(byte))),
    };
    let len = u32::from_be_bytes([a, b, c, d]);
    // An empty frame would never be over.
    if len as usize > frame::MAX_PAYLOAD || len == 0 {
        return Err(ClientError::Frame(FrameError::TooLong(len)));
    }
    Ok(Some(Begun {
        channel,
        left: len as usize,
        control: Vec::new(),
    }))
}

fn end(control: &[u8]) -> Result<FilesPart> {
    match serde_json::from_slice(control).map_err(ClientError::Answer)? {
        FilesEnd::Done(done) => Ok(FilesPart::Done(done)),
        FilesEnd::Failed(failure) => Err(ClientError::Api(Box::new(ErrorBody {
            code: ErrorCode::Guest,
            message: failure.message,
            causes: failure.causes,
            hints: Vec::new(),
            log: None,
        }))),
    }
}

/// What is in a directory, as it comes.
#[derive(Debug)]
pub struct Listing {
    files: Files,
    line: Vec<u8>,
    rest: Bytes,
}

impl Listing {
    /// The next file; nothing after the last.
    ///
    /// # Errors
    /// As [`Files::next`].
    pub async fn next(&mut self) -> Result<Option<Listed>> {
        loop {
            if let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                self.line.extend_from_slice(&self.rest[..end]);
                self.rest.advance(end + 1);
                let line = std::mem::take(&mut self.line);
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(ClientError::Answer);
            }
            self.line.extend_from_slice(&self.rest);
            if self.line.len() > LONGEST_LINE {
                return Err(ClientError::Frame(FrameError::TooLong(LONGEST_LINE as u32)));
            }
            match self.files.next().await? {
                FilesPart::Bytes(bytes) => self.rest = bytes,
                FilesPart::Done(_) => return Ok(None),
            }
        }
    }
}
