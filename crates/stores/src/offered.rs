//! What catalogs offer, as clients see it.

use banger_api::{CatalogImage, CatalogKernel};
use banger_catalog as catalog;

pub(super) fn image(image: catalog::CatalogImage) -> CatalogImage {
    CatalogImage {
        name: image.name,
        os: image.os,
        arch: image.arch,
        description: image.description,
        bytes: image.bytes,
        sha256: image.sha256.to_string(),
        kernel: image.kernel,
    }
}

pub(super) fn kernel(kernel: catalog::CatalogKernel) -> CatalogKernel {
    CatalogKernel {
        name: kernel.name,
        distro: kernel.distro,
        arch: kernel.arch,
        version: kernel.version,
        description: kernel.description,
        bytes: kernel.bytes,
        sha256: kernel.sha256.to_string(),
        append: kernel.append,
        max_vcpus: kernel.max_vcpus,
    }
}
