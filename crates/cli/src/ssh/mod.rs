//! The SSH client of the host, and its options for VMs, with which it asks nothing.

pub(crate) mod block;
pub(crate) mod config_file;

use std::path::{Path, PathBuf};

use banger_api::SshAccess;
use banger_command::failure::Failure;
use banger_model::shell_word;
use tokio::process::Command;

/// The host name suffix of VMs for SSH: `NAME.vm`.
pub(crate) const ZONE: &str = ".vm";

/// The default user in a VM.
const USER: &str = "root";

/// The cipher that processors have instructions for; it bounds the throughput between host and guest.
const FASTEST: &str = "aes128-gcm@openssh.com";

/// Variables of the user for commands in VMs, as `banger vm exec` passes them on.
pub(crate) const SENT: &str = "SendEnv TZ COLORTERM";

/// Finds a program of the host.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|program| program.is_file() && rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok())
}

/// The path of this program, by the name that stays valid when another version is installed.
pub(crate) fn ourselves() -> Result<PathBuf, Failure> {
    let us =
        std::env::current_exe().map_err(|error| Failure::during("failed to find this program", &error))?;
    let same = |program: &PathBuf| program.canonicalize().is_ok_and(|found| found == us);
    Ok(on_path("banger").filter(same).unwrap_or(us))
}

/// The option of ssh_config(5) that prefers the fastest cipher; none if the client does not know it, like clients that
/// are built without OpenSSL, which reject options with unknown ciphers.
pub(crate) async fn preferred_cipher(ssh: &Path) -> Option<String> {
    let listed = Command::new(ssh).args(["-Q", "cipher"]).output().await.ok()?;
    let mut known = listed.stdout.split(|&byte| byte == b'\n');
    known
        .any(|cipher| cipher == FASTEST.as_bytes())
        .then(|| format!("Ciphers ^{FASTEST}"))
}

/// Options of ssh_config(5) for VMs, one per line. `reach` is the proxy command.
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
        SENT.to_owned(),
    ];
    Ok(said.into_iter().chain(cipher).collect())
}

/// The proxy command for VM `name`, or for the host name that ssh inserts.
pub(crate) fn proxy_command(name: Option<&str>, sshd: bool) -> Result<String, Failure> {
    let mut words = Vec::new();
    // The same home for programs without this variable in their environment.
    if let Some(home) = std::env::var_os("BANGER_HOME") {
        words.push("env".to_owned());
        words.push(shell_word(&format!("BANGER_HOME={}", text(Path::new(&home))?)));
    }
    words.push(shell_word(text(&ourselves()?)?));
    let command = words.join(" ").replace('%', "%%");
    let sshd = if sshd { " --sshd" } else { "" };
    // ssh inserts the name, and a shell parses it: `ssh_config` excludes names with a quote.
    let name = match name {
        Some(name) => shell_word(name).replace('%', "%%"),
        None => "'%h'".to_owned(),
    };
    Ok(format!("{command} vm ssh-proxy{sshd} -- {name}"))
}

/// A path as a word of ssh_config(5), which cannot express a quote inside quotes.
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

/// A path for `Include` in ssh_config(5): a pattern of glob(3), in which newer versions of ssh also expand tokens and
/// variables. Every character with a meaning is replaced by `?`, which matches any character.
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
