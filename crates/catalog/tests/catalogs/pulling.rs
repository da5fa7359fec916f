//! What is pulled of a catalog, and what is refused.

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;

use banger_catalog::{Catalog, Error, Fault, PullOptions, Pulled, pull_kernel};
use banger_fetch::{Fetcher, Limits};
use banger_model::Describe;

use crate::place::{Place, files, pull, vmlinux};

pub(crate) fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn an_artifact_that_is_no_kernel_leaves_nothing() {
    let place = Place::new();
    let here = place.with_kernel("here", "6.1.0-test");
    let elf = vmlinux("6.1.0-test");
    let record = fs::read_to_string(place.path("here/kernels/k/record.json")).unwrap();
    let with_modules = record.replace("\"modules\": []", "\"modules\": [\"../../x.ko\"]");
    assert_ne!(with_modules, record);
    let whole = [("record.json", record.as_bytes()), ("vmlinux", &elf[..])];
    let with = |name, content| tar(&[&whole[..], &[(name, content)]].concat());
    let mut link = tar(&whole);
    // A link that a later entry would be written through.
    link.truncate(link.len() - 1024);
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_path("initrd").unwrap();
    header.set_link_name("/etc/passwd").unwrap();
    header.set_size(0);
    header.set_cksum();
    link.write_all(header.as_bytes()).unwrap();
    link.extend_from_slice(&[0; 1024]);
    let other_version = vmlinux("6.6.6");
    let long_name = [extension(b'L', &[b'x'; 8 << 20]), tar(&whole)].concat();
    let long_link = [extension(b'K', &[b'x'; 8 << 20]), tar(&whole)].concat();
    for (bytes, words) in [
        (long_name, "is not a regular file"),
        (long_link, "is not a regular file"),
        (with("../x", b"x"), "leads out"),
        (with("modules/../../x", b"x"), "leads out"),
        (with("/tmp/x", b"x"), "absolute"),
        (with("modules/a/b", b"x"), "not part of a kernel"),
        (with("x", b"x"), "not part of a kernel"),
        (with("vmlinux", b"x"), "twice"),
        (link, "is not a regular file"),
        (tar(&whole[..1]), "has no `vmlinux`"),
        (tar(&whole[1..]), "has no `record.json`"),
        (tar(&[("record.json", b"{}"), whole[1]]), "invalid record"),
        (
            tar(&[("record.json", with_modules.as_bytes()), whole[1]]),
            "has no `modules/",
        ),
        (tar(&[whole[0], ("vmlinux", b"hello")]), "is not a kernel"),
        (
            tar(&[whole[0], ("vmlinux", &other_version)]),
            "its catalog specifies 6.1.0-test",
        ),
        (tar(&whole)[..60_000].to_vec(), "unpack"),
        (b"no tar at all".to_vec(), "unpack"),
    ] {
        let key = place.path("key").exists();
        let key = if key { place.key() } else { place.new_key() };
        let published = place.publish(&here, key).unwrap();
        place.replace_artifact(&published, &bytes);
        let there = place.store("there");
        let error = pull(&there, &place.catalog(&published), false).unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert_eq!(files(&place.path("there")), Vec::<String>::new(), "after {words}");
        assert_eq!(files(&place.path("cache")), Vec::<String>::new(), "after {words}");
        fs::remove_dir_all(place.path("catalog")).unwrap();
    }
    assert!(!place.path("x").exists());
}

