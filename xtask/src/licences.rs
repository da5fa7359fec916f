//! What banger is built from, against `deny.toml`: licences, versions of one crate beside each other, and sources. Advisories
//! need a database that is fetched; `cargo deny` reads the same file and looks at them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::repository;

/// The part of `deny.toml` that is checked here.
#[derive(Deserialize)]
struct Deny {
    licenses: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Skip>,
}

/// A version that may be there beside a newer one: `name@1` or `name@1.2`.
#[derive(Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    name: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// Where it comes from; nothing for what is in this repository.
    source: Option<String>,
}

/// Fails with every crate that `deny.toml` does not allow.
pub(crate) fn check() -> Result<()> {
    let path = repository::root().join("deny.toml");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let deny: Deny = toml::from_str(&text).with_context(|| format!("failed to read {}", path.display()))?;
    let output = repository::cargo()
        .args(["metadata", "--format-version=1", "--offline", "--all-features"])
        .output()
        .context("failed to run `cargo metadata`")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`cargo metadata` failed: {words}");
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("failed to read the output of `cargo metadata`")?;
    let faults = faults(&deny, &metadata.packages);
    ensure!(
        faults.is_empty(),
        "deny.toml does not allow:\n  {}",
        faults.join("\n  ")
    );
    println!(
        "licences: {} crates, as deny.toml allows",
        metadata.packages.len()
    );
    Ok(())
}

fn faults(deny: &Deny, packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        let name = format!("{} {}", package.name, package.version);
        match package.license.as_deref() {
            Some(licence) if is_allowed(licence, &deny.licenses.allow) => {}
            licence => faults.push(format!(
                "{name}: its licence is {}",
                licence.unwrap_or("not said")
            )),
        }
        if package
            .source
            .as_deref()
            .is_some_and(|source| !source.starts_with("registry+"))
        {
            faults.push(format!(
                "{name}: it comes from {}",
                package.source.as_deref().unwrap_or_default()
            ));
        }
        versions
            .entry(&package.name)
            .or_default()
            .insert(&package.version);
    }
    let mut used = BTreeSet::new();
    for (name, versions) in versions {
        let rest: Vec<&str> = versions
            .into_iter()
            .filter(|version| {
                let skip = deny
                    .bans
                    .skip
                    .iter()
                    .find(|skip| is_of(&skip.name, name, version));
                used.extend(skip.map(|skip| &skip.name));
                skip.is_none()
            })
            .collect();
        if rest.len() > 1 {
            faults.push(format!("{name}: in versions {}", rest.join(" and ")));
        }
    }
    let stale = deny.bans.skip.iter().filter(|skip| !used.contains(&skip.name));
    faults.extend(stale.map(|skip| format!("{}: it is skipped, and not there", skip.name)));
    faults
}

/// Whether `name@1.2` is about version 1.2.x of a crate.
fn is_of(skip: &str, name: &str, version: &str) -> bool {
    let Some((skipped, prefix)) = skip.split_once('@') else {
        return false;
    };
    let rest = version.strip_prefix(prefix);
    skipped == name && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether a licence expression of SPDX can be met with these licences. `OR` binds weaker than `AND`; `/` is an old `OR`.
fn is_allowed(expression: &str, allow: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any_of(&words, &mut at, allow);
    met && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allow: &BTreeSet<String>) -> bool {
    let mut met = all_of(words, at, allow);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all_of(words, at, allow);
    }
    met
}

fn all_of(words: &[&str], at: &mut usize, allow: &BTreeSet<String>) -> bool {
    let mut met = one(words, at, allow);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allow);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allow: &BTreeSet<String>) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = any_of(words, at, allow);
        let is_closed = words.get(*at) == Some(&")");
        *at += 1;
        return met && is_closed;
    }
    if words.get(*at) == Some(&"WITH") {
        let with = format!("{word} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
        return allow.contains(&with);
    }
    allow.contains(*word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, license: Option<&str>) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            license: license.map(str::to_owned),
            source: Some("registry+somewhere".to_owned()),
        }
    }

    fn deny() -> Deny {
        toml::from_str(
            "licenses.allow = [\"MIT\", \"ISC\"]\n[bans]\nskip = [{ crate = \"old@0.1\", reason = \"x\" }]",
        )
        .unwrap()
    }

    #[test]
    fn this_workspace_is_allowed() {
        check().unwrap();
    }

    #[test]
    fn expressions_are_met_or_not() {
        let allow = deny().licenses.allow;
        for (expression, met) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("MIT AND ISC", true),
            ("(MIT OR GPL-3.0) AND ISC", true),
            ("MIT OR GPL-3.0 AND BSD", true),
            ("(MIT OR GPL-3.0) AND BSD", false),
            ("MIT WITH exception", false),
            ("MIT WITH exception OR ISC", true),
            ("(MIT", false),
            ("MIT ISC", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(expression, &allow), met, "{expression}");
        }
    }

    #[test]
    fn what_is_not_allowed_is_named() {
        let mut foreign = package("foreign", "1.0.0", Some("MIT"));
        foreign.source = Some("git+somewhere".to_owned());
        let packages = [
            package("good", "1.0.0", Some("MIT")),
            package("bad", "1.0.0", Some("GPL-3.0")),
            package("none", "1.0.0", None),
            foreign,
            package("old", "0.1.9", Some("MIT")),
            package("old", "0.2.0", Some("MIT")),
            package("twice", "1.0.0", Some("MIT")),
            package("twice", "2.0.0", Some("MIT")),
        ];
        assert_eq!(
            faults(&deny(), &packages),
            [
                "bad 1.0.0: its licence is GPL-3.0",
                "none 1.0.0: its licence is not said",
                "foreign 1.0.0: it comes from git+somewhere",
                "twice: in versions 1.0.0 and 2.0.0",
            ]
        );
        let stale = faults(&deny(), &packages[..1]);
        assert_eq!(stale, ["old@0.1: it is skipped, and not there"]);
    }
}
