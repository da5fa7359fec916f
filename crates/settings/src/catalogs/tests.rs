//! Catalogs of the configuration and of commands.

use super::*;

const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

fn entry(name: &str) -> CatalogEntry {
    CatalogEntry {
        name: name.parse().unwrap(),
        location: "/srv/kernels".parse().unwrap(),
        key: KEY.parse().unwrap(),
    }
}

fn names(paths: &Paths) -> Vec<String> {
    let all = list(paths).unwrap().into_iter();
    all.map(|one| format!("{}{}", one.entry.name, if one.in_config { "!" } else { "" }))
        .collect()
}

#[test]
fn what_is_added_stays_beside_what_is_configured() {
    let home = tempfile::tempdir().unwrap();
    let paths = Paths::below(home.path());
    add(&paths, entry("b")).unwrap();
    let config = format!("[[catalog]]\nname = \"a\"\nlocation = \"/c\"\nkey = \"{KEY}\"\n");
    std::fs::write(paths.config_file(), &config).unwrap();
    assert_eq!(names(&paths), ["a!", "b"]);
    for taken in ["a", "b"] {
        assert!(matches!(add(&paths, entry(taken)), Err(Error::Exists(_))));
    }
    let name = |name: &str| name.parse().unwrap();
    assert!(matches!(remove(&paths, &name("a")), Err(Error::InConfig { .. })));
    assert!(matches!(remove(&paths, &name("c")), Err(Error::NotFound { .. })));
    remove(&paths, &name("b")).unwrap();
    assert_eq!(names(&paths), ["a!"]);
    assert_eq!(std::fs::read_to_string(paths.config_file()).unwrap(), config);
}

#[test]
fn a_duplicate_name_is_reported_and_can_be_removed() {
    let home = tempfile::tempdir().unwrap();
    let paths = Paths::below(home.path());
    add(&paths, entry("a")).unwrap();
    let config = format!("[[catalog]]\nname = \"a\"\nlocation = \"/c\"\nkey = \"{KEY}\"\n");
    std::fs::write(paths.config_file(), config).unwrap();
    assert!(matches!(list(&paths), Err(Error::Twice { .. })));
    remove(&paths, &"a".parse().unwrap()).unwrap();
    assert_eq!(names(&paths), ["a!"]);
}
