//! `banger trust`

use std::path::PathBuf;

use banger_api::{TrustGrant, TrustRecord, TrustRevoke, Wishes, WishesQuery};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::list::{Key, Listing, Options};
use banger_command::output::Output;
use banger_command::values::absolute;
use banger_command::{ask, complete, connection, exit, print};
use clap::Subcommand;

use super::vm::wishes;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List trusted repositories
    ///
    /// Keys of --filter: path, files, state.
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  banger trust list
  banger trust list --filter state=changed --quiet
  banger trust list --json"
    )]
    List {
        #[command(flatten)]
        list: Options,
    },
    /// Show a repository's configuration, and whether it is trusted
    #[command(after_help = "\
Examples:
  banger trust show
  banger trust show ~/src/app --json")]
    Show {
        /// Path in the repository
        #[arg(default_value = ".", add = complete::repositories())]
        path: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Trust a repository's current configuration
    #[command(
        visible_alias = "grant",
        after_help = "\
Examples:
  banger trust add                 show the configuration of this repository, and ask
  banger trust add ~/src/app -y    do not ask, for scripts"
    )]
    Add {
        /// Path in the repository
        #[arg(default_value = ".")]
        path: PathBuf,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Revoke trust in repositories
    ///
    /// VMs that were created with the configuration of a repository keep running unchanged. From their next start, your
    /// files and git identity are no longer injected.
    #[command(
        visible_alias = "rm",
        after_help = "\
Examples:
  banger trust revoke
  banger trust revoke ~/src/app ~/src/other
  banger trust revoke --all"
    )]
    Revoke {
        /// Paths in the repositories; the current directory if omitted
        #[arg(value_name = "PATH", add = complete::repositories())]
        paths: Vec<PathBuf>,
        /// Revoke trust in all repositories
        #[arg(long, conflicts_with = "paths")]
        all: bool,
        #[command(flatten)]
        output: Output,
    },
}

pub(super) async fn run(command: Command) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    match command {
        Command::List { list } => list.plan(REPOSITORIES)?.print(client.trusted().await?)?,
        Command::Show { path, output } => show(&client, path, output).await?,
        Command::Add { path, yes, output } => return add(&client, path, yes, output).await,
        Command::Revoke { paths, all, output } => revoke(&client, paths, all, output).await?,
    }
    Ok(exit::OK)
}

const REPOSITORIES: Listing<TrustRecord> = Listing {
    keys: &[
        Key {
            name: "path",
            values: |record| vec![record.path.clone()],
        },
        Key {
            name: "files",
            values: |record| vec![record.source.clone()],
        },
        Key {
            name: "state",
            values: |record| vec![record.state.as_str().to_owned()],
        },
    ],
    header: &["REPOSITORY", "STATE", "FILES", "DIGEST", "AGE"],
    name: |record| record.path.clone(),
    row: |record| {
        vec![
            record.path.clone(),
            record.state.as_str().to_owned(),
            record.source.clone(),
            record.digest.chars().take(12).collect(),
            print::age(&record.since),
        ]
    },
};

async fn wishes_at(client: &Client, path: PathBuf) -> Result<Wishes, Failure> {
    let path = absolute(path)?;
    let query = WishesQuery {
        path: path.clone(),
        ..WishesQuery::default()
    };
    let wishes = client.wishes(&query).await?;
    match wishes.root {
        Some(_) => Ok(wishes),
        None => Err(Failure::new(
            format!("not in a git repository: {}", path.display()),
            &["`banger trust list` lists trusted repositories"],
        )
        .exiting(exit::NOT_FOUND)),
    }
}

async fn show(client: &Client, path: PathBuf, output: Output) -> Result<(), Failure> {
    let wishes = wishes_at(client, path).await?;
    if output.json {
        return Ok(print::json(&wishes)?);
    }
    let root = wishes.root.as_ref().map(|root| root.display().to_string());
    print::facts(&[
        ("repository", root.unwrap_or_default()),
        ("trust", word(&wishes).to_owned()),
        ("digest", wishes.digest.clone().unwrap_or_default()),
    ]);
    for line in wishes::lines(&wishes) {
        print::line(&format!("  {line}"));
    }
    for note in &wishes.notes {
        print::line(&format!("  note: {note}"));
    }
    Ok(())
}

const fn word(wishes: &Wishes) -> &'static str {
    match (wishes.digest.is_some(), wishes.trusted) {
        (false, _) => "not needed: the repository asks for nothing",
        (true, true) => "trusted",
        (true, false) => "not trusted",
    }
}

async fn add(client: &Client, path: PathBuf, yes: bool, output: Output) -> Result<i32, Failure> {
    let wishes = wishes_at(client, path).await?;
    let root = wishes.root.clone().unwrap_or_default();
    if !wishes.trusted && !yes {
        wishes::show(&wishes);
        let instead = format!("banger trust add {} --yes", root.display());
        if !ask::sure(
            &format!("Trust the configuration of {}?", root.display()),
            &instead,
        )? {
            return Ok(exit::FAILED);
        }
    }
    let grant = TrustGrant {
        path: root,
        digest: wishes.digest,
    };
    let record = client.trust(&grant).await?;
    if output.json {
        print::json(&record)?;
    } else {
        print::line(&record.path);
    }
    Ok(exit::OK)
}

async fn revoke(client: &Client, paths: Vec<PathBuf>, all: bool, output: Output) -> Result<(), Failure> {
    let mut named: Vec<Option<PathBuf>> = Vec::new();
    for path in paths {
        named.push(Some(absolute(path)?));
    }
    match (all, named.is_empty()) {
        (true, _) => named.push(None),
        (false, true) => named.push(Some(absolute(PathBuf::from("."))?)),
        (false, false) => {}
    }
    let mut revoked = Vec::new();
    for path in named {
        let gone = client.distrust(&TrustRevoke { path: path.clone() }).await?;
        if let (true, Some(path)) = (gone.is_empty(), &path) {
            return Err(Failure::new(
                format!("no trusted repository at {}", path.display()),
                &["`banger trust list` lists trusted repositories"],
            )
            .exiting(exit::NOT_FOUND));
        }
        revoked.extend(gone);
    }
    if output.json {
        return Ok(print::json(&revoked)?);
    }
    revoked.dedup_by(|one, other| one.path == other.path);
    revoked.iter().for_each(|record| print::line(&record.path));
    Ok(())
}
