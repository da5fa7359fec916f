//! Which daemon there is, and whether it will do.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use banger_api::{ApiVersion, Paths, Version};

use super::error::DaemonError;
use super::unfit::{Unfit, Why};
use crate::client::Client;
use crate::error::ClientError;

/// Which daemon there is.
#[derive(Debug)]
pub enum Found {
    /// One that speaks our API.
    Fit(Client),
    /// One that does, and should be another one.
    Unfit(Unfit),
    /// None.
    None,
}

/// Looks for the daemon of the state of `paths`. Starts none.
///
/// # Errors
/// When one runs that cannot be understood.
pub async fn find(paths: &Paths) -> Result<Found, DaemonError> {
    let (client, Some(version)) = look(paths).await? else {
        return Ok(Found::None);
    };
    let why = if is_older(&version) {
        let version = version.version.clone();
        Why::Older { version }
    } else if !ApiVersion::CURRENT.understands(version.api) {
        return Err(DaemonError::Newer {
            version: version.version,
            api: version.api,
        });
    } else if let Some(group) = lacking_group(&version) {
        Why::LacksGroup(group)
    } else {
        return Ok(Found::Fit(client));
    };
    Ok(Found::Unfit(Unfit { client, version, why }))
}

/// A client, and which daemon answers if one does, wherever it listens: its environment may have been another one than ours.
///
/// # Errors
/// When the one that runs does not answer as one does.
pub async fn look(paths: &Paths) -> Result<(Client, Option<Version>), DaemonError> {
    for socket in paths.sockets() {
        let client = Client::new(socket).of_this_process();
        match client.version().await {
            Ok(version) => return Ok((client, Some(version))),
            // One that was killed in this instant may have taken the connection and not the request.
            Err(error) if error.is_absence() || matches!(error, ClientError::Http(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((Client::new(paths.socket()).of_this_process(), None))
}

/// The socket of a daemon that listens, without asking it anything.
pub fn listening(paths: &Paths) -> Option<PathBuf> {
    let listens = |socket: &PathBuf| std::os::unix::net::UnixStream::connect(socket).is_ok();
    paths.sockets().into_iter().find(listens)
}

/// The group of /dev/kvm where we are in it and the daemon is not: a user who has just been given it has logged in again, and the
/// daemon has not.
fn lacking_group(version: &Version) -> Option<u32> {
    let daemons = version.groups.as_ref()?;
    let group = std::fs::metadata("/dev/kvm").ok()?.gid();
    let ours = rustix::process::getgroups().ok()?;
    let is_ours = ours.iter().any(|ours| ours.as_raw() == group);
    (is_ours && !daemons.contains(&group)).then_some(group)
}

/// Whether a daemon is older than this program, by its version or its API's.
fn is_older(daemon: &Version) -> bool {
    numbers(&daemon.version) < numbers(env!("CARGO_PKG_VERSION")) || daemon.api < ApiVersion::CURRENT
}

/// The numbers of a version, `1.2.3`. What stands behind them does not make one older.
fn numbers(version: &str) -> Vec<u64> {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    core.split('.')
        .map(|number| number.parse().unwrap_or(0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    #[test]
    fn an_older_version_is_known_by_its_numbers() {
        assert!(numbers("1.2.3") < numbers("1.10.0"));
        assert!(numbers("1.2.3-rc1") == numbers("1.2.3+build"));
        assert!(numbers("nonsense") < numbers("0.1"));
    }

    /// What is found of a daemon that says this of itself.
    async fn found(version: &str, api: ApiVersion) -> Result<Found, DaemonError> {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::below(home.path());
        std::fs::create_dir_all(&paths.runtime).unwrap();
        let listener = UnixListener::bind(paths.socket()).unwrap();
        let body = serde_json::to_string(&Version {
            version: version.to_owned(),
            api,
            build: String::new(),
            pid: 1,
            machines: 0,
            streams: 0,
            groups: None,
        });
        let body = body.unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        });
        find(&paths).await
    }

    #[tokio::test]
    async fn a_daemon_of_another_build_will_do_and_an_older_one_is_named() {
        let ours = env!("CARGO_PKG_VERSION");
        let fit = found(ours, ApiVersion::CURRENT).await;
        assert!(matches!(fit, Ok(Found::Fit(_))), "{fit:?}");
        let newer = found("999.0.0", ApiVersion::CURRENT).await;
        assert!(matches!(newer, Ok(Found::Fit(_))), "{newer:?}");
        let Ok(Found::Unfit(older)) = found("0.0.1", ApiVersion::CURRENT).await else {
            panic!("it is older");
        };
        assert_eq!(
            older.why.to_string(),
            "which is version 0.0.1 and older than this banger"
        );
        let without = found(ours, ApiVersion::NONE).await;
        assert!(matches!(without, Ok(Found::Unfit(_))), "{without:?}");
    }

    #[tokio::test]
    async fn a_daemon_of_a_newer_api_is_not_replaced() {
        let major = ApiVersion::CURRENT.major + 1;
        let newer = found("999.0.0", ApiVersion { major, minor: 0 }).await;
        assert!(matches!(newer, Err(DaemonError::Newer { .. })), "{newer:?}");
    }

    #[tokio::test]
    async fn none_is_found_where_none_listens() {
        let home = tempfile::tempdir().unwrap();
        let none = find(&Paths::below(home.path())).await;
        assert!(matches!(none, Ok(Found::None)), "{none:?}");
    }
}
