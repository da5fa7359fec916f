//! `banger vm ssh`

use std::os::unix::process::CommandExt;
use std::process::Command;

use banger_api::SshAccess;
use banger_command::failure::Failure;
use banger_command::{complete, connection};
use banger_model::Phase;
use banger_model::shell_word;

use crate::ssh::{SENT, ZONE, on_path, options, ourselves, preferred_cipher, proxy_command, quoted};

/// Connect to a VM with this host's ssh
///
/// The image needs no SSH server, no user account and no network, because banger's agent answers. Host key and user key
/// are set up, so ssh asks nothing. Arguments after the name are passed to ssh; a command goes after `--`, either as
/// one line for the guest's shell or as separate words. Exits with ssh's exit code: that of the command, or 255.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm ssh web                               open a shell
  banger vm ssh web -- uname -a
  banger vm ssh web -- 'cd /srv && ls'
  banger vm ssh web -A -L 5432:localhost:5432     forward your SSH agent, and a port
  banger vm ssh --sshd --user dev web             use the image's own SSH server

After `banger ssh-config --install`, `ssh web.vm` and other SSH tools work too.")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    name: String,
    /// User to log in as; root if omitted
    #[arg(long, short)]
    user: Option<String>,
    /// Connect to the image's own SSH server, on port 22
    #[arg(long)]
    sshd: bool,
    /// Options for ssh
    #[arg(value_name = "SSH OPTION", allow_hyphen_values = true)]
    options: Vec<String>,
    /// Command and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let args = args.split();
    let ssh = on_path("ssh").ok_or_else(|| {
        let hint = format!(
            "install ssh (Debian: openssh-client), or use `banger vm shell {}`, which does not need it",
            args.name
        );
        Failure::new("ssh not found on PATH", &[&hint]).before_command()
    })?;
    let (access, cipher) = tokio::join!(look(&args.name), preferred_cipher(&ssh));
    let access = access.map_err(Failure::before_command)?;
    let mut command = Command::new(ssh);
    for option in said(&args, &access, cipher)? {
        command.arg("-o").arg(option);
    }
    if let Some(user) = &args.user {
        command.arg("-l").arg(user);
    }
    command.args(&args.options);
    command.arg("--").arg(format!("{}{ZONE}", args.name));
    command.args(line(&args.command));
    let failed = command.exec();
    Err(Failure::during("failed to run ssh", &failed).before_command())
}

impl Args {
    /// Splits off the command after `--`, which clap leaves among the options if there are any.
    fn split(mut self) -> Self {
        if let Some(end) = self.options.iter().position(|option| option == "--") {
            let mut command = self.options.split_off(end);
            command.remove(0);
            command.append(&mut self.command);
            self.command = command;
        }
        self
    }
}

/// Returns the files for ssh, after checking that the VM is running: ssh could only report that the proxy ended.
async fn look(name: &str) -> Result<SshAccess, Failure> {
    let client = connection::connect().await?;
    let vm = client.vm(name).await?;
    if vm.phase != Phase::Running {
        let hint = format!("start it with `banger vm start {name}`");
        return Err(Failure::new(
            format!("VM `{name}` is {}, not running", vm.phase),
            &[&hint],
        ));
    }
    Ok(client.ssh_access().await?)
}

/// The options for ssh.
fn said(args: &Args, access: &SshAccess, cipher: Option<String>) -> Result<Vec<String>, Failure> {
    // The name of an existing VM is a host name, which needs no quoting in any shell.
    let reach = proxy_command(Some(&args.name), args.sshd)?;
    if !args.sshd {
        let said = options(access, &reach, cipher)?;
        // `-l` passes an explicit user.
        return Ok(said
            .into_iter()
            .filter(|option| args.user.is_none() || !option.starts_with("User "))
            .collect());
    }
    // The host keys are those of the image. The agent reads them, so they are not trusted on first use; the image
    // decides who may log in.
    let us = quoted(&ourselves()?)?;
    let mut said = vec![
        format!("ProxyCommand {reach}"),
        format!("IdentityFile {}", quoted(&access.identity)?),
        format!("KnownHostsCommand {us} vm ssh-keys {}", args.name),
        "UserKnownHostsFile /dev/null".to_owned(),
        "GlobalKnownHostsFile /dev/null".to_owned(),
        "StrictHostKeyChecking yes".to_owned(),
        "UpdateHostKeys no".to_owned(),
        SENT.to_owned(),
    ];
    if args.user.is_none() {
        said.push("User root".to_owned());
    }
    Ok(said)
}

/// One argument is a line for the guest's shell; several arguments are words, which are quoted.
fn line(command: &[String]) -> Option<String> {
    match command {
        [] => None,
        [line] => Some(line.clone()),
        words => {
            let words: Vec<_> = words.iter().map(|word| shell_word(word)).collect();
            Some(words.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Args, line};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn options_are_sshs_and_the_rest_is_the_command() {
        let parsed = |line: &str| Line::parse_from(line.split(' ')).args.split();
        let args = parsed("ssh --user me web -A -L 1:h:2 -- sh -c -- x");
        assert_eq!(args.options, ["-A", "-L", "1:h:2"]);
        assert_eq!(args.command, ["sh", "-c", "--", "x"]);
        assert_eq!(args.user.as_deref(), Some("me"));
        let args = parsed("ssh --sshd web -- -A");
        assert!(args.sshd && args.options.is_empty());
        assert_eq!(args.command, ["-A"]);
    }

    #[test]
    fn a_line_is_a_line_and_words_are_words() {
        let line = |words: &[&str]| line(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert_eq!(line(&[]), None);
        assert_eq!(line(&["a && b"]).unwrap(), "a && b");
        assert_eq!(line(&["sh", "-c", "echo $A"]).unwrap(), "sh -c 'echo $A'");
    }
}
