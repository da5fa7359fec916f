//! Generations on top of each other: what stays, and what may go.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use banger_image::{Committing, Error, ImageRecord, ImageStore, ImportOptions, ImportSource, flatten};
use banger_model::ImageName;

/// For work that is to end by itself.
fn go_on(_: u64, _: Option<u64>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn name(name: &str) -> ImageName {
    name.parse().unwrap()
}

/// A store with an image `base`, and a disk to be committed.
fn store(dir: &Path) -> (ImageStore, ImageRecord) {
    let store = ImageStore::open(dir).unwrap();
    std::fs::create_dir(dir.join("tree")).unwrap();
    std::fs::write(dir.join("tree/file"), "content").unwrap();
    let disk = std::fs::File::create_new(dir.join("disk")).unwrap();
    banger_ext4::blank_disk(&disk, 64 << 20, [1; 16], "disk").unwrap();
    let source = ImportSource::Directory(&dir.join("tree"));
    let base = store.import(&name("base"), source, &ImportOptions::default(), &mut go_on);
    (store, base.unwrap())
}

/// Publishes what was copied, as the daemon does: first flattened, where that has to be.
fn publish(
    store: &ImageStore,
    copied: Committing,
    to: &ImageName,
    force: bool,
    progress: &mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>,
) -> Result<ImageRecord, Error> {
    let flat = copied
        .layers()
        .map(|layers| flatten(&layers, &copied.flat(), progress));
    store.publish_commit(copied, flat.transpose()?, to, None, force)
}

fn commit(store: &ImageStore, dir: &Path, base: &str, to: &str) -> Result<ImageRecord, Error> {
    let committing = store.commit(&name(to), base, &dir.join("disk"), false, &mut go_on)?;
    publish(store, committing, &name(to), false, &mut go_on)
}

#[test]
fn what_is_below_an_image_stays_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, base) = store(dir.path());
    let top = commit(&store, dir.path(), &base.id, "top").unwrap();
    assert_eq!(top.layers.len(), 2);
    store.delete(&name("base")).unwrap();
    store.sweep(&BTreeSet::new()).unwrap();
    let top = store.get(&name("top")).unwrap();
    assert!(top.layers.iter().all(|layer| layer.path.exists()));
    store.delete(&name("top")).unwrap();
    store.sweep(&BTreeSet::new()).unwrap();
    assert!(matches!(store.generation(&base.id), Err(Error::NoGeneration(_))));
}

#[test]
fn nothing_goes_while_a_record_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let (store, base) = store(dir.path());
    let top = commit(&store, dir.path(), &base.id, "top").unwrap();
    store.delete(&name("base")).unwrap();
    store.delete(&name("top")).unwrap();
    let record = dir.path().join("images/g").join(&top.id).join("record.json");
    std::fs::write(&record, "{").unwrap();
    // A VM boots it.
    let in_use = BTreeSet::from([top.id.clone()]);
    assert!(store.sweep(&in_use).is_err());
    assert!(base.layers[0].path.exists());
}

#[test]
fn a_flattening_that_nobody_wants_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, base) = store(dir.path());
    let mut top = base.id;
    for number in 1..7 {
        top = commit(&store, dir.path(), &top, &format!("on-{number}"))
            .unwrap()
            .id;
    }
    let flat = name("flat");
    let flatten = |go_on: &mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>| {
        let copied = store.commit(&flat, &top, &dir.path().join("disk"), false, &mut |_, _| {
            ControlFlow::Continue(())
        })?;
        publish(&store, copied, &flat, false, go_on)
    };
    let cancelled = flatten(&mut |_, _| ControlFlow::Break(()));
    assert!(matches!(cancelled, Err(Error::Cancelled(_))), "{cancelled:?}");
    assert!(store.get(&flat).is_err());
    let making = std::fs::read_dir(dir.path().join("images/tmp"));
    assert_eq!(making.map_or(0, Iterator::count), 0);
    let mut told = 0;
    let flattened = flatten(&mut |done, total| {
        told += 1;
        assert!(total.is_some_and(|total| done <= total));
        ControlFlow::Continue(())
    });
    assert!(flattened.unwrap().layers.len() == 1 && told > 0);
}

#[test]
fn a_commit_on_what_has_gone_meanwhile_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, base) = store(dir.path());
    let committing = store
        .commit(
            &name("top"),
            &base.id,
            &dir.path().join("disk"),
            false,
            &mut go_on,
        )
        .unwrap();
    store.delete(&name("base")).unwrap();
    store.sweep(&BTreeSet::new()).unwrap();
    let refused = publish(&store, committing, &name("top"), false, &mut go_on);
    assert!(matches!(refused, Err(Error::NoGeneration(_))), "{refused:?}");
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn a_prune_tells_what_it_frees_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (store, base) = store(dir.path());
    let top = commit(&store, dir.path(), &base.id, "top").unwrap();
    store.tag(&name("base"), &name("again"), false).unwrap();
    // The base stays below what is used, under whatever name; it is not freed.
    let in_use = BTreeSet::from([top.id.clone()]);
    let told = store.prune(&in_use, |_| false, true).unwrap();
    assert!(told.names.is_empty() && told.bytes == 0, "{told:?}");
    // Without a VM all goes, the generation with two names once.
    let nobody = BTreeSet::new();
    let told = store.prune(&nobody, |_| false, true).unwrap();
    assert_eq!((told.names.len(), told.bytes), (3, base.bytes + top.bytes));
    assert_eq!(store.list().unwrap().len(), 3);
    // The spared one keeps what is below it.
    let told = store
        .prune(&nobody, |image| image.name == name("top"), false)
        .unwrap();
    assert_eq!((told.names, told.bytes), (vec![name("again"), name("base")], 0));
    assert!(store.get(&name("top")).unwrap().layers[0].path.exists());
}
