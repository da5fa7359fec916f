//! Confirmation before something is lost.

use std::io::{self, BufRead, IsTerminal};

use crate::failure::Failure;
use crate::{output, print};

/// Asks a question, to which only `y` and `yes` agree. Without a terminal this is an error that names the command
/// `instead`.
pub fn sure(question: &str, instead: &str) -> Result<bool, Failure> {
    if output::is_json() || !io::stdin().is_terminal() {
        return Err(Failure::new(
            "confirmation required, and there is nobody to ask",
            &[&format!("confirm with `{instead}`")],
        ));
    }
    let mut answer = String::new();
    print::prompt(&format!("{question} [y/N] "))
        .and_then(|()| io::stdin().lock().read_line(&mut answer))
        .map_err(|error| Failure::during("failed to read the answer", &error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
