//! What all lists have in common: what is listed (`--filter`), and in which form (`--format`, `--quiet`, `--json`, a table).
//!
//! A list describes its objects by a [`Listing`], takes [`Options`] into its arguments, and calls [`Options::plan`] before it asks the
//! daemon: a filter or a template that is wrong is refused first.

mod filter;
mod template;

use banger_model::Describe;
use serde::Serialize;

use self::filter::Filters;
use self::template::Template;
use crate::failure::Failure;
use crate::output::Output;
use crate::{exit, print};

/// Options of every list.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Options {
    /// List only objects that match KEY=VALUE or KEY!=VALUE; `*` in VALUE is any text; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Print each object by a template such as '{{ name }}', or as one line of JSON with `json`
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["quiet", "json"])]
    format: Option<String>,
    /// Print names only
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,
    #[command(flatten)]
    output: Output,
}

/// A key of `--filter`, and the values that an object has by it.
#[derive(Debug)]
pub struct Key<T> {
    /// The key.
    pub name: &'static str,
    /// The values of an object. A filter matches if one of them does.
    pub values: fn(&T) -> Vec<String>,
}

/// What objects are as a list. Their fields in JSON are those of templates.
#[derive(Debug)]
pub struct Listing<T: 'static> {
    /// The keys of `--filter`.
    pub keys: &'static [Key<T>],
    /// The header of the table.
    pub header: &'static [&'static str],
    /// The name of one.
    pub name: fn(&T) -> String,
    /// Its row of the table.
    pub row: fn(&T) -> Vec<String>,
}

/// A list that was asked for, as understood.
#[derive(Debug)]
pub struct Plan<T: 'static> {
    listing: Listing<T>,
    filters: Filters<T>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Table,
    Names,
    Json,
    Template(Template),
}

impl Options {
    /// Whether and in which form there is JSON.
    pub const fn output(&self) -> Output {
        self.output
    }

    /// Understands the options.
    ///
    /// # Errors
    /// When a key of a filter is not known, or the template is wrong.
    pub fn plan<T: Serialize>(self, listing: Listing<T>) -> Result<Plan<T>, Failure> {
        let form = match self.format {
            Some(template) => Form::Template(Template::new(&template).map_err(usage)?),
            None if self.output.json => Form::Json,
            None if self.quiet => Form::Names,
            None => Form::Table,
        };
        let filters = Filters::new(&self.filter, listing.keys).map_err(usage)?;
        Ok(Plan {
            listing,
            filters,
            form,
        })
    }
}

impl<T: Serialize> Plan<T> {
    /// Whether a person reads the list, who may be given a hint beside it.
    pub const fn is_table(&self) -> bool {
        matches!(self.form, Form::Table)
    }

    /// Prints those that match.
    ///
    /// # Errors
    /// When a template names what the objects do not have.
    pub fn print(&self, mut all: Vec<T>) -> Result<(), Failure> {
        all.retain(|one| self.filters.match_one(one));
        match &self.form {
            Form::Json => print::json(&all)?,
            Form::Names => all.iter().for_each(|one| print::line(&(self.listing.name)(one))),
            Form::Table => print::table(self.listing.header, all.iter().map(self.listing.row)),
            Form::Template(template) => {
                for one in &all {
                    let text = template.render(one).map_err(usage)?;
                    print::escaped(&text);
                }
            }
        }
        Ok(())
    }
}

fn usage(error: impl Describe + 'static) -> Failure {
    Failure::from(banger_model::body(&error)).exiting(exit::USAGE)
}

