use super::*;
use std::time::Instant;

fn shell(script: &str, limits: Limits) -> Result<Ran, Error> {
    let mut command = command("/bin/sh", limits);
    command.args(["-c", script]).env("PATH", "/usr/bin:/bin");
    run("the shell", command, limits, b"")
}

fn text(script: &str) -> String {
    String::from_utf8(shell(script, Limits::default()).unwrap().stdout).unwrap()
}

fn met(outcome: Result<Ran, Error>) -> Limit {
    match outcome {
        Err(Error::Limit { limit, .. }) => limit,
        other => panic!("no limit was met: {other:?}"),
    }
}

#[test]
fn what_a_child_has_is_what_it_was_given() {
    // Inherited on purpose: no flag closes it at exec.
    let leaked = rustix::io::dup(std::io::stdin()).unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    let descriptors = text("ls /proc/$$/fd");
    assert_eq!(
        descriptors.split_whitespace().collect::<Vec<_>>(),
        ["0", "1", "2"]
    );
    let environment = text("cat /proc/$$/environ");
    assert_eq!(environment, "PATH=/usr/bin:/bin\0");
    assert!(text("cat /proc/$$/status").contains("NoNewPrivs:\t1"));
    let limits = text("cat /proc/$$/limits");
    assert!(limits.contains(&(512_u64 << 20).to_string()), "{limits}");
    assert!(
        !limits
            .lines()
            .any(|line| line.starts_with("Max address space") && line.contains("unlimited"))
    );
    drop(leaked);
}

#[test]
fn input_goes_in_and_output_comes_out_while_both_are_long() {
    let long = vec![7_u8; 3 << 20];
    let mut command = command("/bin/cat", Limits::default());
    command.env("PATH", "/usr/bin");
    let ran = run("cat", command, Limits::default(), &long).unwrap();
    assert!(ran.stdout == long && ran.peak > 0);
}

