//! Keys for SSH into VMs: a host key for each VM, and one user key for all VMs. All are ed25519 keys that are generated here and
//! readable by their owner only. A guest has its key only while a connection lasts.

mod error;
mod known_hosts;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use banger_api::Paths;
use banger_hostsys::random;
use banger_model::VmName;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey, PublicKey};
use tempfile::NamedTempFile;

pub use error::{Error, OwnError};

/// The file of a VM's key, in its directory.
const HOST_KEY: &str = "ssh_host_ed25519_key";

/// The user's key, and the public keys of VMs for clients to compare with.
#[derive(Debug)]
pub struct Keys {
    paths: Paths,
    /// One writes at a time.
    writing: Mutex<()>,
}

/// The key by which clients are known to VMs.
#[derive(Debug)]
pub struct Identity {
    /// The file of the private key, for ssh.
    pub path: PathBuf,
    /// The public key.
    pub public: [u8; 32],
}

/// A key pair, as the guest is given it.
#[derive(Debug)]
pub struct Pair {
    /// The private key of RFC 8032.
    pub seed: [u8; 32],
    /// The public key.
    pub public: [u8; 32],
}

impl Keys {
    /// Those that are kept in these directories.
    pub fn new(paths: &Paths) -> Self {
        Self {
            paths: paths.clone(),
            writing: Mutex::default(),
        }
    }

    /// The user's key: `own`, of which only the public half is read, or else one that is made if there is none.
    ///
    /// # Errors
    /// When the key cannot be read or made, or is of another kind.
    pub fn identity(&self, own: Option<&Path>) -> Result<Identity, Error> {
        if let Some(path) = own {
            return Ok(Identity {
                path: path.to_owned(),
                public: public_half(path)?,
            });
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_dir()?;
        let path = self.paths.ssh_identity();
        let key = load_or_make(&path, "banger")?;
        let public = path.with_extension("pub");
        if !public.exists() {
            let line = key.public_key().to_openssh();
            let line = line.map_err(|source| Error::Format(public.clone(), source))?;
            write(&public, format!("{line}\n").as_bytes())?;
        }
        let public = pair(&path, &key)?.public;
        Ok(Identity { path, public })
    }

    /// The key of the VM whose durable files are in `dir`, made if there is none.
    pub fn host(&self, dir: &Path, name: &VmName) -> Result<Pair, Error> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = dir.join(HOST_KEY);
        pair(&path, &load_or_make(&path, name.as_str())?)
    }

    /// Tells clients the keys of these VMs, of those that have one, and of no others.
    pub fn publish(&self, vms: &BTreeMap<VmName, PathBuf>) -> Result<(), Error> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hosts = Vec::new();
        for (name, dir) in vms {
            let path = dir.join(HOST_KEY);
            // A VM whose key is damaged is in nobody else's way.
            match load(&path).and_then(|key| key.map(|key| pair(&path, &key)).transpose()) {
                Ok(Some(pair)) => hosts.push((name, pair.public)),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(vm = %name, error = %banger_model::chain(&error), "the SSH key of a VM was skipped");
                }
            }
        }
        let text = known_hosts::render(&hosts);
        let path = self.paths.ssh_known_hosts();
        if fs::read(&path).is_ok_and(|now| now == text.as_bytes()) {
            return Ok(());
        }
        self.make_dir()?;
        write(&path, text.as_bytes())
    }

    fn make_dir(&self) -> Result<(), Error> {
        let dir = self.paths.ssh_dir();
        fs::create_dir_all(&dir).map_err(|source| file("create", &dir, source))
    }
}

/// The public half of a user's key: of the `.pub` file beside it, or of the private key, where it is not encrypted.
fn public_half(path: &Path) -> Result<[u8; 32], Error> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    let refused = |source| Error::Own(path.to_owned(), source);
    let key = match fs::read_to_string(&beside) {
        Ok(line) if !line.trim_start().starts_with("ssh-ed25519 ") => {
            return Err(Error::OwnKind(path.to_owned()));
        }
        Ok(line) => PublicKey::from_openssh(line.trim()).map_err(|error| refused(error.into()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = fs::read(path).map_err(|error| refused(error.into()))?;
            let key = PrivateKey::from_openssh(text).map_err(|error| refused(error.into()))?;
            key.public_key().clone()
        }
        Err(error) => return Err(refused(error.into())),
    };
    let key = key.key_data().ed25519().map(|key| key.0);
    key.ok_or_else(|| Error::OwnKind(path.to_owned()))
}

