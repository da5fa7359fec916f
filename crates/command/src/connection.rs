//! Connects to the daemon: starts it when none is running, and replaces it, with a note, when it is older than this
//! program.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use banger_api::{Paths, Version};
use banger_client::daemon::{self, DaemonError, Found};
use banger_client::{Client, ClientError};

use crate::failure::Failure;
use crate::{ask, exit, print};

/// Connects to a running daemon that speaks this API version; starts one if necessary.
pub async fn connect() -> Result<Client, Failure> {
    let paths = paths()?;
    let program = daemon::program()?;
    match daemon::find(&paths).await? {
        Found::Fit(client) => return Ok(client),
        Found::Unfit(unfit) => {
            let why = unfit.why;
            refuse_to_cut(&unfit.version, &format!("restarting bangerd, {why},"))?;
            print::notice!("note: restarting bangerd, {why}; VMs keep running");
            unfit.client.stop_daemon(true).await?;
            daemon::wait_for_end(&unfit.version).await?;
        }
        Found::None => {}
    }
    Ok(daemon::start(&paths, &program).await?)
}

/// The directories of banger.
pub fn paths() -> Result<Paths, Failure> {
    Ok(Paths::from_env().map_err(DaemonError::Paths)?)
}

/// A client, and the version of the daemon if one is running. Starts no daemon.
pub async fn look() -> Result<(Client, Option<Version>), Failure> {
    Ok(daemon::look(&paths()?).await?)
}

/// Asks before `what` ("stopping the daemon") cuts off shells, commands and copies that run through the daemon. Fails where
/// nobody can be asked.
pub fn refuse_to_cut(version: &Version, what: &str) -> Result<(), Failure> {
    let streams = match version.streams {
        0 => return Ok(()),
        1 => "1 shell, command or copy".to_owned(),
        many => format!("{many} shells, commands or copies"),
    };
    let instead = "banger daemon stop --force";
    let refused = || {
        let message = format!("{what} would cut off {streams}");
        let hint = format!("wait until they end, or cut them off with `{instead}`; VMs keep running");
        Failure::new(message, &[&hint]).exiting(exit::CONFLICT)
    };
    if !io::stdin().is_terminal() {
        return Err(refused());
    }
    let question = format!("{what} will cut off {streams}. Continue?");
    match ask::sure(&question, instead)? {
        true => Ok(()),
        false => Err(refused()),
    }
}

/// Asks a daemon for what it answers late, and the next daemon if that one ends meanwhile.
///
/// # Errors
/// The answer of a daemon, or that several in a row ended at once.
pub async fn across_restarts<T>(ask: impl AsyncFn(&Client) -> Result<T, ClientError>) -> Result<T, Failure> {
    /// How many may end at once before that is no restart.
    const TRIES: u32 = 5;
    /// How long one lives that has not ended at once.
    const AT_ONCE: Duration = Duration::from_secs(1);
    let mut tries = 0;
    loop {
        let client = connect().await?;
        let since = Instant::now();
        match ask(&client).await {
            Ok(answer) => return Ok(answer),
            Err(error @ ClientError::Api(_)) => return Err(error.into()),
            Err(_) if since.elapsed() > AT_ONCE => tries = 0,
            Err(error) if tries >= TRIES => return Err(error.into()),
            Err(_) => tries += 1,
        }
    }
}