#[test]
fn a_child_need_not_read_all_nor_keep_its_streams() {
    let long = vec![7_u8; 3 << 20];
    let run = |script: &str, limits| {
        let mut command = command("/bin/sh", limits);
        command.args(["-c", script]).env("PATH", "/usr/bin:/bin");
        run("the shell", command, limits, &long)
    };
    let ran = run("head -c 1 >/dev/null; echo enough", Limits::default()).unwrap();
    assert_eq!(ran.stdout, b"enough\n");
    // Silent and closed, and yet not ended.
    let ran = run("exec >&- 2>&- <&-; sleep 0.3; exit 0", Limits::default()).unwrap();
    assert_eq!(ran.stdout, b"");
    let limits = Limits {
        time: Some(Duration::from_millis(200)),
        ..Limits::default()
    };
    let since = Instant::now();
    assert_eq!(
        met(run("exec >&- 2>&- <&-; sleep 60", limits)),
        Limit::Time(Duration::from_millis(200))
    );
    // What left the child's group holds the pipes and is not waited for.
    let limits = Limits {
        time: Some(Duration::from_millis(500)),
        ..Limits::default()
    };
    assert_eq!(
        met(run("setsid sleep 5 & sleep 60", limits)),
        Limit::Time(Duration::from_millis(500))
    );
    assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
    // Words beyond what is kept are read all the same.
    match run(
        "head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1",
        Limits::default(),
    ) {
        Err(Error::Failed { words, .. }) => assert_eq!(words.len(), 8 << 10),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_limit_ends_a_child_and_is_named() {
    let memory = Limits {
        memory: 64 << 20,
        ..Limits::default()
    };
    // One line without an end, which tail keeps.
    assert_eq!(met(shell("tail -n 1 /dev/zero", memory)), Limit::Memory(64 << 20));
    banger_cases::refused("budget", "confined.memory");
    let cpu = Limits {
        cpu: Duration::from_secs(1),
        ..Limits::default()
    };
    assert_eq!(
        met(shell("while :; do :; done", cpu)),
        Limit::Cpu(Duration::from_secs(1))
    );
    banger_cases::refused("budget", "confined.cpu");
    let time = Limits {
        time: Some(Duration::from_millis(200)),
        ..Limits::default()
    };
    let since = Instant::now();
    // What the child started holds its pipes, and goes with it.
    assert_eq!(
        met(shell("sleep 60 & sleep 60", time)),
        Limit::Time(Duration::from_millis(200))
    );
    assert!(since.elapsed() < Duration::from_secs(20));
    banger_cases::refused("budget", "confined.time");
    let output = Limits {
        output: 1 << 20,
        ..Limits::default()
    };
    assert_eq!(met(shell("cat /dev/zero", output)), Limit::Output(1 << 20));
    banger_cases::refused("budget", "confined.output");
}

#[test]
fn a_failure_is_told_in_the_childs_words() {
    match shell("echo no such thing >&2; exit 3", Limits::default()) {
        Err(Error::Failed { status, words, .. }) => {
            assert!(
                status.contains('3') && words == "no such thing",
                "{status} {words}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dropped_child_is_gone_with_what_it_started() {
    let mut command = command("/bin/sh", Limits::default());
    command
        .args(["-c", "sleep 600 & echo $!; wait"])
        .env("PATH", "/usr/bin:/bin")
        .stdout(Stdio::piped());
    let mut child = Child::spawn("the shell", command, Limits::default()).unwrap();
    let mut line = String::new();
    io::BufRead::read_line(&mut io::BufReader::new(child.take_stdout().unwrap()), &mut line).unwrap();
    let pid = line
        .trim()
        .parse()
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .unwrap();
    let handle = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    drop(child);
    // Killed with the group, which takes an instant on a busy host; whoever is above us reaps it.
    let mut ended = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
    let timeout = rustix::event::Timespec {
        tv_sec: 20,
        tv_nsec: 0,
    };
    assert_eq!(
        rustix::event::poll(&mut ended, Some(&timeout)).unwrap(),
        1,
        "{pid:?} runs on"
    );
}

#[test]
fn work_that_is_cancelled_takes_its_children_along() {
    let cancel = Cancel::new().unwrap();
    let guard = Guard(cancel.clone());
    let work = std::thread::spawn({
        let cancel = cancel.clone();
        move || {
            cancel.scope(|| {
                (
                    shell("sleep 600 & sleep 600", Limits::default()),
                    shell("true", Limits::default()),
                )
            })
        }
    });
    let since = Instant::now();
    drop(guard);
    let (during, after) = work.join().unwrap();
    assert!(matches!(during, Err(Error::Cancelled { .. })), "{during:?}");
    assert!(matches!(after, Err(Error::Cancelled { .. })), "{after:?}");
    assert!(since.elapsed() < Duration::from_secs(60));
    // Outside the scope nothing is cancelled.
    cancel.scope(|| ());
    assert!(shell("true", Limits::default()).is_ok());
}

#[test]
fn a_child_that_is_slow_is_looked_at_once_and_ended_when_it_waits_in_vain() {
    let looks = std::cell::Cell::new(0);
    let told = |script: &str, in_vain: bool| {
        let mut command = command("/bin/sh", Limits::default());
        command.args(["-c", script]).env("PATH", "/usr/bin:/bin");
        let look = || {
            looks.set(looks.get() + 1);
            in_vain
        };
        let after = Duration::from_millis(200);
        let slow = Slow { after, look: &look };
        let told = tell("the shell", command, Limits::default(), b"", Some(slow)).unwrap();
        (String::from_utf8(told.stdout).unwrap(), told.ended, looks.take())
    };
    let since = Instant::now();
    let (printed, ended, looks) = told("echo some; sleep 60", true);
    assert!(matches!(ended, Err(Error::InVain { .. })), "{ended:?}");
    assert_eq!((printed.as_str(), looks), ("some\n", 1));
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    let (printed, ended, looks) = told("sleep 1; echo late", false);
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!((printed.as_str(), looks), ("late\n", 1));
    let (printed, ended, looks) = told("echo no; exit 3", true);
    assert!(matches!(ended, Err(Error::Failed { .. })), "{ended:?}");
    assert_eq!((printed.as_str(), looks), ("no\n", 0));
}