fn load_or_make(path: &Path, comment: &str) -> Result<PrivateKey, Error> {
    if let Some(key) = load(path)? {
        return Ok(key);
    }
    let seed = random::bytes().map_err(Error::Random)?;
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
    let format = |source| Error::Format(path.to_owned(), source);
    let key = PrivateKey::new(pair, comment).map_err(format)?;
    let text = key.to_openssh(LineEnding::LF).map_err(format)?;
    write(path, text.as_bytes())?;
    Ok(key)
}

fn load(path: &Path) -> Result<Option<PrivateKey>, Error> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(file("read", path, source)),
    };
    let key = PrivateKey::from_openssh(text).map_err(|source| Error::Format(path.to_owned(), source))?;
    Ok(Some(key))
}

fn pair(path: &Path, key: &PrivateKey) -> Result<Pair, Error> {
    let pair = key.key_data().ed25519();
    let pair = pair.ok_or_else(|| Error::Kind(path.to_owned()))?;
    Ok(Pair {
        seed: pair.private.to_bytes(),
        public: pair.public.0,
    })
}

fn file(what: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File {
        what,
        path: path.to_owned(),
        source,
    }
}

/// A file that is its owner's alone, and whole from when it has its name.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |what| move |source| file(what, path, source);
    let dir = path.parent().unwrap_or(Path::new("/"));
    // Its mode is 0600.
    let mut file = NamedTempFile::new_in(dir).map_err(failed("create"))?;
    file.write_all(bytes).map_err(failed("write"))?;
    file.as_file().sync_all().map_err(failed("write"))?;
    file.persist(path).map_err(|error| failed("write")(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_made_once_and_known() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::below(home.path());
        let keys = Keys::new(&paths);
        let first = keys.identity(None).unwrap();
        assert_eq!(keys.identity(None).unwrap().public, first.public);
        assert_eq!(first.path, paths.ssh_identity());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&paths.ssh_identity()), 0o600);
        let [one, other] = ["one", "other"].map(|name| {
            let dir = home.path().join(name);
            fs::create_dir(&dir).unwrap();
            (name.parse::<VmName>().unwrap(), dir)
        });
        let host = keys.host(&one.1, &one.0).unwrap();
        assert_eq!(mode(&one.1.join(HOST_KEY)), 0o600);
        assert_ne!(host.public, first.public);
        keys.publish(&[one, other].into()).unwrap();
        let known = fs::read_to_string(paths.ssh_known_hosts()).unwrap();
        assert!(
            known
                .lines()
                .any(|line| line.starts_with("one.vm ssh-ed25519 AAAA"))
        );
        assert!(!known.contains("other.vm"), "{known}");
    }

    #[test]
    fn a_users_own_key_is_read_and_never_made() {
        let home = tempfile::tempdir().unwrap();
        let keys = Keys::new(&Paths::below(home.path()));
        let made = keys.identity(None).unwrap();
        let own = home.path().join("own.key");
        let absent = keys.identity(Some(&own)).unwrap_err();
        assert!(matches!(absent, Error::Own(..)) && !own.exists(), "{absent}");
        fs::copy(&made.path, &own).unwrap();
        let private = keys.identity(Some(&own)).unwrap();
        assert_eq!((private.path, private.public), (own.clone(), made.public));
        // The public file counts, and is enough: the private key may be in an agent.
        fs::remove_file(&own).unwrap();
        fs::copy(made.path.with_extension("pub"), home.path().join("own.key.pub")).unwrap();
        assert_eq!(keys.identity(Some(&own)).unwrap().public, made.public);
        let other = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc= me";
        fs::write(home.path().join("own.key.pub"), other).unwrap();
        let refused = keys.identity(Some(&own)).unwrap_err();
        assert!(matches!(refused, Error::OwnKind(_)), "{refused}");
    }

    #[test]
    fn a_key_of_another_kind_is_told() {
        let home = tempfile::tempdir().unwrap();
        let keys = Keys::new(&Paths::below(home.path()));
        fs::write(home.path().join(HOST_KEY), "nonsense").unwrap();
        let failed = keys.host(home.path(), &"vm".parse().unwrap()).unwrap_err();
        assert!(matches!(failed, Error::Format(..)), "{failed}");
    }
}
