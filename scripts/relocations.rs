//! The build script of `banger` and `bangerd`. It has their relocations packed (`DT_RELR`): a start reads 1 MB less, which would stay
//! in the memory of an idle daemon. glibc reads them from 2.36 on, so a host with an older one gets the usual ones.

#![allow(
    clippy::disallowed_macros,
    reason = "a build script speaks to cargo by what it prints"
)]

fn main() {
    println!("cargo::rerun-if-changed=../../scripts/relocations.rs");
    let is_native = std::env::var_os("HOST") == std::env::var_os("TARGET");
    if is_native && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this host's glibc, for which programs are linked; nothing under another C library.
#[cfg(target_env = "gnu")]
fn glibc() -> Option<(u32, u32)> {
    unsafe extern "C" {
        fn gnu_get_libc_version() -> *const std::ffi::c_char;
    }
    // SAFETY: it takes nothing and returns a string that is never freed (gnu_get_libc_version(3)).
    let version = unsafe { std::ffi::CStr::from_ptr(gnu_get_libc_version()) };
    let (major, minor) = version.to_str().ok()?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(not(target_env = "gnu"))]
fn glibc() -> Option<(u32, u32)> {
    None
}
