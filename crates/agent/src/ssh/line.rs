//! Command lines that are longer than an argument may be.

use std::path::Path;

/// The longest argument of a program, with its zero byte (execve(2), `MAX_ARG_STRLEN`).
const MAX_ARGUMENT: usize = 128 << 10;

/// The bytes of a longer line that go into one argument.
const PART: usize = 64 << 10;

/// Shells of POSIX's language, in which a line can be put together from arguments.
const POSIX: [&str; 8] = ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox"];

/// What a shell gets after `-c` to run `line`. A line that is too long for one argument comes in parts, which the shell puts
/// together before it knows them: so they may be cut anywhere.
pub(super) fn arguments(shell: &str, line: Vec<u8>) -> Vec<Vec<u8>> {
    let name = Path::new(shell).file_name().and_then(|name| name.to_str());
    let is_posix = name.is_some_and(|name| POSIX.contains(&name));
    if line.len() < MAX_ARGUMENT || !is_posix {
        return vec![line];
    }
    let parts = line.chunks(PART);
    // The line sees no arguments, as one that comes whole.
    let whole: String = (1..=parts.len()).map(|number| format!("${{{number}}}")).collect();
    let script = format!("eval \"set --\n{whole}\"");
    let name = name.unwrap_or("sh").as_bytes().to_vec();
    [script.into_bytes(), name]
        .into_iter()
        .chain(parts.map(<[u8]>::to_vec))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    fn output(line: &[u8]) -> Vec<u8> {
        let arguments = arguments("/bin/sh", line.to_vec());
        let mut command = Command::new("/bin/sh");
        command.arg("-c");
        command.args(arguments.iter().map(|argument| OsStr::from_bytes(argument)));
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    #[test]
    fn a_line_of_any_length_runs_as_it_is() {
        for length in [0, 1000, MAX_ARGUMENT - 20, MAX_ARGUMENT, 200 << 10, 256 << 10] {
            // No text, quotes, and words that a shell would expand.
            let text = b"a'\\''$x `date` \xff\"\\\n* ".repeat(length / 20);
            let line = [b"printf %s \"$#\" '", &text[..], b"'"].concat();
            let expected = [b"0", &b"a'$x `date` \xff\"\\\n* ".repeat(length / 20)[..]].concat();
            assert_eq!(output(&line), expected, "{length}");
        }
    }

    #[test]
    fn another_shell_gets_the_line_in_one() {
        assert_eq!(arguments("/usr/bin/fish", vec![b'x'; 200 << 10]).len(), 1);
    }
}
