//! Code shared by `banger kernel publish` and `banger image publish`.

use std::path::{Path, PathBuf};

use banger_api::{Published, SigningKey};
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::bytes;
use banger_command::values::absolute;
use banger_command::{exit, print};
use banger_model::{CatalogName, shell_word};

/// The signing key of a catalog.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Key {
    /// File of the secret key to sign with
    #[arg(long, value_name = "FILE")]
    secret_key: Option<PathBuf>,
    /// File for a new secret key to sign with; the public key is written to FILE.pub
    #[arg(long, value_name = "FILE")]
    new_key: Option<PathBuf>,
}

impl Key {
    pub(crate) fn signing(self) -> Result<SigningKey, Failure> {
        match (self.secret_key, self.new_key) {
            (Some(path), _) => Ok(SigningKey::Existing(absolute(path)?)),
            (None, Some(path)) => Ok(SigningKey::New(absolute(path)?)),
            // Not reached: the parser requires one of them.
            (None, None) => Err(Failure::new(
                "no signing key",
                &["use `--secret-key` or `--new-key`"],
            )),
        }
    }
}

/// Notes of a published catalog, and how the result is printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Notes {
    /// Description to show in the catalog
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Number of days after which users reject this version of the catalog; publish again before that
    #[arg(long, value_name = "DAYS", default_value_t = 180, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) valid_days: u16,
    #[command(flatten)]
    output: Output,
}

impl Notes {
    /// Prints what was published, and the command for users of the catalog.
    pub(crate) fn print(&self, published: &Published) -> Result<i32, Failure> {
        print_published(published, self.output.json)
    }
}

fn print_published(published: &Published, json: bool) -> Result<i32, Failure> {
    if json {
        print::json(published)?;
        return Ok(exit::OK);
    }
    for kernel in &published.kernels {
        print::line(&format!(
            "kernel {}: {}, {}",
            kernel.name,
            kernel.version,
            bytes(kernel.bytes)
        ));
    }
    for image in &published.images {
        let os = image.os.as_deref().unwrap_or("no os-release");
        print::line(&format!("image {}: {os}, {}", image.name, bytes(image.bytes)));
    }
    print::line(&format!(
        "published in {}, valid until {}; users add the catalog with this command, with your URL instead of the directory:",
        published.dir.display(),
        published.expires
    ));
    print::line(&format!(
        "  banger kernel catalog add {} {} --key {}",
        name_of(&published.dir),
        shell_word(&published.dir.to_string_lossy()),
        published.key
    ));
    Ok(exit::OK)
}

/// A name for the catalog in this directory.
fn name_of(dir: &Path) -> CatalogName {
    let of_dir = dir.file_name().and_then(|name| name.to_str()?.parse().ok());
    of_dir.unwrap_or_else(|| "catalog".parse().expect("it is a name"))
}
