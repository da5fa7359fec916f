//! `banger.toml`

use std::collections::BTreeMap;

use banger_api::Wishes;
use banger_guest_api::{InvalidSecretName, SecretName};
use banger_model::network::NetMode;
use banger_model::{ByteSize, KernelName, Publish};
use serde::Deserialize;

use super::stated::Stated;

/// The file. Every key may be absent; a key that does not exist is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    image: Option<String>,
    kernel: Option<KernelName>,
    vcpus: Option<u32>,
    memory: Option<ByteSize>,
    disk_size: Option<ByteSize>,
    env: BTreeMap<String, String>,
    net: Option<NetMode>,
    allow: Vec<String>,
    ports: Vec<PublishText>,
    post_create: Option<Commands>,
    secrets: Vec<SecretText>,
}

/// `8080:80`, as on the command line.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct PublishText(Publish);

impl TryFrom<String> for PublishText {
    type Error = banger_model::InvalidForward;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// `API_TOKEN`
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct SecretText(SecretName);

impl TryFrom<String> for SecretText {
    type Error = InvalidSecretName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// A line of shell, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Commands {
    One(String),
    All(Vec<String>),
}

/// What a `banger.toml` asks for.
pub(super) fn parse(text: &str) -> Result<Stated, toml::de::Error> {
    let file: File = toml::from_str(text)?;
    let lines = match file.post_create {
        None => Vec::new(),
        Some(Commands::One(line)) => vec![line],
        Some(Commands::All(lines)) => lines,
    };
    Ok(Stated {
        image: file.image,
        wishes: Wishes {
            kernel: file.kernel,
            vcpus: file.vcpus,
            memory: file.memory,
            disk_size: file.disk_size,
            env: file.env,
            net: file.net,
            allow: file.allow,
            ports: file.ports.into_iter().map(|text| text.0).collect(),
            post_create: lines.into_iter().map(super::devcontainer::of_shell).collect(),
            secrets: file.secrets.iter().map(|text| text.0.to_string()).collect(),
            ..Wishes::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_are_understood() {
        let Stated { image, wishes } = parse(
            r#"
            image = "debian:bookworm"
            vcpus = 2
            memory = "4G"
            disk_size = "20G"
            net = "allow"
            allow = ["*.example.org:443"]
            ports = ["8080:80", ":3000", "5353:53/udp"]
            post_create = ["make deps", "make"]
            secrets = ["NPM_TOKEN"]
            [env]
            RUST_LOG = "debug"
            "#,
        )
        .unwrap();
        assert_eq!(image.as_deref(), Some("debian:bookworm"));
        assert_eq!(wishes.memory, Some(ByteSize::gib(4)));
        assert_eq!(wishes.ports.len(), 3);
        assert_eq!(wishes.post_create[0], ["/bin/sh", "-c", "make deps"]);
        assert_eq!(wishes.env["RUST_LOG"], "debug");
        assert_eq!(wishes.secrets, ["NPM_TOKEN"]);
        assert_eq!(
            parse("post_create = \"make\"").unwrap().wishes.post_create.len(),
            1
        );
    }

    #[test]
    fn what_is_no_key_or_no_port_is_told() {
        assert!(parse("imag = \"x\"").unwrap_err().message().contains("`imag`"));
        let port = parse("ports = [\"eighty\"]").unwrap_err();
        assert!(port.message().contains("invalid port forward"), "{port}");
        let secret = parse("secrets = [\"../x\"]").unwrap_err();
        assert!(secret.message().contains("invalid secret name"), "{secret}");
    }
}
