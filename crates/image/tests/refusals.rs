//! Images that are not what they say, or more than they may be: each is refused by what is wrong with it, and nothing of it
//! is left in the store.

mod host;

use std::fs;
use std::path::Path;

use banger_image::{Error, ImageStore, Pull, PullOptions};
use banger_model::Describe;
use banger_oci::PullSource;
use tokio_util::sync::CancellationToken;

use host::layers::{Described, Entry, Layout, Packing, sha256, tar};

/// Pulls what `make` puts into a layout. It must fail with these words among the causes, and leave nothing.
fn refused(make: impl FnOnce(&Layout), options: &PullOptions, expected: &str) -> Error {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(&dir.path().join("layout"));
    make(&layout);
    let place = dir.path().join("store");
    let store = ImageStore::open(&place).unwrap();
    let pull = Pull {
        name: "i".parse().unwrap(),
        source: PullSource::Layout(layout.0.clone(), None),
        kernel: None,
        force: false,
        options: options.clone(),
    };
    let error = store
        .pull(&pull, &|_, _, _| (), &CancellationToken::new())
        .expect_err(expected);
    let words = host::words(&error);
    assert!(words.contains(expected), "`{expected}` is not in: {words}");
    assert_empty(&store, &place);
    error
}

fn assert_empty(store: &ImageStore, place: &Path) {
    for part in ["tmp", "g", "names"] {
        let left = fs::read_dir(place.join("images").join(part)).unwrap().count();
        assert_eq!(left, 0, "left in {part}");
    }
    assert!(store.list().unwrap().is_empty());
}

