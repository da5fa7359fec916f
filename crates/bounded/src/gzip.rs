//! Gzip (RFC 1952), read as GNU gzip reads it: members one after the other, and what follows the last one, such as the
//! padding of tapes, is passed over. Where the caller verifies a digest of what comes out, the CRC-32 of each member is
//! passed over, too, which is a twentieth of the work.

use std::io::{self, BufRead, ErrorKind, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

/// The flags of a member's header (RFC 1952, 2.3.1).
mod flag {
    pub(super) const HEADER_CRC: u8 = 1 << 1;
    pub(super) const EXTRA: u8 = 1 << 2;
    pub(super) const NAME: u8 = 1 << 3;
    pub(super) const COMMENT: u8 = 1 << 4;
    pub(super) const RESERVED: u8 = 0b1110_0000;
}

/// The longest name or comment that is passed over.
const LONGEST_TEXT: u64 = 64 << 10;

/// The content of all members, one after the other. That each has the length that it says is checked.
pub(crate) struct Members<R> {
    from: R,
    inflate: Decompress,
    /// Of the member's content, if it is looked at.
    crc: Option<Crc>,
    at: At,
}

enum At {
    Start,
    Content,
    /// Between members, or at the end.
    Between,
    End,
}

impl<R: BufRead> Members<R> {
    pub(crate) fn new(from: R, is_checked: bool) -> Self {
        Self {
            from,
            inflate: Decompress::new(false),
            crc: is_checked.then(Crc::new),
            at: At::Start,
        }
    }

    fn header(&mut self) -> io::Result<()> {
        let mut fixed = [0x1f; 10];
        let taken = usize::from(matches!(self.at, At::Between));
        self.from.read_exact(&mut fixed[taken..])?;
        let [0x1f, 0x8b, 8, flags, ..] = fixed else {
            return Err(invalid("not a gzip header"));
        };
        if flags & flag::RESERVED != 0 {
            return Err(invalid("a gzip header with unknown flags"));
        }
        if flags & flag::EXTRA != 0 {
            let mut len = [0; 2];
            self.from.read_exact(&mut len)?;
            self.pass(u16::from_le_bytes(len).into())?;
        }
        for text in [flag::NAME, flag::COMMENT] {
            if flags & text != 0 {
                self.pass_text()?;
            }
        }
        if flags & flag::HEADER_CRC != 0 {
            self.pass(2)?;
        }
        Ok(())
    }

    fn pass(&mut self, len: u64) -> io::Result<()> {
        let passed = io::copy(&mut self.from.by_ref().take(len), &mut io::sink())?;
        if passed < len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn pass_text(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        self.from.by_ref().take(LONGEST_TEXT).read_until(0, &mut text)?;
        if text.last() != Some(&0) {
            return Err(invalid("a gzip header has a name or comment without an end"));
        }
        Ok(())
    }

    /// The CRC-32 and the length, of which the lower 32 bits are written.
    fn trailer(&mut self) -> io::Result<()> {
        let mut trailer = [0; 8];
        self.from.read_exact(&mut trailer)?;
        let [c0, c1, c2, c3, len @ ..] = trailer;
        let written = u32::from_le_bytes([c0, c1, c2, c3]);
        if self.crc.as_ref().is_some_and(|crc| crc.sum() != written) {
            return Err(invalid("a gzip member has a wrong checksum"));
        }
        if u32::from_le_bytes(len) != self.inflate.total_out() as u32 {
            return Err(invalid("a gzip member has a wrong length"));
        }
        Ok(())
    }

    /// Goes to the next member's content; false if there is none.
    fn begin(&mut self) -> io::Result<bool> {
        if matches!(self.at, At::Between) && !self.is_member()? {
            // To the end, for whoever has to hash all that came.
            io::copy(&mut self.from, &mut io::sink())?;
            self.at = At::End;
        }
        if matches!(self.at, At::End) {
            return Ok(false);
        }
        self.header()?;
        self.inflate.reset(false);
        if let Some(crc) = &mut self.crc {
            crc.reset();
        }
        self.at = At::Content;
        Ok(true)
    }

    /// Whether another member begins. The mark's first byte is taken then.
    fn is_member(&mut self) -> io::Result<bool> {
        let first = self.from.fill_buf()?.first().copied();
        if first != Some(0x1f) {
            return Ok(false);
        }
        self.from.consume(1);
        Ok(self.from.fill_buf()?.first() == Some(&0x8b))
    }

    /// Decompresses what there is; 0 bytes may have come of it.
    fn step(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let input = self.from.fill_buf()?;
        let ended = input.is_empty();
        let before = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(input, buffer, FlushDecompress::None)
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        let used = (self.inflate.total_in() - before.0) as usize;
        let made = (self.inflate.total_out() - before.1) as usize;
        self.from.consume(used);
        if let Some(crc) = &mut self.crc {
            crc.update(&buffer[..made]);
        }
        match status {
            Status::StreamEnd => {
                self.trailer()?;
                self.at = At::Between;
            }
            Status::Ok | Status::BufError if ended && made == 0 => {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            Status::Ok | Status::BufError => {}
        }
        Ok(made)
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !matches!(self.at, At::Content) && !self.begin()? {
                return Ok(0);
            }
            match self.step(buffer)? {
                0 => {}
                made => return Ok(made),
            }
        }
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests;
