//! The daemon as a program finds it: started when none runs. One of another build is as good as ours when it speaks our API: two
//! installations do not take the daemon from each other. One that is older than this program, or lacks what its user has been
//! given since, is [`Unfit`]: whether it is replaced is for its user to decide, or for who asks them.

mod environment;
mod error;
mod find;
mod start;
mod unfit;

use banger_api::Paths;

pub use error::DaemonError;
pub use find::{Found, find, listening, look};
pub use start::{program, start, wait_for_end};
pub use unfit::{Unfit, Why};

use crate::client::Client;

/// A client of this user's daemon, which is started if none runs. None is ever replaced.
///
/// # Errors
/// When there is no daemon to be had, or one that is [`Unfit`].
pub async fn connect() -> Result<Client, DaemonError> {
    let paths = Paths::from_env()?;
    match find(&paths).await? {
        Found::Fit(client) => Ok(client),
        Found::Unfit(unfit) => Err(DaemonError::Unfit {
            version: unfit.version.version,
            why: unfit.why,
        }),
        Found::None => start(&paths, &program()?).await,
    }
}
