//! A guest that is a directory of this host: its commands run here, and its workspaces are directories below it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use banger_guest_api::query::{decoded, encoded};
use banger_guest_api::workspace::{Look, Protect, PutWorkspace, Seen};
use banger_guest_api::workspace_files::{Head, Kind, read_chunk, read_tag};
use banger_guest_api::{Channel, Control, Decoder, Exec, ExitStatus, FilesDone, GetFiles, PutFiles, frame};
use banger_guest_link::{Connection, Error, Frames, Guest, Looked};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::process::{Child, Command};

/// A file as it was placed: its tag, and what shows that it is another since.
type Placed = (String, (u64, i64, i64, u32));

/// What a host placed, of each workspace one.
#[derive(Debug, Default)]
struct Manifest {
    generation: String,
    files: BTreeMap<Vec<u8>, Placed>,
    git: Vec<u8>,
    readonly: bool,
}

/// The guest.
#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    manifests: Mutex<BTreeMap<String, Manifest>>,
}

impl Directory {
    /// A guest whose files are below `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            manifests: Mutex::default(),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn manifests(&self) -> MutexGuard<'_, BTreeMap<String, Manifest>> {
        self.manifests.lock().unwrap()
    }
}

/// What is not asked of a guest for a workspace.
const UNASKED: Error = Error::TooOld { asked: "do that" };

#[async_trait]
impl Guest for Directory {
    async fn exec(&self, exec: &Exec) -> Result<Connection, Error> {
        let mut command = Command::new(&exec.argv[0]);
        command.args(&exec.argv[1..]).kill_on_drop(true);
        command.current_dir(exec.cwd.as_ref().map_or(self.root.clone(), |cwd| self.at(cwd)));
        command.env("HOME", &self.root).env("GIT_CONFIG_NOSYSTEM", "1");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| Error::Dial {
            asked: "run a command",
            source: error.into(),
        })?;
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        tokio::spawn(serve(child, theirs));
        Ok(Box::new(ours))
    }

    async fn look_at_workspace(&self, look: &Look) -> Result<Looked, Error> {
        let base = self.at(&look.path);
        let manifests = self.manifests();
        let seen = match manifests.get(&look.path) {
            None if base.exists() => Seen::Foreign,
            None => Seen::Absent,
            Some(manifest) => manifest.seen(&base, look),
        };
        Ok(Looked { seen, bytes: 0 })
    }

    async fn put_workspace(&self, put: &PutWorkspace, frames: Frames<'_>) -> Result<FilesDone, Error> {
        let mut decoder = Decoder::new();
        decoder.extend(&frames.collect::<Vec<_>>().await.concat());
        let mut entries = Vec::new();
        while let Some(frame) = decoder.next_frame().unwrap() {
            assert_eq!(frame.channel, Channel::Stdin);
            entries.extend_from_slice(frame.payload);
        }
        let mut manifests = self.manifests();
        let manifest = manifests.entry(put.path.clone()).or_default();
        let applied = manifest.apply(&self.at(&put.path), &mut &entries[..]);
        applied
            .map(|()| FilesDone::default())
            .map_err(|error| Error::Dial {
                asked: "write files",
                source: error.into(),
            })
    }

    async fn protect_workspace(&self, protect: &Protect) -> Result<(), Error> {
        let mut manifests = self.manifests();
        manifests.entry(protect.path.clone()).or_default().readonly = protect.readonly;
        Ok(())
    }

    async fn get_files(&self, _: &GetFiles) -> Result<Connection, Error> {
        Err(UNASKED)
    }

    async fn put_files(&self, _: &PutFiles, _: Frames<'_>) -> Result<FilesDone, Error> {
        Err(UNASKED)
    }
}

impl Manifest {
    fn seen(&self, base: &Path, look: &Look) -> Seen {
        let same = look.generation.as_deref() == Some(&self.generation);
        let path_of = |path: &[u8]| base.join(std::ffi::OsStr::from_bytes(path));
        let changed = self.files.iter().filter(|(path, (_, facts))| {
            let now = path_of(path).symlink_metadata().ok();
            now.map(|now| facts_of(&now)) != Some(*facts)
        });
        let is_taken = |path: &&String| decoded(path).is_some_and(|path| path_of(&path).exists());
        Seen::Placed {
            same,
            entries: self
                .files
                .iter()
                .filter(|_| !same)
                .map(|(path, (tag, _))| (encoded(path), tag.clone()))
                .collect(),
            changed: changed.map(|(path, _)| encoded(path)).collect(),
            taken: look.probe.iter().filter(is_taken).cloned().collect(),
            git_touched: self.git != git_of(base),
        }
    }

