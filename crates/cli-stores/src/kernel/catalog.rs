//! `banger kernel catalog`

use banger_api::{Catalog, CatalogAdd};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::list::{Key, Listing, Options};
use banger_command::many::{self, Done};
use banger_command::output::Output;
use banger_command::values::absolute;
use banger_command::{complete, exit, print};
use banger_model::CatalogName;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Command {
    Add(Add),
    /// List catalogs
    ///
    /// Keys of --filter: name, location.
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  banger kernel catalog list
  banger kernel catalog list --json"
    )]
    List {
        #[command(flatten)]
        list: Options,
    },
    /// Remove catalogs; images and kernels pulled from them are kept
    #[command(
        visible_alias = "delete",
        after_help = "\
Examples:
  banger kernel catalog rm team
  banger kernel catalog rm team local"
    )]
    Rm {
        /// Names of the catalogs
        #[arg(required = true, value_name = "NAME", add = complete::catalogs())]
        names: Vec<String>,
        #[command(flatten)]
        output: Output,
    },
}

/// Add a catalog
///
/// Everything pulled from the catalog must be signed with KEY. Get the key from the publisher, not from the catalog
/// itself. Catalogs can also be listed in config.toml, as `[[catalog]]` with name, location and key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger kernel catalog add team https://kernels.example/v1/ --key \"$(tail -n 1 team.pub)\"
  banger kernel catalog add local /srv/kernels --key \"$(tail -n 1 catalog.key.pub)\"")]
pub struct Add {
    /// Name of the catalog on this host
    name: CatalogName,
    /// URL (http or https) or path of catalog.json, or of its directory
    location: String,
    /// Public minisign key of the catalog
    #[arg(long)]
    key: String,
    #[command(flatten)]
    output: Output,
}

pub(crate) async fn run(client: &Client, command: Command) -> Result<i32, Failure> {
    match command {
        Command::Add(args) => {
            let location = if args.location.contains("://") {
                args.location
            } else {
                absolute(args.location.into())?.to_string_lossy().into_owned()
            };
            let add = CatalogAdd {
                name: args.name,
                location,
                key: args.key,
            };
            let catalog = client.add_catalog(&add).await?;
            if args.output.json {
                print::json(&catalog)?;
            } else {
                print::line(&format!("{}: {}", catalog.name, catalog.location));
            }
        }
        Command::List { list } => list.plan(CATALOGS)?.print(client.catalogs().await?)?,
        Command::Rm { names, output } => {
            let remove = async |name: String| {
                client.remove_catalog(&name).await?;
                Ok(Done::name(name))
            };
            return many::each(output, &names, remove).await;
        }
    }
    Ok(exit::OK)
}

const CATALOGS: Listing<Catalog> = Listing {
    keys: &[
        Key {
            name: "name",
            values: |catalog| vec![catalog.name.to_string()],
        },
        Key {
            name: "location",
            values: |catalog| vec![catalog.location.clone()],
        },
    ],
    header: &["NAME", "LOCATION", "KEY", "SOURCE"],
    name: |catalog| catalog.name.to_string(),
    row: |catalog| {
        vec![
            catalog.name.to_string(),
            catalog.location.clone(),
            catalog.key.clone(),
            if catalog.in_config { "config.toml" } else { "" }.to_owned(),
        ]
    },
};
