//! What a checkout needs before it can be worked in: its tools, and its post-create commands.

use std::collections::BTreeMap;

use banger_api::stream::session::LOG_MAX;
use banger_api::stream::{Exec, Restart, SessionInput, SessionStart};
use banger_api::{BOOTSTRAP, VmNetwork, Wishes};
use banger_model::network::NetMode;

/// Installs tools; the commands follow it.
const PRELUDE: &str = include_str!("bootstrap.sh");

/// The script that a checkout needs, in a VM that has been made.
#[derive(Debug)]
pub(super) struct Bootstrap {
    script: Option<String>,
    /// The tools that are not installed, because the VM reaches no network.
    pub(super) left_out: Vec<String>,
}

impl Bootstrap {
    /// What `wishes` asks for. Whose tools are not trusted, of those nothing runs; the image's own mise may know trusted ones without a
    /// network.
    pub(super) fn of(network: &VmNetwork, wishes: &Wishes) -> Self {
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

    /// The session in which it runs, in the checkout at `cwd`; nothing where there is nothing to do.
    pub(super) fn session(self, cwd: String, user_env: BTreeMap<String, String>) -> Option<SessionStart> {
        let script = self.script?;
        Some(SessionStart {
            name: Some(BOOTSTRAP.to_owned()),
            exec: Exec {
                argv: ["/bin/sh", "-c", &script, BOOTSTRAP].map(str::to_owned).to_vec(),
                cwd: Some(cwd),
                user_env,
                ..Exec::default()
            },
            stdin: SessionInput::Closed,
            require: Vec::new(),
            restart: Restart::Never,
            max_restarts: 0,
            log_max: LOG_MAX,
        })
    }
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
    fn commands_of_a_repository_that_is_not_trusted_do_not_run() {
        let network = VmNetwork {
            addresses: Vec::new(),
            mode: NetMode::Off,
            allow: Vec::new(),
            ..VmNetwork::default()
        };
        for trusted in [false, true] {
            let wishes = Wishes {
                post_create: vec![vec!["true".to_owned()]],
                trusted,
                ..Wishes::default()
            };
            let session = Bootstrap::of(&network, &wishes).session("/root/repo".to_owned(), BTreeMap::new());
            assert_eq!(session.is_some(), trusted);
        }
    }

    #[test]
    fn nothing_to_do_is_no_script() {
        assert_eq!(script(&Wishes::default(), false), None);
    }
}