/// An entry that says more of the next one.
fn extension(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_path("extension").unwrap();
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut entry = [header.as_bytes(), content].concat();
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

/// Whatever an extended header says of an entry, a kernel's files are what their own headers say.
#[test]
fn extended_headers_of_an_artifact_are_passed_over() {
    let place = Place::new();
    let here = place.with_kernel("here", "6.1.0-test");
    let record = fs::read(place.path("here/kernels/k/record.json")).unwrap();
    let elf = vmlinux("6.1.0-test");
    let whole = [("record.json", &record[..]), ("vmlinux", &elf[..])];
    let tar = [
        extension(b'g', b"13 comment=x\n"),
        extension(b'x', b"17 path=../../x\n\n"),
        extension(b'x', &[b'x'; 8 << 20]),
        tar(&whole),
    ]
    .concat();
    let published = place.publish(&here, place.new_key()).unwrap();
    place.replace_artifact(&published, &tar);
    let there = place.store("there");
    pull(&there, &place.catalog(&published), false).unwrap();
    banger_cases::refused("budget", "artifact.long-extended-header");
}

#[test]
fn a_cancelled_pull_leaves_nothing() {
    let place = Place::new();
    let here = place.with_kernel("here", "6.1.0-test");
    let published = place.publish(&here, place.new_key()).unwrap();
    let there = place.store("there");
    let options = PullOptions {
        name: "k".parse().unwrap(),
        force: false,
    };
    let fetcher = Fetcher::new(Limits::default());
    let mut cancel = |_, _| ControlFlow::Break(());
    let catalogs = [place.catalog(&published)];
    let error = pull_kernel(&there, &catalogs, &options, &fetcher, &mut cancel, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("cancelled"), "{error}");
    assert_eq!(files(&place.path("there")), Vec::<String>::new());
}

/// A server that keeps an old document with its good signature gives nothing to whoever saw the new one.
#[test]
fn an_old_state_of_a_catalog_is_not_taken_again() {
    let place = Place::new();
    let here = place.with_kernel("here", "6.1.0-test");
    let published = place.publish(&here, place.new_key()).unwrap();
    let files = ["catalog.json", "catalog.json.minisig"].map(|name| place.path("catalog").join(name));
    let old = files.clone().map(|file| std::fs::read(file).unwrap());
    let catalog = place.catalog(&published);
    let fetcher = Fetcher::new(Limits::default());
    catalog.read(&fetcher).unwrap();
    place.publish(&here, place.key()).unwrap();
    catalog.read(&fetcher).unwrap();
    for (file, bytes) in files.iter().zip(old) {
        std::fs::write(file, bytes).unwrap();
    }
    let refusal = catalog.read(&fetcher).unwrap_err();
    assert!(matches!(refusal, Error::RolledBack { .. }), "{refusal}");
    banger_cases::refused("registry", "catalog.rolled-back");
    // Its publisher continues it from there, and goes past what was seen.
    place.publish(&here, place.key()).unwrap();
    catalog.read(&fetcher).unwrap();
}

#[test]
fn a_name_means_one_kernel() {
    let place = Place::new();
    let here = place.with_kernel("here", "6.1.0-test");
    let published = place.publish(&here, place.new_key()).unwrap();
    let one = place.catalog(&published);
    let two = Catalog {
        name: "d".to_owned(),
        ..one.clone()
    };
    let gone = Catalog {
        name: "e".to_owned(),
        location: "/nowhere".parse().unwrap(),
        ..one.clone()
    };
    let there = place.store("there");
    let fetcher = Fetcher::new(Limits::default());
    let ask = |catalogs: &[Catalog], name: &str| {
        let name = name.parse().unwrap();
        let options = PullOptions { name, force: false };
        let mut progress = |_, _| ControlFlow::Continue(());
        pull_kernel(&there, catalogs, &options, &fetcher, &mut progress, &mut |_| {})
    };
    let error = ask(&[one.clone(), two], "k").unwrap_err();
    assert!(matches!(error, Error::Ambiguous { .. }), "{error}");
    let error = ask(std::slice::from_ref(&one), "x").unwrap_err();
    assert_eq!(error.describe().hints, ["available: k"]);
    assert!(matches!(ask(&[], "k").unwrap_err(), Error::NoCatalogs));
    // One that cannot be read matters only when no other has the kernel.
    let error = ask(&[gone.clone(), one.clone()], "x").unwrap_err();
    assert!(matches!(error, Error::NoDocument { .. }), "{error}");
    assert!(matches!(ask(&[gone, one], "k"), Ok(Pulled::New(_))));
}

#[test]
fn faults_name_the_entry() {
    let fault = Fault::Escapes("../x".to_owned());
    assert_eq!(
        fault.to_string(),
        "has entry `../x`, which leads out of the archive"
    );
}
