//! `devcontainer.json`: JSON with comments (containers.dev, "Dev Container metadata reference"). What describes a VM is
//! taken; what only makes sense for a container or an editor is passed over, and said where a user would miss it.

use std::path::Path;

use banger_api::Wishes;
use banger_model::{ByteSize, Publish};
use serde_json::{Map, Value};

use super::error::Error;
use super::stated::Stated;

/// Keys that a user would miss, and what to do instead.
const UNSUPPORTED: [(&str, &str); 11] = [
    ("build", "build the image first: `image build -f`"),
    ("dockerFile", "build the image first: `image build -f`"),
    ("dockerComposeFile", "a VM has one image; run compose in the VM"),
    ("features", "build them into the image"),
    ("mounts", "host directories are not mounted in a VM"),
    ("workspaceMount", "the repository is copied"),
    ("runArgs", "a VM is not a container"),
    (
        "initializeCommand",
        "commands of a repository do not run on the host",
    ),
    ("postStartCommand", "use postCreateCommand"),
    ("postAttachCommand", "use postCreateCommand"),
    ("secrets", "set them with `--secret`"),
];

/// Commands in their order.
const COMMANDS: [&str; 3] = ["onCreateCommand", "updateContentCommand", "postCreateCommand"];

/// What a `devcontainer.json` asks for.
pub(super) fn parse(path: &Path, text: &str) -> Result<Stated, Error> {
    let value = jsonc_parser::parse_to_serde_value(text, &jsonc_parser::ParseOptions::default());
    let value: Option<Value> = value.map_err(|source| Error::Json {
        path: path.to_owned(),
        source,
    })?;
    let file = File {
        path,
        keys: match value {
            Some(Value::Object(keys)) => keys,
            _ => Map::new(),
        },
    };
    let mut wishes = Wishes::default();
    file.requirements(&mut wishes)?;
    file.variables(&mut wishes)?;
    file.ports(&mut wishes)?;
    for key in COMMANDS {
        wishes.post_create.extend(file.commands(key)?);
    }
    for (key, instead) in UNSUPPORTED {
        if file.keys.contains_key(key) {
            wishes.notes.push(format!("`{key}` is ignored: {instead}"));
        }
    }
    if let Some(user) = file.text("remoteUser")?.filter(|user| user != "root") {
        wishes
            .notes
            .push(format!("the checkout belongs to root, not to {user}"));
    }
    Ok(Stated {
        image: file.text("image")?,
        wishes,
    })
}

/// A line that a shell runs.
pub(super) fn of_shell(line: String) -> Vec<String> {
    vec!["/bin/sh".to_owned(), "-c".to_owned(), line]
}

struct File<'a> {
    path: &'a Path,
    keys: Map<String, Value>,
}

