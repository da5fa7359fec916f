//! What the stores of images and of kernels have in common on the command line: what is in them is listed, shown, made the default
//! one and removed in the same way.

use banger_client::{Client, ClientError};
use banger_command::failure::Failure;
use banger_command::list::{Key, Listing, Options};
use banger_command::many::{self, Done};
use banger_command::output::Output;
use banger_command::print;
use serde::Serialize;

/// What one of the daemon's stores holds.
pub(crate) trait Stored: Serialize + Sized + 'static {
    /// As the command line has it: `image`.
    const KIND: &'static str;

    /// The columns of a list.
    const COLUMNS: &'static [&'static str];

    /// The keys by which a list is filtered.
    const KEYS: &'static [Key<Self>];

    /// Its name.
    fn name(&self) -> &str;

    /// Whether VMs have it when none is named.
    fn is_default(&self) -> bool;

    /// What stands in those columns.
    fn row(&self) -> Vec<String>;

    /// All there is to show; what is empty is left out.
    fn facts(&self) -> Vec<(&'static str, String)>;

    /// What is printed of one that is new, behind its name.
    fn summary(&self) -> String;

    /// All of them.
    async fn all(client: &Client) -> Result<Vec<Self>, ClientError>;

    /// The one of this name.
    async fn get(client: &Client, name: &str) -> Result<Self, ClientError>;

    /// Makes it the default one.
    async fn make_default(client: &Client, name: &str) -> Result<Self, ClientError>;

    /// Removes it.
    async fn delete(client: &Client, name: &str) -> Result<(), ClientError>;
}

/// Options of a list.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// List what can be pulled from catalogs
    #[arg(long, short)]
    pub(crate) available: bool,
    #[command(flatten)]
    pub(crate) list: Options,
}

/// Lists all.
pub(crate) async fn list<T: Stored>(client: &Client, options: Options) -> Result<(), Failure> {
    let plan = options.plan(Listing {
        keys: T::KEYS,
        header: T::COLUMNS,
        name: |stored: &T| stored.name().to_owned(),
        row: T::row,
    })?;
    plan.print(T::all(client).await?)
}

/// In the column for the default one.
pub(crate) fn yes(is_so: bool) -> String {
    if is_so { "yes" } else { "" }.to_owned()
}

/// Shows one.
pub(crate) async fn show<T: Stored>(client: &Client, name: &str, json: bool) -> Result<(), Failure> {
    let stored = T::get(client, name).await?;
    if json {
        return Ok(print::json(&stored)?);
    }
    print::facts(&stored.facts());
    Ok(())
}

/// Prints the name of the default one, which may be set to `name` before.
pub(crate) async fn default<T: Stored>(
    client: &Client,
    name: Option<&str>,
    output: Output,
) -> Result<(), Failure> {
    if let Some(name) = name {
        let made = T::make_default(client, name).await?;
        return output.print(&made, |made| print::line(made.name()));
    }
    let all = T::all(client).await?;
    let Some(default) = all.iter().find(|stored| stored.is_default()) else {
        return Err(no_default::<T>(all.first()));
    };
    output.print(default, |default| print::line(default.name()))
}

/// That none is the default one.
fn no_default<T: Stored>(first: Option<&T>) -> Failure {
    let kind = T::KIND;
    let hint = match first.map(T::name) {
        Some(name) => format!("set one with `banger {kind} default {name}`; `banger {kind} list` lists all"),
        None => format!("there is no {kind} yet; `banger doctor` shows how to get one"),
    };
    Failure::new(format!("there is no default {kind}"), &[&hint])
}

/// Removes all of these names, and gives the exit code.
pub(crate) async fn delete<T: Stored>(
    client: &Client,
    names: &[String],
    output: Output,
) -> Result<i32, Failure> {
    let delete = async |name: String| {
        T::delete(client, &name).await?;
        Ok(Done::name(name))
    };
    many::each(output, names, delete).await
}

/// Prints one that is new.
pub(crate) fn print_new<T: Stored>(stored: &T, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(print::json(stored)?);
    }
    print::line(&format!("{}: {}", stored.name(), stored.summary()));
    if !stored.is_default() {
        let (kind, name) = (T::KIND, stored.name());
        print::notice(&format!(
            "note: another {kind} is the default; change it with `banger {kind} default {name}`"
        ));
    }
    Ok(())
}
