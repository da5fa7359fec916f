//! Where the tests are: stores, a directory with a catalog, and pulls of it.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use banger_catalog::{
    Catalog, Error, Publish, PublishKey, PublishOptions, Published, PullOptions, Pulled, publish, pull_kernel,
};
use banger_fetch::{Fetcher, Limits};
use banger_image::ImageStore;
use banger_kernel::{KernelOptions, KernelStore, Source};

/// Where all of a test is.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

/// A program that is a kernel as far as a store can tell.
pub(crate) fn vmlinux(version: &str) -> Vec<u8> {
    let mut elf = vec![0; 100_000];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[16] = 2;
    elf[18] = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
    elf.extend_from_slice(format!("Linux version {version} (me@here)").as_bytes());
    elf
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn store(&self, name: &str) -> KernelStore {
        KernelStore::open(&self.path(name), &self.path("cache")).unwrap()
    }

    /// A store with one kernel, which has an initrd.
    pub(crate) fn with_kernel(&self, store: &str, version: &str) -> KernelStore {
        let store = self.store(store);
        fs::write(self.path("vmlinux"), vmlinux(version)).unwrap();
        fs::write(self.path("initrd"), "an initrd").unwrap();
        let source = Source::Files {
            vmlinux: Some(self.path("vmlinux")),
            vmlinuz: None,
            initrd: Some(self.path("initrd")),
            modules: None,
            config: None,
        };
        let options = KernelOptions {
            append: vec!["quiet".to_owned()],
            max_vcpus: Some(1),
            force: true,
        };
        let name = "k".parse().unwrap();
        store.import(&name, &source, &options, &mut |_| {}).unwrap();
        store
    }

    pub(crate) fn publish(&self, store: &KernelStore, key: PublishKey) -> Result<Published, Error> {
        let options = PublishOptions {
            dir: self.path("catalog"),
            what: Publish::Kernels(Vec::new()),
            key,
            distro: Some("none".to_owned()),
            description: None,
            valid_days: 1,
        };
        let images = ImageStore::open(&self.path("images")).unwrap();
        publish(store, &images, &options, &mut |_| {})
    }

    pub(crate) fn new_key(&self) -> PublishKey {
        PublishKey::New(self.path("key"))
    }

    pub(crate) fn key(&self) -> PublishKey {
        PublishKey::Existing(self.path("key"))
    }

    pub(crate) fn catalog(&self, published: &Published) -> Catalog {
        Catalog {
            name: "c".to_owned(),
            location: self.path("catalog").to_str().unwrap().parse().unwrap(),
            key: published.key.clone(),
            seen_dir: Some(self.path("seen")),
        }
    }

    /// Replaces the artifact, and signs a document that vouches for it.
    pub(crate) fn replace_artifact(&self, published: &Published, tar: &[u8]) {
        let kernel = &published.kernels[0];
        let bytes = zstd::encode_all(tar, 1).unwrap();
        fs::write(self.artifact(published), &bytes).unwrap();
        let document = self.path("catalog/catalog.json");
        let text = fs::read_to_string(&document).unwrap();
        let text = text.replace(&kernel.sha256.to_string(), &digest(&bytes)).replace(
            &format!("\"bytes\": {}", kernel.bytes),
            &format!("\"bytes\": {}", bytes.len()),
        );
        fs::write(&document, &text).unwrap();
        let secret = fs::read_to_string(self.path("key")).unwrap();
        let secret = minisign::SecretKeyBox::from_string(&secret).unwrap();
        let secret = secret.into_unencrypted_secret_key().unwrap();
        let signature = minisign::sign(None, &secret, text.as_bytes(), None, None).unwrap();
        fs::write(self.path("catalog/catalog.json.minisig"), signature.into_string()).unwrap();
    }

    pub(crate) fn artifact(&self, published: &Published) -> PathBuf {
        let location = String::from(published.kernels[0].location.clone());
        self.path("catalog").join(location)
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn pull(store: &KernelStore, catalog: &Catalog, force: bool) -> Result<Pulled, Error> {
    let options = PullOptions {
        name: "k".parse().unwrap(),
        force,
    };
    let fetcher = Fetcher::new(Limits::default());
    let mut progress = |_, _| ControlFlow::Continue(());
    pull_kernel(
        store,
        std::slice::from_ref(catalog),
        &options,
        &fetcher,
        &mut progress,
        &mut |_| {},
    )
}

/// Everything below a store but its lock.
pub(crate) fn files(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => names.extend(files(&entry.path())),
            false => names.push(entry.file_name().to_str().unwrap().to_owned()),
        }
    }
    // The store's own: its lock, and which kernel is the default one.
    names.retain(|name| !matches!(name.as_str(), ".lock" | ".default.json"));
    names.sort();
    names
}
