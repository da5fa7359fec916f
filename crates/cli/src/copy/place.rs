//! Sources and destinations of copies, as written on the command line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The source or destination of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A path in a VM.
    Vm {
        /// The VM.
        name: String,
        /// The path, relative to `/root`.
        path: Vec<u8>,
    },
    /// A path on this host.
    Here(PathBuf),
    /// Standard input or output.
    Pipe,
}

impl Place {
    /// Parses `VM:PATH`, `-`, or a local path. As with scp, a local path that contains a colon must begin with a slash
    /// or `./`.
    pub(crate) fn parse(text: OsString) -> Self {
        let bytes = text.as_bytes();
        if bytes == b"-" {
            return Self::Pipe;
        }
        let colon = bytes.iter().position(|&byte| byte == b':');
        if let Some(colon) = colon.filter(|&colon| colon > 0 && !bytes[..colon].contains(&b'/')) {
            let path = match &bytes[colon + 1..] {
                b"" => b".".to_vec(),
                path => path.to_vec(),
            };
            return Self::Vm {
                name: OsStr::from_bytes(&bytes[..colon]).to_string_lossy().into_owned(),
                path,
            };
        }
        Self::Here(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm(name: &str, path: &str) -> Place {
        Place::Vm {
            name: name.to_owned(),
            path: path.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_place_is_a_vms_a_path_here_or_a_pipe() {
        let place = |text: &str| Place::parse(text.into());
        assert_eq!(place("web:/etc"), vm("web", "/etc"));
        assert_eq!(place("web:a:b"), vm("web", "a:b"));
        assert_eq!(place("web:"), vm("web", "."));
        for here in ["a", "./a:b", "/a:b", "dir/a:b", ":a"] {
            assert_eq!(place(here), Place::Here(here.into()));
        }
        assert_eq!(place("-"), Place::Pipe);
    }
}
