//! What a checkout needs before it can be worked in: its tools, and its post-create commands.

use banger_api::client::Client;
use banger_api::stream::session::LOG_MAX;
use banger_api::stream::{Exec, Restart, SessionInput, SessionStart};
use banger_api::{VmSession, Wishes};

use crate::failure::Failure;
use crate::print;
use crate::progress::Display;
use crate::work::interruptible;

/// Installs tools; the commands follow it.
const PRELUDE: &str = include_str!("bootstrap.sh");

/// The name of the session in which it runs.
pub(super) const SESSION: &str = "bootstrap";

/// Begins to do what `wishes` asks for in the checkout at `cwd`, and says so. Gives whether there is anything to do. It runs
/// on whatever becomes of this command.
pub(super) async fn begin(client: &Client, vm: &str, cwd: &str, wishes: &Wishes) -> bool {
    let Some(script) = script(wishes) else {
        return false;
    };
    let start = SessionStart {
        name: Some(SESSION.to_owned()),
        exec: Exec {
            argv: ["/bin/sh", "-c", &script, SESSION].map(str::to_owned).to_vec(),
            cwd: Some(cwd.to_owned()),
            ..Exec::default()
        },
        stdin: SessionInput::Closed,
        require: Vec::new(),
        restart: Restart::Never,
        max_restarts: 0,
        log_max: LOG_MAX,
    };
    match client.start_session(vm, &start).await {
        Ok(_) => {
            print::say!("the checkout is being prepared: `banger vm logs --bootstrap -f {vm}` shows how");
            true
        }
        // An image without a shell has no use for tools either.
        Err(error) => {
            print::say!("note: the checkout is not prepared: {error}");
            false
        }
    }
}

/// Waits until it is done, and tells if it failed.
pub(super) async fn end(client: &Client, vm: &str) -> Result<(), Failure> {
    let display = Display::new("");
    display.now("preparing the checkout");
    let ended = interruptible(async { Ok(client.wait_for_session(vm, SESSION).await?) }).await?;
    drop(display);
    tell(vm, &ended);
    Ok(())
}

/// Tells how far it is, to one who leaves the VM.
pub(super) async fn tell_state(client: &Client, vm: &str) {
    // The VM may have ended with the shell, and that is no failure.
    if let Ok(session) = client.session(vm, SESSION).await {
        tell(vm, &session);
    }
}

fn tell(vm: &str, session: &VmSession) {
    let log = format!("`banger vm logs --bootstrap {vm}`");
    match (session.state.is_live(), session.exit_code) {
        (false, Some(0)) => {}
        (true, _) => print::say!("the checkout is still being prepared: {log} shows how far"),
        (false, Some(code)) => {
            print::say!("note: preparing the checkout failed with {code}: {log} tells why");
        }
        (false, None) => print::say!("note: preparing the checkout was cut off: {log} tells where"),
    }
}

/// The script that does what `wishes` asks for, if there is anything to do.
pub(super) fn script(wishes: &Wishes) -> Option<String> {
    if wishes.tools.is_empty() && wishes.post_create.is_empty() {
        return None;
    }
    let mut script = PRELUDE.to_owned();
    if !wishes.tools.is_empty() {
        script += &format!("say {}\ninstall_tools\n", quoted(&wishes.tools.join(", ")));
    }
    for command in &wishes.post_create {
        let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
        let line = words.join(" ");
        script += &format!(
            "say {}\n{line}\n",
            quoted(&format!("running {}", command.join(" ")))
        );
    }
    Some(script)
}

/// A word as a shell takes it for itself.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn run(wishes: &Wishes, path: &str) -> (i32, String) {
        let dir = tempfile::tempdir().unwrap();
        let script = script(wishes).unwrap();
        let output = Command::new("/bin/sh")
            .args(["-c", &script])
            .current_dir(dir.path())
            .env("PATH", path)
            .env("HOME", dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), said)
    }

    #[test]
    fn commands_are_run_word_by_word_until_one_fails() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let wishes = Wishes {
            post_create: vec![
                words(&["printf", "<%s>\n", "it's", "$HOME `x`"]),
                words(&["/bin/sh", "-c", "exit 3"]),
                words(&["echo", "never"]),
            ],
            ..Wishes::default()
        };
        let (code, said) = run(&wishes, "/usr/bin:/bin");
        assert_eq!(code, 3, "{said}");
        assert!(
            said.contains("<it's>\n<$HOME `x`>\n") && !said.contains("\nnever"),
            "{said}"
        );
    }

    #[test]
    fn without_mise_and_what_fetches_it_that_is_told() {
        let wishes = Wishes {
            tools: vec![".nvmrc".to_owned()],
            ..Wishes::default()
        };
        let (code, said) = run(&wishes, "/nowhere");
        assert_eq!(code, 127);
        assert!(said.contains("there is no mise"), "{said}");
    }

    #[test]
    fn nothing_to_do_is_no_script() {
        assert_eq!(script(&Wishes::default()), None);
    }
}
