//! Many layers made one.

use std::fs::File;
use std::path::Path;

use banger_ext4::Lane;
use banger_store::{OfFile, files};

use crate::changes::{self, Change, Changes};
use crate::error::Error;
use crate::facts::Facts;
use crate::layer::Layer;
use crate::read::{Item, LayerReader};
use crate::record::used;
use crate::told::{Progress, Told};
use crate::tree::{self, MOST_ENTRIES, Tree};

/// Writes layers, the lowest first, as one file tree into a new file: what the kernel's overlay of them shows. It is on
/// stable storage then.
///
/// # Errors
/// When a layer cannot be read, the file cannot be written, or `progress` ends it.
pub fn flatten(layers: &[Layer], to: &Path, progress: Progress<'_>) -> Result<Facts, Error> {
    let file = files::make_file(to)?;
    let handle = file.try_clone().of("open", to)?;
    let facts = into_one(layers, file, progress)?;
    handle.sync_all().of("sync", to)?;
    Ok(facts)
}

fn into_one(layers: &[Layer], file: File, progress: Progress<'_>) -> Result<Facts, Error> {
    let mut writer = tree::begin(file)?;
    let weights: Vec<u64> = layers.iter().map(|layer| used(&layer.path)).collect();
    let lanes = writer.lanes(&weights);
    let mut told = Told::new(progress, weights.iter().sum());
    let mut tree = Tree::new(writer, MOST_ENTRIES);
    for (layer, lane) in layers.iter().zip(lanes) {
        let changes = changes_of(layer, lane, &mut told)?;
        tree.join(&changes.landed);
        changes::add(&mut tree, changes)?;
    }
    Ok(tree.finish()?)
}

fn changes_of(layer: &Layer, mut lane: Lane, told: &mut Told<'_>) -> Result<Changes, Error> {
    let reader = LayerReader::open(layer)?;
    let mut list = Vec::new();
    reader.walk::<Error>(&mut |item| {
        list.push(match item {
            Item::Entry { entry, inode } => {
                told.add(entry.kind.stored())?;
                let mut content = reader.content(&entry.kind, inode)?;
                Change::of(entry, &mut content, &mut lane)?
            }
            Item::Whiteout(path) => Change::Whiteout(path),
            Item::Opaque(path) => Change::Opaque(path),
        });
        Ok(())
    })?;
    Ok(Changes::new(list, lane)?)
}
