//! That the links between pages of the documentation lead to pages and headings that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::hints::{files, top};

/// The lines that are no block of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_in = false;
    text.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        is_in ^= is_fence;
        !is_in && !is_fence
    })
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_'));
    kept.map(|char| if char == ' ' { '-' } else { char }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

/// Where the links of a page lead that are no addresses of other sites.
fn links(text: &str) -> Vec<String> {
    // A link may be broken between its text and the next line, but not within its target.
    let text: String = prose(text).flat_map(|line| [line, "\n"]).collect();
    // Code between backticks has no links.
    let plain: String = text.split('`').step_by(2).collect();
    let targets = plain.split("](").skip(1);
    let targets = targets.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
    targets.filter(|target| !target.contains("://")).collect()
}

fn fault(page: &Path, text: &str, link: &str) -> Option<String> {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let dir = page.parent().unwrap_or(page);
    let path = if file.is_empty() {
        page.to_owned()
    } else {
        dir.join(file)
    };
    if !path.exists() {
        return Some(format!("{}: {link}: no such file", page.display()));
    }
    let there = match file {
        "" => text.to_owned(),
        _ => std::fs::read_to_string(&path).unwrap_or_default(),
    };
    let is_there = heading.is_empty() || anchors(&there).contains(heading);
    (!is_there).then(|| format!("{}: {link}: no such heading", page.display()))
}

#[test]
fn every_link_of_the_documentation_leads_to_a_page_and_a_heading() {
    let names = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "SECURITY.md",
    ];
    let mut pages: Vec<PathBuf> = names.iter().map(|name| top().join(name)).collect();
    files(&top().join("docs"), "md", &mut pages);
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            seen += 1;
            wrong.extend(fault(&page, &text, &link));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 100, "only {seen} were found");
}

#[test]
fn anchors_are_those_of_the_site_that_shows_the_pages() {
    for (heading, expected) in [
        (" A first session", "a-first-session"),
        (" `[vm_defaults]`", "vm_defaults"),
        (" What is verified, and when", "what-is-verified-and-when"),
        (" devcontainer.json", "devcontainerjson"),
    ] {
        assert_eq!(anchor(heading), expected);
    }
}