/// The values of labels for `--filter`: `NAME`, and `NAME=VALUE`.
pub fn labels<K: AsRef<str>, V: AsRef<str>>(labels: impl Iterator<Item = (K, V)>) -> Vec<String> {
    labels
        .flat_map(|(name, value)| {
            let (name, value) = (name.as_ref(), value.as_ref());
            [name.to_owned(), format!("{name}={value}")]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize)]
    struct Thing {
        name: &'static str,
        size: u64,
        of: Option<&'static str>,
        labels: std::collections::BTreeMap<&'static str, &'static str>,
    }

    const THINGS: Listing<Thing> = Listing {
        keys: &[
            Key {
                name: "name",
                values: |thing| vec![thing.name.to_owned()],
            },
            Key {
                name: "of",
                values: |thing| thing.of.map(str::to_owned).into_iter().collect(),
            },
            Key {
                name: "label",
                values: |thing| labels(thing.labels.iter()),
            },
        ],
        header: &["NAME"],
        name: |thing| thing.name.to_owned(),
        row: |thing| vec![thing.name.to_owned()],
    };

    fn things() -> Vec<Thing> {
        vec![
            Thing {
                name: "web",
                size: 3 << 20,
                of: None,
                labels: [("team", "core"), ("ci", "")].into(),
            },
            Thing {
                name: "web-\x1b[31m",
                size: 1,
                of: Some("web"),
                labels: [("team", "ui")].into(),
            },
        ]
    }

    fn matching(filters: &[&str]) -> Vec<&'static str> {
        let filter = filters.iter().map(|filter| (*filter).to_owned()).collect();
        let options = Options {
            filter,
            ..Options::default()
        };
        let plan = options.plan(THINGS).unwrap();
        let matches = |thing: &Thing| plan.filters.match_one(thing);
        things()
            .iter()
            .filter(|thing| matches(thing))
            .map(|thing| thing.name)
            .collect()
    }

    #[test]
    fn filters_of_one_key_are_alternatives_and_others_add_up() {
        assert_eq!(matching(&["name=web"]), ["web"]);
        assert_eq!(matching(&["name=web*"]).len(), 2);
        assert_eq!(matching(&["name=w*b", "name=*[31m"]).len(), 2);
        assert_eq!(matching(&["name=web*", "of=web"]).len(), 1);
        assert_eq!(matching(&["label=team"]).len(), 2);
        assert_eq!(matching(&["label=team=core"]), ["web"]);
        assert_eq!(matching(&["label!=ci"]).len(), 1);
        assert_eq!(matching(&["label!=ci", "label!=team=ui"]).len(), 0);
        assert_eq!(matching(&["of="]), ["web"]);
        assert_eq!(matching(&["of=*"]).len(), 1);
    }

    fn refused(options: Options) -> String {
        format!("{:?}", options.plan(THINGS).unwrap_err())
    }

    fn filtered(filter: &str) -> String {
        refused(Options {
            filter: vec![filter.to_owned()],
            ..Options::default()
        })
    }

    fn formatted(template: &str) -> Result<Vec<String>, String> {
        let template =
            Template::new(template).map_err(|error| format!("{error} {:?}", error.describe().hints))?;
        things()
            .iter()
            .map(|thing| {
                template
                    .render(thing)
                    .map_err(|error| format!("{error} {:?}", error.describe().hints))
            })
            .collect()
    }

    #[test]
    fn unknown_keys_are_refused_with_the_known_ones() {
        let text = filtered("nmae=web");
        assert!(text.contains("unknown key \\\"nmae\\\""), "{text}");
        assert!(text.contains("name, of, label"), "{text}");
        assert!(filtered("web").contains("KEY=VALUE"));
    }

    #[test]
    fn templates_have_the_fields_of_json_and_filters_for_people() {
        let printed =
            formatted("{{ name }}\\t{{ size | size }} {{ of }}{% if labels.ci is defined %} ci{% endif %}");
        assert_eq!(printed.unwrap()[0], "web\t3 MiB  ci");
        assert_eq!(formatted("{{ labels | json }}").unwrap()[1], r#"{"team":"ui"}"#);
        // What an object says cannot steer a terminal.
        assert_eq!(formatted("{{ name }}").unwrap()[1], "web-\\u{1b}[31m");
        assert!(formatted("json").unwrap()[0].starts_with(r#"{"name":"web","#));
    }

    #[test]
    fn a_template_of_docker_gets_the_right_form() {
        let refused = formatted("{{.Name}} {{ .Status.DiskUsed }}").unwrap_err();
        assert!(refused.contains("{{ name }}"), "{refused}");
        let refused = formatted("table {{.Names}}").unwrap_err();
        assert!(refused.contains("{{ name"), "{refused}");
        let refused = formatted("{{ nmae }}").unwrap_err();
        assert!(refused.contains("labels, name, of, size"), "{refused}");
        let refused = formatted("{{ name").unwrap_err();
        assert!(refused.contains("invalid template"), "{refused}");
    }
}
