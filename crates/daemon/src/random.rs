//! Random bytes of the system's source.

use crate::vm;

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], vm::Error> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
            .map_err(|source| vm::Error::Random(source.into()))?;
    }
    Ok(bytes)
}

/// `N` random bytes as hexadecimal digits.
pub(crate) fn hex<const N: usize>() -> Result<String, vm::Error> {
    Ok(bytes::<N>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}
