//! Catalogs on this host's file system: published, pulled, and tampered with.

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use banger_catalog::{
    Catalog, Error, Fault, Publish, PublishKey, PublishOptions, Published, PullOptions, Pulled, publish,
    pull_kernel,
};
use banger_fetch::{Fetcher, Limits};
use banger_image::ImageStore;
use banger_kernel::{KernelOptions, KernelStore, Source};
use banger_model::Describe;
use banger_store::Digest;

/// Where all of a test is.
struct Place {
    dir: tempfile::TempDir,
}

/// A program that is a kernel as far as a store can tell.
fn vmlinux(version: &str) -> Vec<u8> {
    let mut elf = vec![0; 100_000];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[16] = 2;
    elf[18] = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
    elf.extend_from_slice(format!("Linux version {version} (me@here)").as_bytes());
    elf
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn store(&self, name: &str) -> KernelStore {
        KernelStore::open(&self.path(name), &self.path("cache")).unwrap()
    }

    /// A store with one kernel, which has an initrd.
    fn with_kernel(&self, store: &str, version: &str) -> KernelStore {
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

    fn publish(&self, store: &KernelStore, key: PublishKey) -> Result<Published, Error> {
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

    fn new_key(&self) -> PublishKey {
        PublishKey::New(self.path("key"))
    }

    fn key(&self) -> PublishKey {
        PublishKey::Existing(self.path("key"))
    }

    fn catalog(&self, published: &Published) -> Catalog {
        Catalog {
            name: "c".to_owned(),
            location: self.path("catalog").to_str().unwrap().parse().unwrap(),
            key: published.key.clone(),
            seen_dir: Some(self.path("seen")),
        }
    }

    /// Replaces the artifact, and signs a document that vouches for it.
    fn replace_artifact(&self, published: &Published, tar: &[u8]) {
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

    fn artifact(&self, published: &Published) -> PathBuf {
        let location = String::from(published.kernels[0].location.clone());
        self.path("catalog").join(location)
    }
}

fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pull(store: &KernelStore, catalog: &Catalog, force: bool) -> Result<Pulled, Error> {
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
fn files(dir: &Path) -> Vec<String> {
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

fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
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
    assert_eq!(error.hints(), ["available: k"]);
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
