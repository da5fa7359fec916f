//! The names of the files of a generation.

/// Its file tree.
pub(crate) const ROOTFS: &str = "rootfs.ext4";
/// The writable disk of a VM, on top of its base.
pub(crate) const DISK: &str = "disk.ext4";
/// What `/root` has in the beginning.
pub(crate) const WORK_SEED: &str = "work-seed.ext4";
/// What is known of it.
pub(crate) const RECORD: &str = "record.json";
/// The documents of a pulled image, byte for byte.
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const CONFIGURATION: &str = "config.json";
