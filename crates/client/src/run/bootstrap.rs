//! What a checkout needs before it can be worked in: its tools, and its post-create commands.

use banger_api::{Vm, VmSession, Wishes, user_env};
use banger_guest_api::session::LOG_MAX;
use banger_guest_api::{Control, Exec, Restart, SessionInput, SessionOutput, SessionStart, SessionStream};
use banger_model::last_lines;
use banger_model::network::NetMode;

use crate::client::Client;
use crate::error::ClientError;
use crate::stream::Received;

/// Installs tools; the commands follow it.
const PRELUDE: &str = include_str!("bootstrap.sh");

/// The name of the session in which it runs.
pub const SESSION: &str = "bootstrap";

/// The script that a checkout needs, in a VM that has been made.
#[derive(Debug)]
pub struct Bootstrap {
    script: Option<String>,
    /// The tools that are not installed, because the VM reaches no network.
    pub left_out: Vec<String>,
}

/// What became of it.
#[derive(Debug)]
pub enum Begun {
    /// There is nothing to do.
    Nothing,
    /// It runs, whatever becomes of this program.
    Running,
    /// It does not: an image without a shell has no use for tools either.
    NotStarted(ClientError),
}

impl Bootstrap {
    /// What `wishes` asks for. Whose tools are not trusted, of those nothing runs; the image's own mise may know trusted ones without a
    /// network.
    pub fn of(vm: &Vm, wishes: &Wishes) -> Self {
        let network = &vm.network;
        let is_offline =
            network.addresses.is_empty() || (network.mode == NetMode::Off && network.allow.is_empty());
        Self {
            script: script(wishes, is_offline).filter(|_| wishes.trusted),
            left_out: match is_offline {
                true => wishes.tools.clone(),
                false => Vec::new(),
            },
        }
    }

    /// Begins it in the checkout at `cwd`.
    pub async fn begin(self, client: &Client, vm: &str, cwd: &str) -> Begun {
        let Some(script) = self.script else {
            return Begun::Nothing;
        };
        let start = SessionStart {
            name: Some(SESSION.to_owned()),
            exec: Exec {
                argv: ["/bin/sh", "-c", &script, SESSION].map(str::to_owned).to_vec(),
                cwd: Some(cwd.to_owned()),
                user_env: user_env::of_process(false),
                ..Exec::default()
            },
            stdin: SessionInput::Closed,
            require: Vec::new(),
            restart: Restart::Never,
            max_restarts: 0,
            log_max: LOG_MAX,
        };
        match client.start_session(vm, &start).await {
            Ok(_) => Begun::Running,
            Err(error) => Begun::NotStarted(error),
        }
    }

    /// How far it is.
    ///
    /// # Errors
    /// When the VM does not tell, as when it has ended.
    pub async fn state(client: &Client, vm: &str) -> Result<VmSession, ClientError> {
        client.session(vm, SESSION).await
    }

    /// How it is when it has ended.
    ///
    /// # Errors
    /// When the VM does not tell.
    pub async fn wait(client: &Client, vm: &str) -> Result<VmSession, ClientError> {
        client.wait_for_session(vm, SESSION).await
    }

    /// The end of its log; nothing where that cannot be read.
    pub async fn last_lines(client: &Client, vm: &str) -> Vec<String> {
        let log = end_of_log(client, vm).await;
        last_lines(&log, LINES).map(str::to_owned).collect()
    }
}

/// How many lines of its log are shown.
const LINES: usize = 10;

/// How much of its log is looked at.
const TAIL: u64 = 16 << 10;

async fn end_of_log(client: &Client, vm: &str) -> String {
    let Ok(session) = client.session(vm, SESSION).await else {
        return String::new();
    };
    let stream = SessionStream {
        output: SessionOutput::Log,
        since: Some(session.log.end.saturating_sub(TAIL)),
        ..SessionStream::default()
    };
    let Ok(mut joined) = client.join_session(vm, SESSION, &stream).await else {
        return String::new();
    };
    let mut bytes = Vec::new();
    while let Ok(Some(received)) = joined.receiver.next().await {
        match received {
            Received::Stdout(more) | Received::Stderr(more) => bytes.extend_from_slice(&more),
            Received::Control(Control::Left { .. } | Control::Exit { .. } | Control::Error { .. }) => break,
            Received::Control(_) => {}
        }
        if bytes.len() as u64 > 2 * TAIL {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The script that does what `wishes` asks for, if there is anything to do.
fn script(wishes: &Wishes, is_offline: bool) -> Option<String> {
    if wishes.tools.is_empty() && wishes.post_create.is_empty() {
        return None;
    }
    let mut script = PRELUDE.to_owned();
    if !wishes.tools.is_empty() {
        let install = if is_offline { "find_tools" } else { "install_tools" };
        script += &format!("say {}\n{install}\n", quoted(&wishes.tools.join(", ")));
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

/// A word as a shell takes it for itself, also where that would be a word of its own language, such as `if`.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn run(wishes: &Wishes, path: &str) -> (i32, String) {
        run_by(script(wishes, false), path)
    }

    fn run_by(script: Option<String>, path: &str) -> (i32, String) {
        let dir = tempfile::tempdir().unwrap();
        let script = script.unwrap();
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
    fn without_a_network_nothing_is_fetched_and_the_commands_run() {
        let wishes = Wishes {
            tools: vec!["go.mod".to_owned()],
            post_create: vec![vec!["echo".to_owned(), "made".to_owned()]],
            ..Wishes::default()
        };
        let (code, said) = run_by(script(&wishes, true), "/usr/bin:/bin");
        assert_eq!(code, 0, "{said}");
        assert!(
            said.contains("not installed") && said.contains("\nmade\n"),
            "{said}"
        );
    }

    #[test]
    fn nothing_to_do_is_no_script() {
        assert_eq!(script(&Wishes::default(), false), None);
    }
}
