//! `banger trust`

use std::path::PathBuf;

use banger_api::{TrustGrant, TrustRecord, TrustRevoke, Wishes, WishesQuery};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::values::absolute;
use banger_command::{ask, complete, connection, exit, print};
use clap::Subcommand;

use super::vm::wishes;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the repositories that are trusted
    #[command(visible_alias = "ls")]
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a repository asks for, and whether it is trusted
    #[command(after_help = "\
Examples:
  banger trust show
  banger trust show ~/src/app --json")]
    Show {
        /// A path in the repository
        #[arg(default_value = ".", add = complete::repositories())]
        path: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Trust what a repository asks for now
    #[command(
        visible_alias = "grant",
        after_help = "\
Examples:
  banger trust add                 shows what it asks for, and asks you
  banger trust add ~/src/app -y    without a question, for scripts"
    )]
    Add {
        /// A path in the repository
        #[arg(default_value = ".")]
        path: PathBuf,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// Print the record as JSON
        #[arg(long)]
        json: bool,
    },
    /// Take trust back
    ///
    /// VMs that a repository shaped run on as they are. From their next start on nothing of yours goes into them.
    #[command(
        visible_alias = "rm",
        after_help = "\
Examples:
  banger trust revoke
  banger trust revoke ~/src/app ~/src/other
  banger trust revoke --all"
    )]
    Revoke {
        /// Paths in repositories; the one around here when absent
        #[arg(add = complete::repositories())]
        paths: Vec<PathBuf>,
        /// From all repositories
        #[arg(long, conflicts_with = "paths")]
        all: bool,
        /// Print what was trusted as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(command: Command) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    match command {
        Command::List { json } => {
            let records = client.trusted().await?;
            if json {
                print::json(&records)?;
            } else {
                list(&records);
            }
        }
        Command::Show { path, json } => show(&client, path, json).await?,
        Command::Add { path, yes, json } => return add(&client, path, yes, json).await,
        Command::Revoke { paths, all, json } => revoke(&client, paths, all, json).await?,
    }
    Ok(exit::OK)
}

fn list(records: &[TrustRecord]) {
    let row = |record: &TrustRecord| {
        vec![
            record.path.clone(),
            record.source.clone(),
            record.state.as_str().to_owned(),
            record.digest.chars().take(12).collect(),
            print::age(&record.since),
        ]
    };
    print::table(
        &["REPOSITORY", "FILES", "STATE", "DIGEST", "AGE"],
        records.iter().map(row),
    );
}

async fn wishes_at(client: &Client, path: PathBuf) -> Result<Wishes, Failure> {
    let path = absolute(path)?;
    let wishes = client.wishes(&WishesQuery { path: path.clone() }).await?;
    match wishes.root {
        Some(_) => Ok(wishes),
        None => Err(Failure::new(
            format!("there is no git repository around {}", path.display()),
            &["`banger trust list` shows those that are trusted"],
        )
        .exiting(exit::NOT_FOUND)),
    }
}

async fn show(client: &Client, path: PathBuf, json: bool) -> Result<(), Failure> {
    let wishes = wishes_at(client, path).await?;
    if json {
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
        (false, _) => "not needed: it asks for nothing",
        (true, true) => "trusted",
        (true, false) => "not trusted",
    }
}

async fn add(client: &Client, path: PathBuf, yes: bool, json: bool) -> Result<i32, Failure> {
    let wishes = wishes_at(client, path).await?;
    let root = wishes.root.clone().unwrap_or_default();
    if !wishes.trusted && !yes {
        wishes::show(&wishes);
        let instead = format!("banger trust add {} --yes", root.display());
        if !ask::sure(&format!("Trust {}?", root.display()), &instead)? {
            return Ok(exit::FAILED);
        }
    }
    let grant = TrustGrant {
        path: root,
        digest: wishes.digest,
    };
    let record = client.trust(&grant).await?;
    if json {
        print::json(&record)?;
    } else {
        print::line(&record.path);
    }
    Ok(exit::OK)
}

async fn revoke(client: &Client, paths: Vec<PathBuf>, all: bool, json: bool) -> Result<(), Failure> {
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
                format!("no repository at {} is trusted", path.display()),
                &["`banger trust list` shows those that are"],
            )
            .exiting(exit::NOT_FOUND));
        }
        revoked.extend(gone);
    }
    if json {
        return Ok(print::json(&revoked)?);
    }
    revoked.dedup_by(|one, other| one.path == other.path);
    revoked.iter().for_each(|record| print::line(&record.path));
    Ok(())
}
