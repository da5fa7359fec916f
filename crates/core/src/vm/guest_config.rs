//! What a guest is told: boot arguments and the one `Configure`.

use std::collections::BTreeMap;

use banger_guest_api::{self as api, Configure, Disks, Handover, PROTOCOL, Root};
use banger_image::{Layer, LayerKind};
use banger_model::VmSpec;

use super::Error;
use super::row::ImageRef;

/// The boot arguments of every guest, then the kernel's own. The backend adds console and clock.
///
/// `fstab=no`: an image's fstab names disks of the machine it was made for. The masked unit would wait for a terminal
/// device that a guest without udev never announces.
pub(crate) fn boot_args(append: &[String]) -> Vec<String> {
    const ARGS: [&str; 7] = [
        "rdinit=/banger/agent",
        "quiet",
        "panic=-1",
        "fstab=no",
        "systemd.firstboot=off",
        "systemd.mask=serial-getty@ttyS0.service",
        "systemd.show_status=no",
    ];
    ARGS.iter()
        .map(|arg| (*arg).to_owned())
        .chain(append.iter().cloned())
        .collect()
}

/// The variables of every command in a VM: the image's, and over them the VM's own.
pub(crate) fn variables(spec: &VmSpec, image: &ImageRef) -> BTreeMap<String, String> {
    let of_image = image.config.env.iter().filter_map(|variable| {
        let (name, value) = variable.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    of_image.chain(spec.env.clone()).collect()
}

/// The configuration of the guest of `spec`, whose image has these layers, with settings for its git. Disks are known by their order.
pub(crate) fn configure(
    spec: &VmSpec,
    image: &ImageRef,
    layers: &[Layer],
    network: Option<api::Network>,
    git: Option<String>,
) -> Result<Configure, Error> {
    let device = |index: usize| format!("/dev/vd{}", char::from(b'a' + u8::try_from(index).unwrap_or(25)));
    Ok(Configure {
        protocol: PROTOCOL,
        hostname: spec.name.to_string(),
        // Derived from the VM, so that it stays over restarts and differs between VMs of one image.
        machine_id: format!("{0}{0}", spec.id),
        disks: Disks {
            root: Root::Overlay {
                layers: layers
                    .iter()
                    .enumerate()
                    .map(|(index, layer)| api::Layer {
                        device: device(index),
                        dir: match layer.kind {
                            LayerKind::Tree => None,
                            LayerKind::Disk => Some("upper".to_owned()),
                        },
                    })
                    .collect(),
                writable: device(layers.len()),
            },
            work: image.work.then(|| device(layers.len() + 1)),
        },
        env: variables(spec, image),
        clock: api::Clock::since_epoch(banger_hostsys::clock::now()),
        handover: Handover::Auto,
        entropy: banger_hostsys::random::hex::<32>().map_err(Error::Random)?,
        network,
        workdir: Some(image.config.workdir.clone()).filter(|dir| dir.starts_with('/')),
        git,
    })
}
