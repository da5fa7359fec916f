//! The host's SSH clients, as they use a home's VMs.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::home::Home;
use crate::output::Output;

/// A configuration of ssh that knows a home's VMs.
#[derive(Debug)]
pub struct Ssh<'a> {
    home: &'a Home,
    /// The file, for programs that take one.
    pub config: PathBuf,
}

impl<'a> Ssh<'a> {
    /// What `banger ssh-config --print` says.
    ///
    /// # Errors
    /// When it says nothing.
    pub fn of(home: &'a Home) -> Result<Self> {
        let printed = home.banger(["ssh-config", "--print"])?.ok()?;
        let config = home.path().join("vms.conf");
        std::fs::write(&config, &printed.stdout).context("write ssh's configuration")?;
        Ok(Self { home, config })
    }

    /// A client that takes `-F`, to be started.
    pub fn client<S: AsRef<OsStr>>(&self, program: &str, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.home.program(program);
        command.arg("-F").arg(&self.config).args(args);
        command
    }

    /// Runs such a client.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run<S: AsRef<OsStr>>(&self, program: &str, args: impl IntoIterator<Item = S>) -> Result<Output> {
        self.home.finish(self.client(program, args), Vec::new())
    }

    /// Runs a line of shell by ssh, which must succeed, and gives what it prints.
    ///
    /// # Errors
    /// When it does not succeed.
    pub fn sh(&self, host: &str, line: &str) -> Result<String> {
        Ok(self.run("ssh", [host, line])?.ok()?.text())
    }

    /// The value of `GIT_SSH_COMMAND`, and of rsync's `-e`.
    pub fn command_line(&self) -> String {
        format!("ssh -F {}", self.config.display())
    }
}
