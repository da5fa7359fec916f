//! Stacks of layers, as we pull and as umoci unpacks them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use banger_image::{ImageStore, Pull, PullOptions, Pulled};
use banger_oci::PullSource;
use tokio_util::sync::CancellationToken;

use super::ext4::{Mounted, check};
use super::layers::{Described, Entry, Layout, Packing, tar};
use super::{Shown, assert_same, has_all_holes, shown, words};

pub type Tree = BTreeMap<Vec<u8>, Shown>;

/// What most stacks begin with: the root has a time of its own.
pub fn base(entries: impl IntoIterator<Item = Entry>) -> Vec<Entry> {
    [Entry::dir("./").time(1_500_000_000, 5)]
        .into_iter()
        .chain(entries)
        .collect()
}

pub fn pull_image(dir: &Path, layout: &Path) -> Result<PathBuf, banger_image::Error> {
    let store = ImageStore::open(&dir.join("store"))?;
    let pull = Pull {
        name: "i".parse().unwrap(),
        source: PullSource::Layout(layout.to_owned(), None),
        kernel: None,
        force: true,
        options: PullOptions::default(),
    };
    match store.pull(&pull, &|_, _, _| (), &CancellationToken::new())? {
        Pulled::New(mut record) | Pulled::Unchanged(mut record) => Ok(record.layers.remove(0).path),
    }
}

/// The image as it looks when it is mounted. It is consistent, and has all holes.
pub fn look_at(image: &Path) -> Tree {
    check(image);
    let mounted = Mounted::new(image, "ro");
    let seen = shown(mounted.path());
    assert!(has_all_holes(mounted.path(), &seen));
    mounted.unmount();
    seen
}

/// The same layout as umoci unpacks it, or its complaint.
pub fn unpacked(layout: &Path, to: &Path) -> Result<Tree, String> {
    let output = Command::new("umoci")
        .args(["raw", "unpack", "--image"])
        .arg(format!("{}:latest", layout.display()))
        .arg(to)
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(shown(to)),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

pub fn layout(dir: &Path, layers: &[Vec<Entry>], packing: Packing) -> Layout {
    let layout = Layout::new(&dir.join(format!("{packing:?}")));
    let layers: Vec<Described> = layers
        .iter()
        .map(|entries| Described::new(&tar(entries), packing))
        .collect();
    layout.image(&layers);
    layout
}

/// What we make of a stack.
pub fn ours(layers: &[Vec<Entry>]) -> Tree {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path(), layers, Packing::Gzip);
    look_at(&pull_image(dir.path(), &layout.0).unwrap_or_else(|error| panic!("{}", words(&error))))
}

/// Both must show the same, but for the times of `implied` directories, which nobody described.
pub fn compare(layers: &[Vec<Entry>], implied: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path(), layers, Packing::Gzip);
    let image = pull_image(dir.path(), &layout.0).unwrap_or_else(|error| panic!("{}", words(&error)));
    let (mut ours, mut theirs) = (
        look_at(&image),
        unpacked(&layout.0, &dir.path().join("umoci")).unwrap(),
    );
    for path in implied {
        for tree in [&mut ours, &mut theirs] {
            let entry = tree.get_mut(path.as_bytes());
            entry.unwrap_or_else(|| panic!("no {path}")).mtime = (0, 0);
        }
    }
    assert_same("image and umoci", &ours, &theirs);
}

pub fn paths(tree: &Tree) -> Vec<String> {
    let names = tree.keys().map(|path| String::from_utf8_lossy(path).into_owned());
    names.filter(|path| !path.is_empty()).collect()
}