    fn apply(&mut self, base: &Path, from: &mut impl Read) -> io::Result<()> {
        let mut buffer = Vec::new();
        loop {
            let head = Head::read(from)?;
            if head.kind == Kind::End {
                self.generation = String::from_utf8_lossy(&head.path).into_owned();
                self.git = git_of(base);
                return Ok(());
            }
            let mut content = Vec::new();
            while let Some(chunk) = read_chunk(from, &mut buffer)? {
                content.extend_from_slice(chunk);
            }
            let tag = read_tag(from)?;
            self.entry(base, &head, &content, tag)?;
        }
    }

    fn entry(&mut self, base: &Path, head: &Head, content: &[u8], tag: String) -> io::Result<()> {
        let path = base.join(std::ffi::OsStr::from_bytes(&head.path));
        if head.kind != Kind::Directory {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => std::fs::create_dir_all(path.parent().unwrap_or(base))?,
            }
        }
        match head.kind {
            Kind::Directory => return std::fs::create_dir_all(&path),
            Kind::Symlink => symlink(std::ffi::OsStr::from_bytes(content), &path)?,
            Kind::File | Kind::Own => {
                std::fs::write(&path, content)?;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(head.mode))?;
            }
            Kind::Remove | Kind::RemoveOwn | Kind::End => {
                self.files.remove(&head.path);
                return Ok(());
            }
        }
        if head.kind != Kind::Own {
            let facts = facts_of(&path.symlink_metadata()?);
            self.files.insert(head.path.clone(), (tag, facts));
        }
        Ok(())
    }
}

fn facts_of(metadata: &std::fs::Metadata) -> (u64, i64, i64, u32) {
    (
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.mode(),
    )
}

/// What shows that something was done in a repository: HEAD, its branch and the index.
fn git_of(base: &Path) -> Vec<u8> {
    let git = base.join(".git");
    let read = |name: &str| std::fs::read(git.join(name)).unwrap_or_default();
    let head = read("HEAD");
    let branch = String::from_utf8_lossy(&head).trim().replace("ref: ", "");
    [head, read(&branch), read("index")].concat()
}

/// Connects a command with a client, as the agent's shim does.
async fn serve(mut child: Child, client: DuplexStream) -> io::Result<()> {
    let (mut from, mut to) = tokio::io::split(client);
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(mut stdout), Some(mut stderr)) = pipes else {
        return Ok(());
    };
    let feeding = async {
        let (mut decoder, mut buffer) = (Decoder::new(), vec![0; 16 << 10]);
        loop {
            while let Some(frame) = decoder.next_frame().map_err(io::Error::other)? {
                if frame.payload.is_empty() {
                    drop(stdin);
                    return Ok::<_, io::Error>(());
                }
                stdin.write_all(frame.payload).await?;
            }
            match from.read(&mut buffer).await? {
                0 => return Ok(()),
                read => decoder.extend(&buffer[..read]),
            }
        }
    };
    let telling = async {
        let mut buffer = vec![0; 16 << 10];
        loop {
            match stdout.read(&mut buffer).await? {
                0 => return Ok::<_, io::Error>(to),
                read => {
                    to.write_all(&frame::encode(Channel::Stdout, &buffer[..read]))
                        .await?
                }
            }
        }
    };
    let mut words = Vec::new();
    // A command that does not read all of its input ends all the same.
    let (_, to, complained) = tokio::join!(feeding, telling, stderr.read_to_end(&mut words));
    let mut to = to?;
    if complained? > 0 {
        to.write_all(&frame::encode(Channel::Stderr, &words)).await?;
    }
    let status = ExitStatus::Code(child.wait().await?.code().unwrap_or(1));
    to.write_all(&frame::encode_control(&Control::Exit { status }))
        .await
}
