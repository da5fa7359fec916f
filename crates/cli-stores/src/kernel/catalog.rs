//! `banger kernel catalog`

use banger_api::{Catalog, CatalogAdd};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::values::absolute;
use banger_command::{complete, exit, many, print};
use banger_model::CatalogName;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Command {
    Add(Add),
    /// List catalogs
    #[command(visible_alias = "ls")]
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove catalogs; what was pulled from them stays
    #[command(visible_alias = "delete")]
    Rm {
        #[arg(required = true, add = complete::catalogs())]
        names: Vec<String>,
    },
}

/// Add a catalog
///
/// Everything that comes from it has to be vouched for by KEY, which its publisher tells: take it from another place than
/// the catalog itself. A catalog may as well stand in config.toml, as `[[catalog]]` with name, location and key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger kernel catalog add team https://kernels.example/v1/ --key RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3
  banger kernel catalog add local /srv/kernels --key \"$(tail -n 1 catalog.key.pub)\"")]
pub struct Add {
    /// What it is called here
    name: CatalogName,
    /// A URL (http or https) or a path, of its catalog.json or of the directory that has it
    location: String,
    /// The public key of minisign that vouches for it
    #[arg(long)]
    key: String,
    /// Print the catalog as JSON
    #[arg(long)]
    json: bool,
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
            if args.json {
                print::json(&catalog)?;
            } else {
                print::line(&format!("{}: {}", catalog.name, catalog.location));
            }
        }
        Command::List { json } => list(&client.catalogs().await?, json)?,
        Command::Rm { names } => {
            let remove = async |name: String| {
                client.remove_catalog(&name).await?;
                Ok(name)
            };
            return Ok(many::each(&names, remove).await);
        }
    }
    Ok(exit::OK)
}

fn list(catalogs: &[Catalog], json: bool) -> Result<(), Failure> {
    if json {
        return Ok(print::json(catalogs)?);
    }
    let rows = catalogs.iter().map(|catalog| {
        vec![
            catalog.name.to_string(),
            catalog.location.clone(),
            catalog.key.clone(),
            if catalog.in_config { "config.toml" } else { "" }.to_owned(),
        ]
    });
    print::table(&["NAME", "LOCATION", "KEY", ""], rows);
    Ok(())
}
