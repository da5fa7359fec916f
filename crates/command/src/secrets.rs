//! The `--secret` option that several commands share. A value is read here and sent to the guest's memory; it appears
//! in no argument and no message.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use banger_api::NewSecret;
use banger_api::stream::secret::MAX;
use banger_api::stream::{PutSecret, SecretName};
use banger_client::Client;

use crate::failure::Failure;

/// Secrets for a VM.
#[derive(Debug, Clone, clap::Args)]
pub struct Secrets {
    /// Secret to put into /run/banger/secrets/NAME, in the VM's memory until the VM stops: the value of your variable
    /// NAME, or the content of FILE (`-` for standard input); repeatable
    #[arg(long, value_name = "NAME[=FILE]", value_parser = asked)]
    secret: Vec<Asked>,
}

/// A secret and the source of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    name: SecretName,
    from: From,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    Variable,
    Input,
    File(PathBuf),
}

/// Secrets with their values.
pub struct Values(Vec<(SecretName, Vec<u8>)>);

impl Secrets {
    /// The names of the secrets.
    pub fn names(&self) -> Vec<String> {
        self.secret.iter().map(|asked| asked.name.to_string()).collect()
    }

    /// Reads the values, before anything is created.
    pub fn read(&self) -> Result<Values, Failure> {
        let values = self.secret.iter().map(|asked| {
            let value = asked.value()?;
            match value.len() > MAX {
                true => Err(Failure::new(
                    format!("secret {} is larger than {} KiB", asked.name, MAX >> 10),
                    &["copy larger files with `vm cp`, which stores them on the VM's disk"],
                )),
                false => Ok((asked.name.clone(), value)),
            }
        });
        values.collect::<Result<_, _>>().map(Values)
    }
}

impl Values {
    /// The secrets as a request for a new VM has them.
    pub fn for_new_vm(self) -> Vec<NewSecret> {
        let secrets = self.0.into_iter();
        secrets
            .map(|(name, value)| NewSecret::new(name.to_string(), value))
            .collect()
    }

    /// Sends the secrets to a VM, readable by root and by `user`.
    pub async fn give(&self, client: &Client, vm: &str, user: Option<&str>) -> Result<(), Failure> {
        let put = PutSecret {
            user: user.map(str::to_owned),
        };
        for (name, value) in &self.0 {
            client.put_secret(vm, name, &put, value.clone()).await?;
        }
        Ok(())
    }
}

impl Asked {
    fn value(&self) -> Result<Vec<u8>, Failure> {
        let name = &self.name;
        match &self.from {
            From::Variable => {
                use std::os::unix::ffi::OsStringExt;
                let value = std::env::var_os(name.as_str()).map(OsStringExt::into_vec);
                let hint =
                    format!("export the variable, or read the secret from a file: `--secret {name}=FILE`");
                value.ok_or_else(|| {
                    Failure::new(
                        format!("variable {name} is not set in your environment, and secret {name} needs it"),
                        &[&hint],
                    )
                })
            }
            From::Input => bounded(io::stdin()).map_err(|error| {
                Failure::during(
                    format!("failed to read secret {name} from standard input"),
                    &error,
                )
            }),
            From::File(path) => File::open(path).and_then(bounded).map_err(|error| {
                Failure::during(
                    format!("failed to read secret {name} from {}", path.display()),
                    &error,
                )
            }),
        }
    }
}

/// Reads the input, up to one byte more than the limit.
fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut value = Vec::new();
    from.take(MAX as u64 + 1).read_to_end(&mut value)?;
    Ok(value)
}

fn asked(text: &str) -> Result<Asked, String> {
    let (name, from) = match text.split_once('=') {
        None => (text, From::Variable),
        Some((name, "-")) => (name, From::Input),
        Some((_, "")) => return Err("expected NAME or NAME=FILE".to_owned()),
        Some((name, path)) => (name, From::File(path.into())),
    };
    let name: SecretName = name
        .parse()
        .map_err(|error: banger_api::stream::InvalidSecretName| error.to_string())?;
    Ok(Asked { name, from })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_variable_a_file_or_what_is_read() {
        let from = |text: &str| asked(text).map(|asked| asked.from);
        assert_eq!(from("TOKEN"), Ok(From::Variable));
        assert_eq!(from("TOKEN=-"), Ok(From::Input));
        assert_eq!(from("TOKEN=a=b"), Ok(From::File("a=b".into())));
        for wrong in ["", "TOKEN=", "../x", "a/b=c", "=x"] {
            assert!(from(wrong).is_err(), "{wrong}");
        }
    }
}