/// A layer with enough in it to be cut.
fn layer(packing: Packing) -> Described {
    let content: Vec<u8> = (0..50_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    Described::new(&tar(&[Entry::dir("d"), Entry::file("d/f", content)]), packing)
}

/// Pulls an image of a good layer and one that `spoil` makes bad.
fn spoilt(packing: Packing, expected: &str, spoil: impl FnOnce(&mut Described)) {
    let mut bad = layer(packing);
    spoil(&mut bad);
    let good = Described::new(&tar(&[Entry::file("good", "")]), Packing::Gzip);
    let words = refused(
        |layout| layout.image(&[good, bad]),
        &PullOptions::default(),
        expected,
    );
    let words = words.to_string();
    assert!(words.contains("unpack layer 2 of 2 (sha256:"), "{words}");
}

const PACKINGS: [Packing; 4] = [Packing::Plain, Packing::Gzip, Packing::Zstd, Packing::Members];

#[test]
fn layers_must_have_their_digests() {
    for packing in PACKINGS {
        spoilt(packing, "expected sha256:0000", |layer| {
            layer.digest = "0".repeat(64)
        });
        spoilt(packing, "expected sha256:1111", |layer| {
            layer.diff_id = "1".repeat(64)
        });
    }
}

#[test]
fn layers_must_have_their_sizes() {
    for packing in PACKINGS {
        spoilt(packing, "bytes, expected", |layer| layer.size += 1);
        spoilt(packing, "bytes, expected", |layer| layer.size -= 1);
        spoilt(packing, "bytes, expected", |layer| layer.size = 0);
    }
}

#[test]
fn truncated_layers_are_told() {
    for packing in PACKINGS {
        spoilt(packing, "bytes, expected", |layer| {
            layer.blob.truncate(layer.size / 2);
        });
    }
    // What is truncated by whoever made the image.
    let whole = tar(&[Entry::file("f", [1; 5000])]);
    for len in [100, 700, 5000] {
        let cut = Described::new(&whole[..len], Packing::Gzip);
        spoilt(Packing::Gzip, "truncated", |layer| *layer = cut);
    }
    spoilt(Packing::Gzip, "read the archive", |layer| {
        let packed = &layer.blob[..layer.blob.len() / 2];
        let diff_id = layer.diff_id.clone();
        *layer = Described {
            media_type: Packing::Gzip.media_type().to_owned(),
            digest: sha256(packed),
            size: packed.len(),
            diff_id,
            blob: packed.to_vec(),
        };
    });
}

/// Of a long path each part is a directory, and each takes a block: what is small in an archive is large in an image.
#[test]
fn paths_do_not_imply_more_directories_than_images_have() {
    let deep = |entries: usize| {
        let entries = (0..entries).map(|number| Entry::file(format!("{number}{}/f", "/d".repeat(3000)), ""));
        Described::new(&tar(&entries.collect::<Vec<_>>()), Packing::Gzip)
    };
    refused(
        |layout| layout.image(&[deep(30)]),
        &PullOptions::default(),
        "may be a decompression bomb",
    );
    // Neither does it help to spread them over layers.
    let layers: Vec<_> = (0..6)
        .map(|layer| {
            let entries =
                (0..5).map(|number| Entry::file(format!("{layer}-{number}{}/f", "/d".repeat(3000)), ""));
            Described::new(&tar(&entries.collect::<Vec<_>>()), Packing::Gzip)
        })
        .collect();
    refused(
        |layout| layout.image(&layers),
        &PullOptions::default(),
        "may be a decompression bomb",
    );
    banger_cases::refused("bomb", "implied-directories");
}

/// The blocks of a file have numbers of 32 bits, those of a hole, too.
#[test]
fn a_hole_does_not_make_a_file_larger_than_any() {
    for size in [16_u64 << 40, 1 << 50, 1 << 62] {
        let sparse = Described::new(&tar(&[Entry::sparse("f", size, &[(0, b"x")])]), Packing::Gzip);
        refused(|layout| layout.image(&[sparse]), &PullOptions::default(), "f");
    }
}

#[test]
fn damaged_layers_are_told() {
    for packing in [Packing::Gzip, Packing::Zstd, Packing::Members] {
        spoilt(packing, "read the archive", |layer| {
            let middle = layer.blob.len() / 2;
            layer.blob[middle..middle + 20].fill(0xa5);
            layer.digest = sha256(&layer.blob);
        });
    }
    spoilt(Packing::Plain, "expected sha256:", |layer| {
        *layer.blob.last_mut().unwrap() = 1;
    });
}

#[test]
fn entries_that_lead_out_are_refused() {
    for (entry, expected) in [
        (Entry::file("../f", "x"), "leads out of the image"),
        (Entry::file("d/../../f", "x"), "leads out of the image"),
        (Entry::dir(".."), "leads out of the image"),
        (
            Entry::hard_link("f", "../../etc/passwd"),
            "leads out of the image",
        ),
        (Entry::whiteout("../f"), "leads out of the image"),
        (Entry::opaque("../.."), "leads out of the image"),
        (Entry::file(".wh...", ""), "invalid whiteout"),
        (Entry::file("d/.wh.", ""), "invalid whiteout"),
        (Entry::hard_link("f", "nothing"), "f"),
        (Entry::file("x".repeat(256), ""), "x"),
    ] {
        spoilt(Packing::Gzip, expected, |layer| {
            *layer = Described::new(&tar(&[entry]), Packing::Gzip);
        });
    }
    // A circle of links.
    let circle = [
        Entry::symlink("a", "b"),
        Entry::symlink("b", "a"),
        Entry::file("a/f", ""),
    ];
    spoilt(Packing::Gzip, "lead nowhere", |layer| {
        *layer = Described::new(&tar(&circle), Packing::Gzip);
    });
}

#[test]
fn bombs_are_refused() {
    let bomb = Described::new(&tar(&[Entry::file("bomb", vec![0; 11 << 20])]), Packing::Zstd);
    let most = |bytes, entries| PullOptions {
        most_bytes: bytes,
        most_entries: entries,
        ..PullOptions::default()
    };
    let error = refused(
        |layout| layout.image(&[bomb]),
        &most(10 << 20, 1000),
        "unpacks to more than 10485760 bytes",
    );
    assert!(
        error.describe().hints[0].contains("max_size"),
        "{:?}",
        error.describe().hints
    );
    // In small parts.
    let part = |name: &str| Described::new(&tar(&[Entry::file(name, vec![0; 6 << 20])]), Packing::Gzip);
    refused(
        |layout| layout.image(&[part("a"), part("b")]),
        &most(10 << 20, 1000),
        "unpacks to more than 10485760 bytes",
    );
    let many: Vec<Entry> = (0..1001).map(|at| Entry::file(format!("f{at}"), "")).collect();
    refused(
        |layout| layout.image(&[Described::new(&tar(&many), Packing::Gzip)]),
        &most(10 << 20, 1000),
        "more than 1000 entries",
    );
    let half = |range: std::ops::Range<usize>| Described::new(&tar(&many[range]), Packing::Gzip);
    refused(
        |layout| layout.image(&[half(0..600), half(400..1000)]),
        &most(10 << 20, 1000),
        "more than 1000 entries",
    );
    // Whiteouts are entries, too, and so is what is not shown.
    let gone: Vec<Entry> = (0..1001).map(|at| Entry::whiteout(&format!("f{at}"))).collect();
    refused(
        |layout| layout.image(&[Described::new(&tar(&gone), Packing::Gzip)]),
        &most(10 << 20, 1000),
        "more than 1000 entries",
    );
}

#[test]
fn layers_of_other_kinds_are_refused() {
    for media_type in [
        "application/vnd.oci.image.layer.v1.tar+encrypted",
        "application/vnd.example.model",
    ] {
        let mut bad = layer(Packing::Gzip);
        bad.media_type = media_type.to_owned();
        refused(
            |layout| layout.image(&[bad]),
            &PullOptions::default(),
            &format!("unsupported type `{media_type}`"),
        );
    }
}

#[test]
fn documents_must_be_the_ones_that_are_named() {
    let options = PullOptions::default();
    let manifest = |layout: &Layout| layout.manifest(&[layer(Packing::Gzip)]);
    let named = |layout: &Layout, digest: &str, bytes: &str, size: usize| {
        layout.blob(digest, bytes.as_bytes());
        layout.index(&[format!(
            r#"{{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:{digest}", "size": {size}}}"#
        )]);
    };
    refused(
        |layout| {
            let manifest = manifest(layout);
            named(layout, &"0".repeat(64), &manifest, manifest.len());
        },
        &options,
        "expected sha256:0000",
    );
    refused(
        |layout| {
            let manifest = manifest(layout);
            named(
                layout,
                &sha256(manifest.as_bytes()),
                &manifest,
                manifest.len() + 1,
            );
        },
        &options,
        "bytes, expected",
    );
    // The configuration's bytes are others than the manifest says.
    refused(
        |layout| {
            layout.image(&[layer(Packing::Gzip)]);
            for entry in fs::read_dir(layout.0.join("blobs/sha256")).unwrap().flatten() {
                let bytes = fs::read(entry.path()).unwrap();
                if bytes.starts_with(br#"{"architecture""#) {
                    fs::write(entry.path(), [&bytes[..bytes.len() - 1], b" "].concat()).unwrap();
                }
            }
        },
        &options,
        "expected sha256:",
    );
    refused(
        |layout| {
            let manifest = r#"{"schemaVersion": 1, "fsLayers": [], "history": []}"#;
            named(layout, &sha256(manifest.as_bytes()), manifest, manifest.len());
        },
        &options,
        "unsupported type `schema 1`",
    );
    refused(
        |layout| {
            let two = layout.manifest(&[layer(Packing::Gzip), layer(Packing::Zstd)]);
            let one = layout.manifest(&[layer(Packing::Gzip)]);
            // The configuration of one layer with the layers of two.
            let config = |manifest: &str| manifest.split("\"layers\"").next().unwrap().to_owned();
            let mixed = two.replace(&config(&two), &config(&one));
            named(layout, &sha256(mixed.as_bytes()), &mixed, mixed.len());
        },
        &options,
        "2 layers, but its configuration has 1",
    );
    refused(
        |layout| fs::write(layout.0.join("index.json"), "{").unwrap(),
        &options,
        "failed to parse the image's",
    );
    refused(|_| {}, &options, "lacks index.json");
    refused(
        |layout| {
            layout.image(&[layer(Packing::Gzip)]);
            let blob = layout.0.join("blobs/sha256").join(layer(Packing::Gzip).digest);
            fs::remove_file(blob).unwrap();
        },
        &options,
        "lacks blobs/sha256/",
    );
}

#[test]
fn another_platform_is_named() {
    let options = PullOptions {
        platform: "linux/riscv64".parse().unwrap(),
        ..PullOptions::default()
    };
    let error = refused(
        |layout| {
            let manifest = layout.manifest(&[layer(Packing::Gzip)]);
            let blob = layout.blob(&sha256(manifest.as_bytes()), manifest.as_bytes());
            let on = |arch: &str| {
                format!(
                    r#"{{"mediaType": "application/vnd.oci.image.manifest.v1+json", {blob},
                        "platform": {{"os": "linux", "architecture": "{arch}"}}}}"#
                )
            };
            layout.index(&[on("amd64"), on("arm64")]);
        },
        &options,
        "no variant for linux/riscv64; it has linux/amd64, linux/arm64",
    );
    assert!(
        error.describe().hints[0].contains("--platform linux/amd64"),
        "{:?}",
        error.describe().hints
    );
}

#[test]
fn a_pull_that_is_not_wanted_any_more_ends() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(&dir.path().join("layout"));
    layout.image(&[layer(Packing::Gzip), layer(Packing::Zstd)]);
    let place = dir.path().join("store");
    let store = ImageStore::open(&place).unwrap();
    let pull = Pull {
        name: "i".parse().unwrap(),
        source: PullSource::Layout(layout.0, None),
        kernel: None,
        force: false,
        options: PullOptions::default(),
    };
    let unwanted = CancellationToken::new();
    let error = store
        .pull(&pull, &|_, _, _| unwanted.cancel(), &unwanted)
        .unwrap_err();
    assert!(matches!(error, Error::Cancelled(_)), "{error:?}");
    assert_empty(&store, &place);
}
