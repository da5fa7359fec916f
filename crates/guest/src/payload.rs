//! The payload of one channel over a stream of [`crate::frame`] that blocks, with buffers that are used again: a page fault may
//! cost more than a copy of the page.

use std::io::{self, BufReader, Read, Write};

use crate::frame::{self, Channel, HEADER, MAX_PAYLOAD};

/// Bytes of a frame that is written, header and all. Each write ends with a packet of vsock that may be nearly empty, and costs as
/// much as a full one of 64 KiB: of large frames there are few.
const FRAME: usize = 1 << 20;

/// What small reads are made of; large ones go past it.
const SMALL: usize = 32 << 10;

/// What comes on a channel, up to an empty frame of it or a control frame.
#[derive(Debug)]
pub struct PayloadReader<R> {
    from: BufReader<R>,
    channel: Channel,
    /// Of the frame that has begun.
    left: usize,
    ended: bool,
    control: Option<Vec<u8>>,
}

impl<R: Read> PayloadReader<R> {
    /// What comes `from` a stream on a channel.
    pub fn new(from: R, channel: Channel) -> Self {
        Self {
            from: BufReader::with_capacity(SMALL, from),
            channel,
            left: 0,
            ended: false,
            control: None,
        }
    }

    /// Whether all has come.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Reads the rest, and gives the control frame that ended it, if one did.
    ///
    /// # Errors
    /// When the stream broke, or is none of frames.
    pub fn end(mut self) -> io::Result<Option<Vec<u8>>> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.control)
    }

    /// Begins the next frame.
    fn begin(&mut self) -> io::Result<()> {
        let mut header = [0; HEADER];
        self.from.read_exact(&mut header)?;
        let [channel, a, b, c, d] = header;
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        if len > MAX_PAYLOAD {
            return Err(io::Error::other("a frame is longer than one may be"));
        }
        if channel == Channel::Control as u8 {
            let mut control = vec![0; len];
            self.from.read_exact(&mut control)?;
            self.control = Some(control);
            self.ended = true;
        } else if channel == self.channel as u8 {
            self.left = len;
            self.ended = len == 0;
        } else {
            return Err(io::Error::other("a frame of another channel"));
        }
        Ok(())
    }
}

impl<R: Read> Read for PayloadReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 && !self.ended {
            self.begin()?;
        }
        let want = buffer.len().min(self.left);
        // Even a read of nothing would wait for what comes next.
        if want == 0 {
            return Ok(0);
        }
        let read = self.from.read(&mut buffer[..want])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        Ok(read)
    }
}

/// What goes on a channel.
#[derive(Debug)]
pub struct PayloadWriter<W> {
    to: W,
    channel: Channel,
    /// A frame in the making, with room for its header, and how much of its payload is filled.
    frame: Vec<u8>,
    len: usize,
}

impl<W: Write> PayloadWriter<W> {
    /// What goes `to` a stream on a channel.
    pub fn new(to: W, channel: Channel) -> Self {
        Self {
            to,
            channel,
            frame: vec![0; FRAME],
            len: 0,
        }
    }

    /// Room for bytes that come next: one at least.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.frame[HEADER + self.len..]
    }

    /// Takes so many bytes that were put there.
    ///
    /// # Errors
    /// When the stream takes no more.
    pub fn filled(&mut self, len: usize) -> io::Result<()> {
        self.len += len;
        if HEADER + self.len == self.frame.len() {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Ends the channel with an empty frame.
    ///
    /// # Errors
    /// When the stream takes no more.
    pub fn end(mut self) -> io::Result<()> {
        self.flush()?;
        self.to.write_all(&frame::header(self.channel, 0))
    }

    /// Ends it with a control frame.
    ///
    /// # Errors
    /// When the stream takes no more.
    pub fn end_with(mut self, control: &[u8]) -> io::Result<()> {
        self.flush()?;
        self.to.write_all(&frame::encode(Channel::Control, control))
    }
}

impl<W: Write> Write for PayloadWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room();
        let taken = bytes.len().min(room.len());
        room[..taken].copy_from_slice(&bytes[..taken]);
        self.filled(taken)?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.len == 0 {
            return Ok(());
        }
        let payload = std::mem::take(&mut self.len);
        self.frame[..HEADER].copy_from_slice(&frame::header(self.channel, payload));
        self.to.write_all(&self.frame[..HEADER + payload])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> io::Result<(Vec<u8>, Option<Vec<u8>>)> {
        let mut reader = PayloadReader::new(bytes, Channel::Stdout);
        let mut all = Vec::new();
        reader.read_to_end(&mut all)?;
        assert!(reader.is_ended());
        Ok((all, reader.end()?))
    }

    #[test]
    fn what_is_written_is_read_and_no_more() {
        let large = vec![7; FRAME + 3];
        let mut bytes = Vec::new();
        let mut writer = PayloadWriter::new(&mut bytes, Channel::Stdout);
        writer.write_all(b"small").unwrap();
        writer.flush().unwrap();
        writer.write_all(&large).unwrap();
        writer.end().unwrap();
        bytes.extend_from_slice(b"not ours");
        assert_eq!(read(&bytes).unwrap(), ([b"small", &large[..]].concat(), None));
    }

    #[test]
    fn a_control_frame_ends_it() {
        let mut bytes = Vec::new();
        let mut writer = PayloadWriter::new(&mut bytes, Channel::Stdout);
        writer.write_all(b"a").unwrap();
        writer.end_with(b"{}").unwrap();
        assert_eq!(read(&bytes).unwrap(), (b"a".to_vec(), Some(b"{}".to_vec())));
    }

    #[test]
    fn what_is_cut_short_or_no_frame_is_an_error() {
        let frame = frame::encode(Channel::Stdout, b"abc");
        for bytes in [
            &b""[..],
            &frame[..3],
            &frame[..7],
            &frame,
            b"\x02\xff\xff\xff\xff",
        ] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
        assert!(read(&frame::encode(Channel::Stdin, b"")).is_err());
    }

    #[test]
    fn a_read_of_nothing_waits_for_nothing() {
        struct Never;
        impl Read for Never {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("it waits")
            }
        }
        let bytes = frame::encode(Channel::Stdin, b"");
        let mut reader = PayloadReader::new(bytes.as_slice().chain(Never), Channel::Stdin);
        assert_eq!(reader.read(&mut [0; 9]).unwrap(), 0);
        assert_eq!(reader.read(&mut [0; 9]).unwrap(), 0);
    }
}
