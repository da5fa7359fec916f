//! Trees packed, unpacked and described.

use std::path::Path;
use std::process::Command;

use banger_archive::pack::{Memory, Packer, Packing};
use banger_archive::unpack::{Destination, UnpackError, Unpacked, Unpacking, unpack};

pub(crate) fn packed(path: &Path, name: &[u8], packing: Packing) -> Vec<u8> {
    let mut packer = Packer::new(Memory::default(), packing);
    packer.tree(path, name).unwrap();
    packer.finish().unwrap().0.bytes
}

pub(crate) fn unpacked(tar: &[u8], to: &Path, unpacking: &Unpacking) -> Result<Unpacked, UnpackError> {
    let destination = Destination::directory(to).unwrap();
    unpack(tar, destination, unpacking, &mut |_| {})
}

/// All that there is to say of a tree, by a program that is not ours.
pub(crate) fn described(dir: &Path) -> String {
    let output = Command::new("find")
        .args([".", "-printf", "%P %y %m %s %T@ %l %n\\0"])
        .current_dir(dir)
        .output()
        .unwrap();
    let mut lines: Vec<String> = output
        .stdout
        .split(|&byte| byte == 0)
        .map(|line| line.escape_ascii().to_string())
        .collect();
    lines.sort();
    lines.join("\n")
}
