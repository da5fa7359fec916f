//! A tar that goes into a guest, counted.

use std::io::{self, Write};

use banger_archive::pack::Sink;
use banger_wire::files::TarWriter;

/// Takes a tar, and tells how many bytes it took.
pub struct Out {
    tar: TarWriter,
    sent: u64,
    count: Box<dyn Fn(u64) + Send>,
}

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Out")
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl Out {
    pub(super) fn new(tar: TarWriter, count: impl Fn(u64) + Send + 'static) -> Self {
        Self {
            tar,
            sent: 0,
            count: Box::new(count),
        }
    }

    pub(super) fn end(self) -> io::Result<()> {
        self.tar.end()
    }

    fn sent(&mut self, len: usize) {
        self.sent += len as u64;
        (self.count)(self.sent);
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.tar.write(bytes)?;
        self.sent(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tar.flush()
    }
}

impl Sink for Out {
    fn room(&mut self) -> io::Result<&mut [u8]> {
        Ok(self.tar.room())
    }

    fn filled(&mut self, len: usize) -> io::Result<()> {
        self.tar.filled(len)?;
        self.sent(len);
        Ok(())
    }
}
