//! Whether KVM works on this host, proved by a virtual CPU that runs. That `/dev/kvm` exists, and even that it makes
//! VMs, proves nothing.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::mpsc;
use std::time::Duration;

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VcpuExit;

/// What was found out about KVM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kvm {
    /// A virtual CPU ran, on a CPU with hardware virtualization.
    Hardware,
    /// A virtual CPU ran, but this CPU has no hardware virtualization: something emulates it (KVM-PVM), under which
    /// ordinary kernels die. The reason says what was seen.
    Software(String),
    /// No virtual CPU ran, for this reason.
    Unusable(String),
}

/// How long the two instructions of the probe may take.
const BOUND: Duration = Duration::from_secs(2);

/// Where the probe's page lies in the guest.
const GUEST_PAGE: u64 = 0x1000;
const PAGE: usize = 4096;

/// Finds out. Takes some milliseconds, at most two seconds.
pub fn kvm() -> Kvm {
    let (tell, told) = mpsc::channel();
    // On a thread of its own, because a KVM that does not work may also never return.
    std::thread::spawn(move || tell.send(run_a_vcpu()));
    match told.recv_timeout(BOUND) {
        Ok(Ok(())) if has_hardware() => Kvm::Hardware,
        Ok(Ok(())) => Kvm::Software("the CPU has neither vmx nor svm".to_owned()),
        Ok(Err(why)) => Kvm::Unusable(why),
        Err(_) => Kvm::Unusable("a virtual CPU did not run two instructions in two seconds".to_owned()),
    }
}

/// On x86, hardware virtualization is a CPU flag; elsewhere there is no KVM without it.
fn has_hardware() -> bool {
    if !cfg!(target_arch = "x86_64") {
        return true;
    }
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|flags| {
        flags
            .split_ascii_whitespace()
            .any(|flag| flag == "vmx" || flag == "svm")
    })
}

fn run_a_vcpu() -> Result<(), String> {
    let kvm = kvm_ioctls::Kvm::new().map_err(|error| open_failure(error.errno()))?;
    let said = |what: &str, error: kvm_ioctls::Error| format!("{what}: {error}");
    let vm = kvm
        .create_vm()
        .map_err(|error| said("cannot create a VM", error))?;
    if !cfg!(target_arch = "x86_64") {
        return vm
            .create_vcpu(0)
            .map(drop)
            .map_err(|error| said("cannot create a virtual CPU", error));
    }
    // Real mode: write `P` to the serial port and halt.
    let page = Page::holding(&[0xba, 0xf8, 0x03, 0xb0, b'P', 0xee, 0xf4]);
    let region = kvm_userspace_memory_region {
        slot: 0,
        guest_phys_addr: GUEST_PAGE,
        memory_size: PAGE as u64,
        userspace_addr: page.0.as_ptr() as u64,
        flags: 0,
    };
    // SAFETY: the page is as large as the region says, and outlives the VM: it was made after it and is dropped at
    // the end of this function, after the vCPU has stopped.
    unsafe { vm.set_user_memory_region(region) }.map_err(|error| said("cannot give a VM memory", error))?;
    let mut vcpu = vm
        .create_vcpu(0)
        .map_err(|error| said("cannot create a virtual CPU", error))?;
    at_the_page(&vcpu).map_err(|error| said("cannot set a virtual CPU's registers", error))?;
    loop {
        match vcpu.run() {
            Ok(VcpuExit::IoOut(0x3f8, [b'P'])) => return Ok(()),
            Ok(other) => return Err(format!("unexpected exit of a virtual CPU: {other:?}")),
            Err(error) if error.errno() == libc::EINTR => {}
            Err(error) => return Err(said("cannot run a virtual CPU", error)),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn at_the_page(vcpu: &kvm_ioctls::VcpuFd) -> Result<(), kvm_ioctls::Error> {
    let mut segments = vcpu.get_sregs()?;
    segments.cs.base = 0;
    segments.cs.selector = 0;
    vcpu.set_sregs(&segments)?;
    let mut registers = vcpu.get_regs()?;
    registers.rip = GUEST_PAGE;
    // Bit 1 is always set (Intel SDM, volume 1, section 3.4.3).
    registers.rflags = 2;
    vcpu.set_regs(&registers)
}

#[cfg(not(target_arch = "x86_64"))]
fn at_the_page(_: &kvm_ioctls::VcpuFd) -> Result<(), kvm_ioctls::Error> {
    Ok(())
}

fn open_failure(errno: i32) -> String {
    match errno {
        libc::ENOENT => "there is no /dev/kvm".to_owned(),
        libc::EACCES | libc::EPERM => "permission denied for /dev/kvm".to_owned(),
        _ => format!(
            "cannot open /dev/kvm: {}",
            std::io::Error::from_raw_os_error(errno)
        ),
    }
}

/// A page of memory at a page's boundary.
struct Page(NonNull<u8>);

const LAYOUT: Layout = match Layout::from_size_align(PAGE, PAGE) {
    Ok(layout) => layout,
    Err(_) => panic!("a page is a valid layout"),
};

impl Page {
    fn holding(code: &[u8]) -> Self {
        assert!(code.len() <= PAGE);
        // SAFETY: the layout's size is not zero.
        let page = unsafe { alloc_zeroed(LAYOUT) };
        let page = NonNull::new(page).unwrap_or_else(|| std::alloc::handle_alloc_error(LAYOUT));
        // SAFETY: the page is ours alone, and the code fits.
        unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), page.as_ptr(), code.len()) };
        Self(page)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout, and is freed once.
        unsafe { dealloc(self.0.as_ptr(), LAYOUT) };
    }
}
