//! Which repositories are trusted, and what that means: what a repository asks for goes into a VM only if its user has said
//! so for this path and this very configuration.
//!
//! A VM that was shaped by a repository remembers by which configuration. Its user's files go into it as long as that is
//! trusted: who takes the trust back keeps both apart from the next start on.

mod asking;
mod decisions;

use std::path::{Path, PathBuf};

use banger_api::{RepositoryConfig, TrustRecord, TrustState, VmCreate, Wishes};
use banger_model::{Describe, Description, ErrorCode, ImageName, ShapedBy, VmSpec, shell_word};
use banger_settings::repository::{self, Ceilings};
use banger_state::{Database, TrustRow};

pub(crate) use self::asking::image;

/// What a repository asks for cannot be applied, or its trust not be changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not say a thing that can be understood or granted.
    #[error(transparent)]
    Repository(#[from] repository::Error),
    /// There is no such directory.
    #[error("failed to find the repository {}", .path.display())]
    Find {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Records are text.
    #[error("the path of the repository {} is not valid UTF-8", .0.display())]
    NoText(PathBuf),
    /// There is nothing to trust.
    #[error("the repository {} requests no configuration", .0.display())]
    Nothing(PathBuf),
    /// It is another configuration than the one that was looked at.
    #[error("the configuration of the repository {} has changed", .0.display())]
    Changed(PathBuf),
    /// Nobody has said so.
    #[error("the repository {} is not trusted", .0.display())]
    Untrusted(PathBuf),
    /// The image that it asks for is not here.
    #[error("the repository asks for image {text}, which is not on this host")]
    NoImage {
        /// As the file has it.
        text: String,
        /// What it would be called here.
        name: ImageName,
    },
    /// Nor is it, but another one has its name.
    #[error("the repository asks for {reference}, but image {image} on this host is a different image")]
    OtherImage {
        /// The reference in full.
        reference: String,
        /// The other one.
        image: ImageName,
        /// A name like it that no image has.
        free: String,
    },
    /// The records cannot be read or written.
    #[error(transparent)]
    Database(#[from] banger_state::Error),
}

/// The repository's path, as records have it: through no link, so that one repository has one.
fn place(path: &Path) -> Result<String, Error> {
    let found = path.canonicalize().map_err(|source| Error::Find {
        path: path.to_owned(),
        source,
    })?;
    let text = found.to_str().map(str::to_owned);
    text.ok_or(Error::NoText(found))
}

/// Whether a configuration of the repository at `root` is trusted.
pub(crate) fn is_trusted(database: &Database, root: &Path, digest: &str) -> Result<bool, Error> {
    Ok(database.trusts(&place(root)?, digest)?)
}

/// Trusts the configuration that the repository at `root` has, if that is the one that was looked at.
pub(crate) fn grant(
    database: &Database,
    ceilings: &Ceilings,
    root: &Path,
    seen: Option<&str>,
) -> Result<TrustRecord, Error> {
    let path = place(root)?;
    let wishes = repository::wishes(Path::new(&path), ceilings)?;
    let digest = wishes.digest.ok_or_else(|| Error::Nothing(root.to_owned()))?;
    if seen.is_some_and(|seen| seen != digest) {
        return Err(Error::Changed(root.to_owned()));
    }
    let source = wishes.source.unwrap_or_else(|| wishes.tools.join(", "));
    database.trust(&path, &digest, &source)?;
    let record = database
        .trusted()?
        .into_iter()
        .find(|record| record.path == path && record.digest == digest);
    record
        .map(viewed)
        .ok_or_else(|| Error::Untrusted(root.to_owned()))
}

/// All records.
pub(crate) fn list(database: &Database) -> Result<Vec<TrustRecord>, Error> {
    Ok(database.trusted()?.into_iter().map(viewed).collect())
}

/// Takes the trust back from the repository at `path`, or from all; gives what was taken back.
pub(crate) fn revoke(database: &Database, path: Option<&Path>) -> Result<Vec<TrustRecord>, Error> {
    // One that is gone, too.
    let place = path.map(|path| place(path).unwrap_or_else(|_| path.to_string_lossy().into_owned()));
    let mut gone = list(database)?;
    gone.retain(|record| place.as_ref().is_none_or(|place| *place == record.path));
    for record in &gone {
        database.distrust(&record.path)?;
    }
    Ok(gone)
}

fn viewed(row: TrustRow) -> TrustRecord {
    let state = match repository::digest(Path::new(&row.path)) {
        Ok(Some(digest)) if digest == row.digest => TrustState::Current,
        Ok(Some(_)) | Err(_) if Path::new(&row.path).exists() => TrustState::Changed,
        _ => TrustState::Gone,
    };
    let TrustRow {
        path,
        digest,
        source,
        since,
    } = row;
    TrustRecord {
        path,
        digest,
        source,
        since,
        state,
    }
}

/// Fills what a request leaves open by what a trusted repository asks for, and gives which configuration that was, and all of it.
pub(crate) fn apply(
    database: &Database,
    ceilings: &Ceilings,
    asked: &RepositoryConfig,
    request: &mut VmCreate,
) -> Result<(ShapedBy, Wishes), Error> {
    let path = place(&asked.path)?;
    let mut wishes = repository::wishes(Path::new(&path), ceilings)?;
    let digest = wishes
        .digest
        .clone()
        .ok_or_else(|| Error::Nothing(asked.path.clone()))?;
    if digest != asked.digest {
        return Err(Error::Changed(asked.path.clone()));
    }
    if !database.trusts(&path, &digest)? {
        return Err(Error::Untrusted(asked.path.clone()));
    }
    wishes.trusted = true;
    wishes.fill(request);
    Ok((ShapedBy { path, digest }, wishes))
}

/// Why nothing of its user's goes into a VM, if the repository that shaped it is trusted no more. Where that cannot be known,
/// nothing goes.
pub(crate) fn keeps_apart(database: &Database, spec: &VmSpec) -> Option<String> {
    let shaped = spec.repository.as_ref()?;
    let is_trusted = database.trusts(&shaped.path, &shaped.digest).unwrap_or(false);
    (!is_trusted).then(|| {
        format!(
            "VM {} was configured by the repository {}, which is no longer trusted, so host files and git identity are not injected",
            spec.name, shaped.path
        )
    })
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Repository(source) => source.describe(),
            Self::Database(source) => source.describe(),
            Self::Find { .. } => ErrorCode::NotFound.into(),
            Self::NoText(_) | Self::Nothing(_) => ErrorCode::InvalidRequest.into(),
            Self::NoImage { text, name } => Description::hinted(
                ErrorCode::NotFound,
                format!(
                    "pull the image: `banger image pull {} --name {name}`",
                    shell_word(text)
                ),
            ),
            Self::OtherImage {
                reference,
                image,
                free,
            } => Description::hinted(
                ErrorCode::InvalidRequest,
                format!("use the image on this host: `--image {image}`"),
            )
            .and(format!(
                "or pull the other image under another name: `banger image pull {} --name {free}`",
                shell_word(reference)
            )),
            Self::Changed(path) => Description::hinted(
                ErrorCode::WrongPhase,
                format!(
                    "review it again: `banger trust show {}`",
                    shell_word(&path.to_string_lossy())
                ),
            ),
            Self::Untrusted(path) => Description::hinted(
                ErrorCode::WrongPhase,
                format!(
                    "`banger trust show {0}` shows what the repository requests, `banger trust add {0}` trusts the repository",
                    shell_word(&path.to_string_lossy())
                ),
            ),
        }
    }
}
