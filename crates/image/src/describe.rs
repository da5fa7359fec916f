//! What a user is told of this crate's errors beside their messages.

use banger_model::{Describe, ErrorCode};

use crate::{Error, catalog};

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        self.kind()
    }

    fn hints(&self) -> Vec<String> {
        Self::hints(self)
    }
}

impl Describe for catalog::Error {
    fn code(&self) -> ErrorCode {
        self.kind()
    }

    fn hints(&self) -> Vec<String> {
        Self::hints(self)
    }
}
