//! The host's own SSH client: where it is, and what it is told so that it knows VMs without asking anybody.

pub(crate) mod block;
pub(crate) mod config_file;

use std::path::{Path, PathBuf};

use banger_api::SshAccess;
use banger_command::failure::Failure;
use banger_model::shell_word;
use tokio::process::Command;

/// What VMs are called for SSH: `NAME.vm`.
pub(crate) const ZONE: &str = ".vm";

/// Who one is in a VM when nothing is said.
const USER: &str = "root";

/// Processors have instructions for it, and what is between host and guest is only as fast as they are.
const FASTEST: &str = "aes128-gcm@openssh.com";

/// A program of the host.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|program| program.is_file() && rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok())
}

/// This program, by the name that stays when another version of it is installed.
pub(crate) fn ourselves() -> Result<PathBuf, Failure> {
    let us =
        std::env::current_exe().map_err(|error| Failure::during("failed to find this program", &error))?;
    let same = |program: &PathBuf| program.canonicalize().is_ok_and(|found| found == us);
    Ok(on_path("banger").filter(same).unwrap_or(us))
}

/// The option of ssh_config(5) that prefers the fastest cipher; nothing if the client does not know that one, as those that are
/// built without OpenSSL do not: they refuse an option with a cipher that is none to them.
pub(crate) async fn preferred_cipher(ssh: &Path) -> Option<String> {
    let listed = Command::new(ssh).args(["-Q", "cipher"]).output().await.ok()?;
    let mut known = listed.stdout.split(|&byte| byte == b'\n');
    known
        .any(|cipher| cipher == FASTEST.as_bytes())
        .then(|| format!("Ciphers ^{FASTEST}"))
}

/// Options of ssh_config(5) by which VMs are known and reached, one a line. `reach` is the proxy command.
pub(crate) fn options(
    access: &SshAccess,
    reach: &str,
    cipher: Option<String>,
) -> Result<Vec<String>, Failure> {
    let said = vec![
        format!("ProxyCommand {reach}"),
        format!("User {USER}"),
        format!("IdentityFile {}", quoted(&access.identity)?),
        "IdentitiesOnly yes".to_owned(),
        format!("UserKnownHostsFile {}", quoted(&access.known_hosts)?),
        "GlobalKnownHostsFile /dev/null".to_owned(),
        "HostKeyAlgorithms ssh-ed25519".to_owned(),
        "StrictHostKeyChecking yes".to_owned(),
        "UpdateHostKeys no".to_owned(),
        "CheckHostIP no".to_owned(),
    ];
    Ok(said.into_iter().chain(cipher).collect())
}

/// The proxy command for the VM that `name` stands for.
pub(crate) fn proxy_command(name: Option<&str>, sshd: bool) -> Result<String, Failure> {
    let mut words = Vec::new();
    // The same banger, for whoever comes without its variable.
    if let Some(home) = std::env::var_os("BANGER_HOME") {
        words.push("env".to_owned());
        words.push(shell_word(&format!("BANGER_HOME={}", text(Path::new(&home))?)));
    }
    words.push(shell_word(text(&ourselves()?)?));
    let command = words.join(" ").replace('%', "%%");
    let sshd = if sshd { " --sshd" } else { "" };
    // ssh puts the name in, and a shell reads it: `ssh_config` keeps names with a quote in them from it.
    let name = match name {
        Some(name) => shell_word(name).replace('%', "%%"),
        None => "'%h'".to_owned(),
    };
    Ok(format!("{command} vm ssh-proxy{sshd} -- {name}"))
}

/// A path as a word of ssh_config(5), which has no way to write a quote in quotes.
pub(crate) fn quoted(path: &Path) -> Result<String, Failure> {
    let path = text(path)?;
    if path.contains(['"', '\n']) {
        return Err(Failure::new(
            format!("path with quotes or newlines in the ssh configuration: {path}"),
            &["set BANGER_HOME to a directory without quotes in its name"],
        ));
    }
    Ok(format!("\"{}\"", path.replace('%', "%%")))
}

/// A path as what ssh_config(5) includes: a pattern of glob(3), in which newer versions of ssh have tokens and variables, too,
/// and older ones do not. What has a meaning to any of them is written as any one character.
pub(crate) fn included(path: &Path) -> Result<String, Failure> {
    let path = text(path)?.replace(['%', '$', '*', '[', ']', '\\', '"', '\n'], "?");
    Ok(format!("\"{path}\""))
}

fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| {
        Failure::new(
            format!("path in the ssh configuration is not UTF-8: {}", path.display()),
            &["use a directory whose name is UTF-8"],
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted() {
        assert_eq!(quoted(Path::new("/a b/50%")).unwrap(), "\"/a b/50%%\"");
        assert!(quoted(Path::new("/a\"b")).is_err());
    }
}
