//! Catalogs as they are published, continued, and left by a publisher who is killed.

use std::fs;

use banger_catalog::{Error, PublishKey, Pulled};
use banger_fetch::{Fetcher, Limits};
use banger_store::Digest;

use crate::place::{Place, digest, files, pull};

#[test]
fn what_is_published_is_pulled_as_it_was() {
    let place = Place::new();
    let here = place.with_kernel("here", "6.1.0-test");
    let published = place.publish(&here, place.new_key()).unwrap();
    let there = place.store("there");
    let Pulled::New(pulled) = pull(&there, &place.catalog(&published), false).unwrap() else {
        panic!("it was not there");
    };
    let original = &here.list().unwrap()[0];
    assert_eq!(there.list().unwrap()[..], *std::slice::from_ref(&pulled));
    assert_eq!(pulled.version, "6.1.0-test");
    assert_eq!(
        (pulled.append, pulled.max_vcpus),
        (vec!["quiet".to_owned()], Some(1))
    );
    assert_eq!(pulled.supports, original.supports);
    assert_eq!(pulled.artifact.map(|digest: Digest| digest.to_string()), {
        let bytes = fs::read(place.artifact(&published)).unwrap();
        Some(digest(&bytes))
    });
    assert_eq!(
        fs::read(pulled.vmlinux).unwrap(),
        fs::read(&original.vmlinux).unwrap()
    );
    assert_eq!(fs::read(pulled.initrd.unwrap()).unwrap(), b"an initrd");
    assert_eq!(files(&place.path("there")), ["initrd", "record.json", "vmlinux"]);
    // The same again is no work, and the kernel that it came from is another.
    let again = pull(&there, &place.catalog(&published), false).unwrap();
    assert!(matches!(again, Pulled::Here(_)));
    let error = pull(&here, &place.catalog(&published), false).unwrap_err();
    assert!(error.to_string().contains("already exists"), "{error}");
    assert!(matches!(
        pull(&here, &place.catalog(&published), true),
        Ok(Pulled::New(_))
    ));
}

#[test]
fn a_catalog_is_continued_by_its_key_alone() {
    let place = Place::new();
    let here = place.with_kernel("here", "6.1.0-test");
    let first = place.publish(&here, place.new_key()).unwrap();
    let error = place.publish(&here, place.new_key()).unwrap_err();
    assert!(
        matches!(error, Error::KeyExists(_)),
        "an old key was replaced: {error}"
    );
    let same = place.publish(&here, place.key()).unwrap();
    assert_eq!(
        (&same.key, &same.kernels),
        (&first.key, &first.kernels),
        "packing is reproducible"
    );
    let newer = place.with_kernel("here", "6.1.1-test");
    let second = place.publish(&newer, place.key()).unwrap();
    assert_ne!(second.kernels, first.kernels);
    assert!(place.artifact(&first).exists(), "somebody may be pulling it");
    let other = PublishKey::New(place.path("other"));
    let error = place.publish(&newer, other).unwrap_err();
    assert!(matches!(error, Error::OtherKey { .. }), "{error}");
    fs::write(place.path("catalog/catalog.json"), "{}").unwrap();
    let error = place.publish(&newer, place.key()).unwrap_err();
    assert!(matches!(error, Error::Signature { .. }), "{error}");
    fs::write(place.path("no-key"), "hello").unwrap();
    let no_key = PublishKey::Existing(place.path("no-key"));
    let error = place.publish(&newer, no_key).unwrap_err();
    assert!(matches!(error, Error::SecretKey { .. }), "{error}");
}

#[test]
fn a_publisher_who_is_killed_at_any_step_leaves_a_catalog_that_goes_on() {
    const DOCUMENT: &str = "catalog.json";
    const SIGNATURE: &str = "catalog.json.minisig";
    let place = Place::new();
    let here = place.with_kernel("here", "6.1.0-test");
    let hidden = || {
        let names = fs::read_dir(place.path("catalog")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with('.')).collect::<Vec<_>>()
    };
    let at = |name: &str| place.path("catalog").join(name);
    let both = || [DOCUMENT, SIGNATURE].map(|name| fs::read(at(name)).unwrap());
    let mut published = place.publish(&here, place.new_key()).unwrap();
    assert_eq!(hidden(), [""; 0]);
    let serial = |text: &[u8]| {
        let document: serde_json::Value = serde_json::from_slice(text).unwrap();
        document["serial"].as_u64().unwrap()
    };
    for step in ["artifact", "document", "signature"] {
        let before = both();
        place.publish(&here, place.key()).unwrap();
        let after = both();
        // What there is on the way from the one to the other.
        fs::write(at(".0123456789abcdef.making"), "half an artifact").unwrap();
        fs::write(at(DOCUMENT), &before[0]).unwrap();
        if step != "artifact" {
            fs::write(at(".catalog.json.next"), &after[0]).unwrap();
        }
        let signature = if step == "signature" {
            &after[1]
        } else {
            &before[1]
        };
        fs::write(at(SIGNATURE), signature).unwrap();
        // Somebody else's key neither continues it nor takes away what is needed for that.
        let other = place.publish(&here, PublishKey::New(place.path(&format!("other-{step}"))));
        assert!(other.is_err(), "{step}");
        published = place.publish(&here, place.key()).unwrap();
        assert_eq!(hidden(), [""; 0], "{step}");
        let now = serial(&both()[0]);
        let least = if step == "signature" {
            serial(&after[0])
        } else {
            serial(&before[0])
        };
        assert!(now > least, "{step}: {now}, {least}");
        place
            .catalog(&published)
            .read(&Fetcher::new(Limits::default()))
            .unwrap_or_else(|error| panic!("{step}: {error}"));
    }
    // A name that is not of ours stays.
    fs::write(at(".htaccess"), "").unwrap();
    place.publish(&here, place.key()).unwrap();
    assert_eq!(hidden(), [".htaccess"]);
    assert_eq!(published.kernels.len(), 1);
}
