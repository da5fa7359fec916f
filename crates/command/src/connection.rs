//! The daemon as a command finds it: started when none runs, replaced when it is older than this program, saying so.

use std::io::{self, IsTerminal};

use banger_api::{Paths, Version};
use banger_client::Client;
use banger_client::daemon::{self, DaemonError, Found};

use crate::failure::Failure;
use crate::{ask, exit, print};

/// A client of a daemon that runs and speaks our API.
pub async fn connect() -> Result<Client, Failure> {
    let paths = paths()?;
    let program = daemon::program()?;
    match daemon::find(&paths).await? {
        Found::Fit(client) => return Ok(client),
        Found::Unfit(unfit) => {
            let why = unfit.why;
            refuse_to_cut(&unfit.version, &format!("bangerd must be restarted, {why}"))?;
            print::say!("note: restarting bangerd, {why}; VMs run on");
            unfit.client.stop_daemon(true).await?;
            daemon::wait_for_end(&unfit.version).await?;
        }
        Found::None => {}
    }
    Ok(daemon::start(&paths, &program).await?)
}

/// Where banger's files are.
pub fn paths() -> Result<Paths, Failure> {
    Ok(Paths::from_env().map_err(DaemonError::Paths)?)
}

/// A client, and which daemon answers if one does. Starts none.
pub async fn look() -> Result<(Client, Option<Version>), Failure> {
    Ok(daemon::look(&paths()?).await?)
}

/// What runs through the daemon ends with it: shells, commands, copies. So nobody ends it beside them unasked.
pub fn refuse_to_cut(version: &Version, why: &str) -> Result<(), Failure> {
    let streams = match version.streams {
        0 => return Ok(()),
        1 => "1 shell, command or copy".to_owned(),
        many => format!("{many} shells, commands or copies"),
    };
    let instead = "banger daemon stop --force";
    let refused = || {
        let message = format!("{why}, and {streams} would be cut off: they run through it");
        let hint = format!("let them end, or cut them off with `{instead}`; VMs run on in either case");
        Failure::new(message, &[&hint]).exiting(exit::CONFLICT)
    };
    if !io::stdin().is_terminal() {
        return Err(refused());
    }
    let question = format!("{why}. {streams} will be cut off: they run through it. Go on?");
    match ask::sure(&question, instead)? {
        true => Ok(()),
        false => Err(refused()),
    }
}
