//! What a program printed, and checks that say what it was when it is not as expected.

use anyhow::{Context, Result, ensure};

/// How a program ended and what it printed.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub line: String,
    /// Its exit code; 128 and more for a signal.
    pub code: i32,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Its standard output as text, without the last newline.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// Itself, if it exited with `code`.
    ///
    /// # Errors
    /// With everything it printed, if not.
    pub fn exited(self, code: i32) -> Result<Self> {
        ensure!(
            self.code == code,
            "`{}` exited with {} and not {code}\nstdout: {}\nstderr: {}",
            self.line,
            self.code,
            self.text(),
            self.stderr
        );
        Ok(self)
    }

    /// Itself, if it did not succeed.
    ///
    /// # Errors
    /// With everything it printed, if it did.
    pub fn failed(self) -> Result<Self> {
        ensure!(
            self.code != 0,
            "`{}` succeeded\nstdout: {}\nstderr: {}",
            self.line,
            self.text(),
            self.stderr
        );
        Ok(self)
    }

    /// Itself, if it succeeded.
    ///
    /// # Errors
    /// As [`Output::exited`].
    pub fn ok(self) -> Result<Self> {
        self.exited(0)
    }

    /// The command in the hint or note that has these words: what stands between backticks.
    ///
    /// # Errors
    /// With what it printed, if there is none.
    pub fn hint(&self, words: &str) -> Result<String> {
        let is_one = |line: &&str| line.starts_with("hint: ") || line.starts_with("note: ");
        let mut lines = self.stderr.lines().filter(is_one);
        let line = lines.find(|line| line.contains(words));
        line.and_then(|line| line.split('`').nth(1))
            .map(str::to_owned)
            .with_context(|| format!("`{}` has no hint with `{words}` but: {}", self.line, self.stderr))
    }

    /// Itself, if it printed these words to its standard error.
    ///
    /// # Errors
    /// With what it printed, if not.
    pub fn saying(self, words: &str) -> Result<Self> {
        ensure!(
            self.stderr.contains(words),
            "`{}` did not say `{words}` but: {}",
            self.line,
            self.stderr
        );
        Ok(self)
    }
}
