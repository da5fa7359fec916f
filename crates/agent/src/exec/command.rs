//! From a request to a process that is ready to be started.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use banger_guest_api::{Control, Exec, Failure};

use super::account::{self, Account};
use super::{PATH, Surroundings};
use crate::endings;
use crate::failure::{failed, refused};

/// A command that cannot run, with the code that shells give it.
#[derive(Debug)]
pub(crate) struct Refusal {
    failure: Failure,
    exit_code: i32,
}

impl Refusal {
    /// The last frame of its stream.
    pub(super) fn control(self) -> Control {
        Control::Error {
            failure: self.failure,
            exit_code: self.exit_code,
        }
    }

    /// Why, without a code.
    pub(crate) fn into_failure(self) -> Failure {
        self.failure
    }

    /// The program could not be executed.
    pub(crate) fn of_spawn(program: &str, cwd: &Path, error: io::Error) -> Self {
        let missing_dir = error.kind() == io::ErrorKind::NotFound && !cwd.is_dir();
        let (message, exit_code) = match error.kind() {
            _ if missing_dir => (format!("there is no directory {}", cwd.display()), 125),
            io::ErrorKind::NotFound => (
                format!("`{program}` needs an interpreter or loader that does not exist"),
                127,
            ),
            _ => (format!("cannot execute `{program}`"), 126),
        };
        Self {
            failure: Failure {
                message,
                ..failed("execute a program", error)
            },
            exit_code,
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            exit_code: 125,
        }
    }
}

/// A command, ready but for its streams.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) command: Command,
    pub(crate) program: String,
    pub(crate) cwd: PathBuf,
}

/// Who runs a command, with what, and where.
struct Settled {
    account: Account,
    env: BTreeMap<String, String>,
    cwd: PathBuf,
}

fn settle(exec: &Exec, surroundings: &Surroundings) -> Result<Settled, Failure> {
    let account = account::of(exec.user.as_deref(), surroundings)?;
    let env = environment(exec, surroundings, &account);
    let cwd = match &exec.cwd {
        Some(cwd) => surroundings.path(cwd),
        None => Some(PathBuf::from(&account.home))
            .filter(|home| home.is_dir())
            .unwrap_or_else(|| "/".into()),
    };
    Ok(Settled { account, env, cwd })
}

/// Which of `programs` a command would not find.
///
/// # Errors
/// When it could not run at all where it shall.
pub(crate) fn missing<'a>(
    exec: &Exec,
    surroundings: &Surroundings,
    programs: &'a [String],
) -> Result<Vec<&'a str>, Failure> {
    let Settled { env, cwd, .. } = settle(exec, surroundings)?;
    if !cwd.is_dir() {
        let asked = exec.cwd.as_deref().unwrap_or("/");
        return Err(refused(format!("there is no directory {asked}")));
    }
    let path = env.get("PATH").map_or(PATH, String::as_str);
    let programs = programs.iter().map(String::as_str);
    Ok(programs
        .filter(|program| find(program, path, &cwd).is_err())
        .collect())
}

/// Prepares the command of `exec`, with `last` arguments that need not be text.
pub(crate) fn prepare(
    exec: &Exec,
    last: &[Vec<u8>],
    surroundings: &Surroundings,
) -> Result<Prepared, Refusal> {
    let Settled { account, env, cwd } = settle(exec, surroundings)?;
    let (program, argv0, args) = match exec.argv.split_first() {
        Some((program, args)) => (program.clone(), OsString::from(program), args.to_vec()),
        None => login_shell(&account),
    };
    let found = find(&program, env.get("PATH").map_or(PATH, String::as_str), &cwd)?;
    let mut command = Command::new(found);
    command
        .arg0(argv0)
        .args(args)
        .args(last.iter().map(|last| OsStr::from_bytes(last)))
        .env_clear()
        .envs(&env)
        .current_dir(&cwd);
    become_account(&mut command, account, surroundings.is_real());
    Ok(Prepared {
        command,
        program,
        cwd,
    })
}

/// Under everything the account's own, then the VM's, then the command's.
fn environment(exec: &Exec, surroundings: &Surroundings, account: &Account) -> BTreeMap<String, String> {
    let shell = account.shell.as_deref().unwrap_or("/bin/sh");
    let base = [
        ("PATH", PATH),
        ("LANG", "C.UTF-8"),
        ("HOME", &account.home),
        ("USER", &account.name),
        ("LOGNAME", &account.name),
        ("SHELL", shell),
    ];
    let mut env: BTreeMap<_, _> = base
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if let Some(tty) = &exec.tty {
        env.insert("TERM".to_owned(), tty.term.clone());
    }
    env.extend(surroundings.env.clone());
    env.extend(exec.env.clone());
    env
}

/// A login shell has a name that begins with `-` (POSIX sh has no word for it; every shell does).
fn login_shell(account: &Account) -> (String, OsString, Vec<String>) {
    let listed = account.shell.clone().filter(|shell| Path::new(shell).exists());
    let shell = listed.unwrap_or_else(|| "/bin/sh".to_owned());
    let name = shell.rsplit('/').next().unwrap_or("sh");
    let argv0 = OsString::from(format!("-{name}"));
    (shell, argv0, Vec::new())
}

/// Looks a program up as execvp(3) does, with the command's own PATH.
fn find(program: &str, path: &str, cwd: &Path) -> Result<PathBuf, Refusal> {
    if program.contains('/') {
        let found = cwd.join(program);
        return if found.exists() {
            Ok(found)
        } else {
            Err(not_found(program))
        };
    }
    let candidates = path.split(':').map(|dir| cwd.join(dir).join(program));
    candidates
        .filter(|candidate| candidate.is_file())
        .find(|candidate| rustix::fs::access(candidate, rustix::fs::Access::EXEC_OK).is_ok())
        .ok_or_else(|| not_found(program))
}

fn not_found(program: &str) -> Refusal {
    Refusal {
        failure: refused(format!("there is no program `{program}`")),
        exit_code: 127,
    }
}

fn become_account(command: &mut Command, account: Account, real: bool) {
    let switch = real && rustix::process::geteuid().is_root();
    let uid = rustix::process::Uid::from_raw(account.uid);
    let gid = rustix::process::Gid::from_raw(account.gid);
    let groups: Vec<_> = account
        .groups
        .into_iter()
        .map(rustix::process::Gid::from_raw)
        .collect();
    let become_it = move || {
        endings::release();
        if !real {
            // A fake guest's commands end with it, as a real guest's do.
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        }
        if switch {
            // The streams are root's until now; their user opens them by name too, as /dev/stdout or by tty(1).
            for stream in [
                rustix::stdio::stdin(),
                rustix::stdio::stdout(),
                rustix::stdio::stderr(),
            ] {
                rustix::fs::fchown(stream, Some(uid), None)?;
            }
            rustix::thread::set_thread_groups(&groups)?;
            rustix::thread::set_thread_gid(gid)?;
            rustix::thread::set_thread_uid(uid)?;
        }
        Ok(())
    };
    // SAFETY: only system calls, which are async-signal-safe; nothing is allocated. Between fork and exec there is one
    // thread, so switching the thread switches the process.
    unsafe {
        command.pre_exec(become_it);
    }
}
