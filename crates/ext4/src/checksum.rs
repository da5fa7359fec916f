//! The crc32c checksums of the feature `metadata_csum`.
//!
//! ext4 runs crc32c without the usual final inversion and chains it: each structure's checksum starts from the file
//! system's seed, which is the checksum of its UUID.
//! Source: the kernel's documentation, `Documentation/filesystems/ext4/checksums.rst`.

/// Continues `seed` over `data`.
pub(crate) fn chain(seed: u32, data: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, data)
}

/// Where the checksums of one file system start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed(u32);

impl Seed {
    pub(crate) fn of_uuid(uuid: &[u8; 16]) -> Self {
        Self(chain(!0, uuid))
    }

    /// Of `data`, started from this seed.
    pub(crate) fn over(self, data: &[u8]) -> u32 {
        chain(self.0, data)
    }

    /// The seed that a superblock names, which may have another UUID since.
    pub(crate) fn stored(seed: u32) -> Self {
        Self(seed)
    }

    /// The seed for what belongs to an inode of generation 0.
    pub(crate) fn of_inode(self, inode: u32) -> Seed {
        self.of_inode_generation(inode, 0)
    }

    /// The seed for what belongs to an inode.
    pub(crate) fn of_inode_generation(self, inode: u32, generation: u32) -> Seed {
        let of_number = chain(self.0, &inode.to_le_bytes());
        Seed(chain(of_number, &generation.to_le_bytes()))
    }
}
