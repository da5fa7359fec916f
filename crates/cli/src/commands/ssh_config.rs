//! `banger ssh-config`

use std::path::PathBuf;

use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::{connection, exit, print};

use serde_json::json;

use crate::ssh::config_file::{read, replace};
use crate::ssh::{ZONE, block, included, on_path, options, preferred_cipher, proxy_command};

/// Configure ssh on this host to reach VMs as NAME.vm
///
/// Afterwards ssh, scp, sftp, rsync, `git clone ssh://NAME.vm/root/repo`, Ansible and editors that use SSH reach every
/// VM by name, including VMs that are created later. --install adds one marked block to ~/.ssh/config, which includes a
/// file that banger maintains; the rest of ~/.ssh/config is not changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger ssh-config --install
  banger ssh-config --print > vms.conf && ssh -F vms.conf web.vm
  banger ssh-config --uninstall")]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Add the configuration to ~/.ssh/config
    #[arg(long)]
    install: bool,
    /// Print the configuration
    #[arg(long)]
    print: bool,
    /// Remove the configuration from ~/.ssh/config
    #[arg(long)]
    uninstall: bool,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    match args.what {
        What { install: true, .. } => install(args.output).await?,
        What { uninstall: true, .. } => uninstall(args.output)?,
        What { .. } => {
            let text = configuration().await?;
            let print = |_: &_| print::text(text.trim_end());
            args.output.print(&json!({ "configuration": text }), print)?;
        }
    }
    Ok(exit::OK)
}

/// Whether the configuration is installed.
pub(crate) fn is_installed() -> Result<bool, Failure> {
    let users = users_file()?;
    let text = read(&users)
        .map_err(|error| Failure::during(format!("failed to read {}", users.display()), &error))?;
    let ours = included(&our_file()?)?;
    Ok(text
        .split(|&byte| byte == b'\n')
        .any(|line| line.trim_ascii() == format!("Include {ours}").as_bytes()))
}

async fn install(output: Output) -> Result<(), Failure> {
    let (users, ours) = (users_file()?, our_file()?);
    let text = configuration().await?;
    let failed = |path: &PathBuf| {
        let what = format!("failed to write {}", path.display());
        move |error| Failure::during(what, &error)
    };
    if read(&ours).map_err(failed(&ours))? != text.as_bytes() {
        replace(&ours, text.as_bytes()).map_err(failed(&ours))?;
    }
    let before = read(&users).map_err(failed(&users))?;
    let after = block::installed(&before, &included(&ours)?).map_err(|error| unmatched(&users, error))?;
    if after != before {
        replace(&users, &after).map_err(failed(&users))?;
    }
    output.print(&json!({ "file": users, "included": ours }), |_| {
        print::line(&format!(
            "{} includes {}; connect with `ssh NAME{ZONE}`",
            users.display(),
            ours.display()
        ));
    })
}

fn uninstall(output: Output) -> Result<(), Failure> {
    let (users, ours) = (users_file()?, our_file()?);
    let failed = |error| Failure::during(format!("failed to write {}", users.display()), &error);
    let before = read(&users).map_err(failed)?;
    let after = block::removed(&before).map_err(|error| unmatched(&users, error))?;
    if after != before {
        replace(&users, &after).map_err(failed)?;
    }
    match std::fs::remove_file(&ours) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::during(
                format!("failed to remove {}", ours.display()),
                &error,
            ));
        }
        _ => {}
    }
    output.print(&json!({ "file": users, "removed": ours }), |_| {
        print::line(&format!(
            "removed banger's configuration from {}",
            users.display()
        ));
    })
}

fn unmatched(users: &std::path::Path, error: block::Unmatched) -> Failure {
    let mut failure = Failure::during(format!("failed to parse {}", users.display()), &error);
    failure.add_hint("edit the file: correct or remove the lines from `# BEGIN banger` on");
    failure
}

/// The ssh configuration for all VMs, as one host pattern.
async fn configuration() -> Result<String, Failure> {
    let access = connection::connect().await?.ssh_access().await?;
    let cipher = match on_path("ssh") {
        Some(ssh) => preferred_cipher(&ssh).await,
        None => None,
    };
    let mut text = format!(
        "# Written by banger; `banger ssh-config --install` updates this file.\nHost *{ZONE} \"!*'*\"\n"
    );
    for option in options(&access, &proxy_command(None, false)?, cipher)? {
        text.push_str("    ");
        text.push_str(&option);
        text.push('\n');
    }
    Ok(text)
}

/// The user's own ssh configuration.
fn users_file() -> Result<PathBuf, Failure> {
    let home = std::env::home_dir().filter(|home| home.is_absolute());
    let home = home.ok_or_else(|| Failure::new("failed to find the home directory", &["set HOME"]))?;
    Ok(home.join(".ssh/config"))
}

fn our_file() -> Result<PathBuf, Failure> {
    Ok(connection::paths()?.config.join("ssh_config"))
}