impl File<'_> {
    fn wrong(&self, key: &'static str, expected: &'static str) -> Error {
        Error::Value {
            path: self.path.to_owned(),
            key,
            expected,
        }
    }

    fn text(&self, key: &'static str) -> Result<Option<String>, Error> {
        match self.keys.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(key, "a string")),
        }
    }

    /// `hostRequirements`: what a host must have at least is what the VM gets.
    fn requirements(&self, wishes: &mut Wishes) -> Result<(), Error> {
        let Some(asked) = self.keys.get("hostRequirements") else {
            return Ok(());
        };
        let key = "hostRequirements";
        let size = |name: &str| match asked.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_str()
                .and_then(|text| text.parse::<ByteSize>().ok())
                .map(Some)
                .ok_or_else(|| self.wrong(key, "sizes such as \"4gb\"")),
        };
        wishes.memory = size("memory")?;
        wishes.disk_size = size("storage")?;
        wishes.vcpus = match asked.get("cpus") {
            None => None,
            Some(cpus) => {
                let cpus = cpus.as_u64().and_then(|cpus| u32::try_from(cpus).ok());
                Some(cpus.ok_or_else(|| self.wrong(key, "a number of CPUs"))?)
            }
        };
        Ok(())
    }

    /// `containerEnv`, then `remoteEnv`. A value that takes something of the host's, such as `${localEnv:TOKEN}`, is left out:
    /// that would give a repository the user's secrets.
    fn variables(&self, wishes: &mut Wishes) -> Result<(), Error> {
        for key in ["containerEnv", "remoteEnv"] {
            let Some(variables) = self.keys.get(key) else {
                continue;
            };
            let variables = variables
                .as_object()
                .ok_or_else(|| self.wrong(key, "an object of strings"))?;
            for (name, value) in variables {
                match value {
                    Value::String(text) if text.contains("${") => wishes.notes.push(format!(
                        "`{key}.{name}` is ignored: its value is unknown here; set it with --env"
                    )),
                    Value::String(text) => {
                        wishes.env.insert(name.clone(), text.clone());
                    }
                    // Of `remoteEnv`: the variable is to be absent.
                    Value::Null => {
                        wishes.env.remove(name);
                    }
                    _ => return Err(self.wrong(key, "an object of strings")),
                }
            }
        }
        Ok(())
    }

    /// `forwardPorts`: to free ports here, since another VM of the same repository asks for the same ones.
    fn ports(&self, wishes: &mut Wishes) -> Result<(), Error> {
        let key = "forwardPorts";
        let wrong = || self.wrong(key, "a list of ports");
        let Some(ports) = self.keys.get(key) else {
            return Ok(());
        };
        for port in ports.as_array().ok_or_else(wrong)? {
            if port.is_string() {
                let note = format!("port {port} is ignored: it belongs to another container");
                wishes.notes.push(note);
                continue;
            }
            let guest = port.as_u64().and_then(|port| u16::try_from(port).ok());
            wishes.ports.push(Publish {
                address: None,
                host_port: 0,
                guest_port: guest.filter(|port| *port > 0).ok_or_else(wrong)?,
                protocol: banger_model::Protocol::Tcp,
            });
        }
        Ok(())
    }

    /// A command is a line of shell, or an argument vector, or an object of such.
    fn commands(&self, key: &'static str) -> Result<Vec<Vec<String>>, Error> {
        let wrong = || self.wrong(key, "a command");
        match self.keys.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Object(several)) => several
                .values()
                .map(|one| command(one).ok_or_else(wrong))
                .collect(),
            Some(one) => Ok(vec![command(one).ok_or_else(wrong)?]),
        }
    }
}

fn command(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(line) => Some(of_shell(line.clone())),
        Value::Array(words) if !words.is_empty() => {
            let words = words.iter().map(|word| word.as_str().map(str::to_owned));
            words.collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Stated, Error> {
        super::parse(Path::new("/r/.devcontainer/devcontainer.json"), text)
    }

    #[test]
    fn what_makes_a_vm_is_taken() {
        let Stated { image, wishes } = parse(
            r#"{
            // As editors write it.
            "name": "Rust",
            "image": "rust:1",
            "hostRequirements": { "cpus": 4, "memory": "8gb", "storage": "32gb" },
            "containerEnv": { "A": "1", "B": "2", "TOKEN": "${localEnv:TOKEN}" },
            "remoteEnv": { "B": null },
            "forwardPorts": [3000, "db:5432"],
            "onCreateCommand": ["cargo", "fetch"],
            "postCreateCommand": { "one": "make one", "two": ["make", "two"] },
            "features": {},
            "customizations": { "vscode": {} }, /* and so on */
        }"#,
        )
        .unwrap();
        assert_eq!(image.as_deref(), Some("rust:1"));
        assert_eq!((wishes.vcpus, wishes.memory), (Some(4), Some(ByteSize::gib(8))));
        assert_eq!(wishes.disk_size, Some(ByteSize::gib(32)));
        assert_eq!(wishes.env.keys().collect::<Vec<_>>(), ["A"]);
        assert_eq!(wishes.ports[0].to_string(), ":3000");
        let commands: Vec<String> = wishes.post_create.iter().map(|words| words.join(" ")).collect();
        assert_eq!(commands, ["cargo fetch", "/bin/sh -c make one", "make two"]);
        assert_eq!(wishes.notes.len(), 3, "{:?}", wishes.notes);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let key = |text: &str| match parse(text) {
            Err(Error::Value { key, .. }) => key,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(key(r#"{"image": 1}"#), "image");
        assert_eq!(key(r#"{"forwardPorts": [70000]}"#), "forwardPorts");
        assert_eq!(key(r#"{"postCreateCommand": [1]}"#), "postCreateCommand");
        assert!(matches!(parse("{"), Err(Error::Json { .. })));
        assert_eq!(parse("").unwrap().wishes, Wishes::default());
    }
}
