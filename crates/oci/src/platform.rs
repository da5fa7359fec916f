//! Which of an index's manifests is for this host: the OCI image specification (`image-index.md`, "platform"), with the
//! order of variants that container engines have (containerd's `platforms` package documents it).

use std::fmt;
use std::str::FromStr;

use oci_spec::image::{Arch, Descriptor, Os};

use crate::error::Error;

/// An operating system on a processor, as OCI names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    os: Os,
    arch: Arch,
    variant: Option<String>,
}

/// How well a manifest's platform fits, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// Its variant is the wanted one, or so many steps below: it runs wherever the wanted one runs.
    Runs(u32),
    /// Nobody asked for this variant, and this host's processor has it: the lower, the better.
    Above(u32),
    /// The variant is none that the specification names, so only a trial could show whether it runs.
    Unknown,
}

impl Platform {
    /// A platform as a descriptor or a configuration states it.
    pub(crate) fn new(os: Os, arch: Arch, variant: Option<String>) -> Self {
        let variant = variant.filter(|variant| !variant.is_empty());
        Self { os, arch, variant }
    }

    pub(crate) fn of(descriptor: &Descriptor) -> Option<Self> {
        let platform = descriptor.platform().as_ref()?;
        Some(Self::new(
            platform.os().clone(),
            platform.architecture().clone(),
            platform.variant().clone(),
        ))
    }

    /// The operating system's name.
    pub fn os(&self) -> String {
        self.os.to_string()
    }

    /// The processor's name.
    pub fn arch(&self) -> String {
        self.arch.to_string()
    }

    /// Whether an image for `other` runs where this platform was asked for.
    pub(crate) fn takes(&self, other: &Self) -> bool {
        self.fit(other).is_some()
    }

    /// The descriptors whose platform fits, the best first. Of equals, the first in the index is the first here.
    pub(crate) fn fitting<'a>(&self, manifests: &'a [Descriptor]) -> Vec<&'a Descriptor> {
        let mut fitting: Vec<(Fit, &Descriptor)> = manifests
            .iter()
            .filter_map(|manifest| Some((self.fit(&Self::of(manifest)?)?, manifest)))
            .collect();
        fitting.sort_by_key(|(fit, _)| *fit);
        fitting.into_iter().map(|(_, manifest)| manifest).collect()
    }

    fn fit(&self, other: &Self) -> Option<Fit> {
        if self.os != other.os || self.arch != other.arch {
            return None;
        }
        if self.variant.is_some() && self.variant == other.variant {
            return Some(Fit::Runs(0));
        }
        let (wanted, there) = (self.level(), other.level());
        match (wanted, there) {
            (Some(wanted), Some(there)) if there <= wanted => Some(Fit::Runs(wanted - there)),
            (Some(wanted), Some(there)) if self.variant.is_none() && there <= has_level(&self.arch) => {
                Some(Fit::Above(there - wanted))
            }
            (Some(_), Some(_)) => None,
            // Without a word about variants, whatever is for the processor's kind was meant.
            _ if self.variant.is_none() => Some(Fit::Unknown),
            _ => None,
        }
    }

    /// The variant as a number that grows with what the processor must have; what is not said is what every processor of
    /// the kind has, or, for `arm`, what is usual.
    fn level(&self) -> Option<u32> {
        let said = self.variant.as_deref();
        let unsaid = match self.arch {
            Arch::Amd64 => "v1",
            Arch::ARM => "v7",
            Arch::ARM64 => "v8",
            // Other processors have no variants: all are one.
            _ => return said.is_none().then_some(0),
        };
        let text = said.unwrap_or(unsaid);
        let (major, minor) = text
            .strip_prefix('v')?
            .split_once('.')
            .unwrap_or((&text[1..], "0"));
        let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
        (major < 100 && minor < 100).then_some(major * 100 + minor)
    }
}

/// The highest level of this architecture that this host's processor has, as far as it can be asked.
fn has_level(arch: &Arch) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if *arch == Arch::Amd64 {
        use std::arch::is_x86_feature_detected as has;
        // The levels are those of the x86-64 psABI, "Micro-Architecture Levels".
        let v2 = has!("cmpxchg16b") && has!("popcnt") && has!("sse4.2") && has!("ssse3");
        let v3 = v2
            && has!("avx2")
            && has!("bmi1")
            && has!("bmi2")
            && has!("f16c")
            && has!("fma")
            && has!("lzcnt")
            && has!("movbe");
        let v4 = v3
            && has!("avx512f")
            && has!("avx512bw")
            && has!("avx512cd")
            && has!("avx512dq")
            && has!("avx512vl");
        return match (v2, v3, v4) {
            (_, _, true) => 400,
            (_, true, _) => 300,
            (true, ..) => 200,
            _ => 100,
        };
    }
    let _ = arch;
    0
}

impl Default for Platform {
    /// Linux, on the processor of this host.
    fn default() -> Self {
        Self::new(Os::Linux, Arch::default(), None)
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(os), Some(arch), variant, None) if !os.is_empty() && !arch.is_empty() => {
                // What `uname -m` prints is what people type.
                let arch = match arch {
                    "x86_64" | "x86-64" => "amd64",
                    "aarch64" => "arm64",
                    arch => arch,
                };
                Ok(Self::new(os.into(), arch.into(), variant.map(str::to_owned)))
            }
            _ => Err(Error::Platform(text.to_owned())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.arch)?;
        match &self.variant {
            Some(variant) => write!(formatter, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(wanted: &str, there: &[&str]) -> Option<usize> {
        let wanted: Platform = wanted.parse().unwrap();
        let mut fits: Vec<_> = there
            .iter()
            .enumerate()
            .filter_map(|(index, text)| Some((wanted.fit(&text.parse().unwrap())?, index)))
            .collect();
        fits.sort();
        fits.first().map(|(_, index)| *index)
    }

    #[test]
    fn the_best_variant_is_taken_wherever_it_stands() {
        for (wanted, there, index) in [
            ("linux/amd64", &["linux/amd64/v3", "linux/amd64"][..], Some(1)),
            ("linux/amd64", &["linux/amd64/v3", "linux/amd64/v1"], Some(1)),
            (
                "linux/amd64/v3",
                &["linux/amd64", "linux/amd64/v2", "linux/amd64/v3"],
                Some(2),
            ),
            ("linux/amd64/v3", &["linux/amd64", "linux/amd64/v2"], Some(1)),
            ("linux/amd64/v2", &["linux/amd64/v3", "linux/amd64"], Some(1)),
            ("linux/amd64/v2", &["linux/amd64/v3"], None),
            ("linux/x86_64", &["linux/amd64"], Some(0)),
            (
                "linux/arm",
                &["linux/arm/v5", "linux/arm/v7", "linux/arm/v6"],
                Some(1),
            ),
            ("linux/arm", &["linux/arm/v5", "linux/arm/v6"], Some(1)),
            ("linux/arm/v6", &["linux/arm/v7", "linux/arm/v5"], Some(1)),
            ("linux/arm/v7", &["linux/arm"], Some(0)),
            ("linux/arm64", &["linux/arm64/v8"], Some(0)),
            ("linux/arm64/v8", &["linux/arm64"], Some(0)),
            (
                "linux/arm64/v8.2",
                &["linux/arm64/v9", "linux/arm64/v8.1"],
                Some(1),
            ),
            ("linux/amd64", &["windows/amd64", "linux/arm64"], None),
            ("linux/amd64", &["linux/amd64/odd", "linux/amd64"], Some(1)),
            ("linux/amd64", &["linux/amd64/odd"], Some(0)),
            ("linux/amd64/v1", &["linux/amd64/odd"], None),
            ("linux/riscv64", &["linux/riscv64/x", "linux/riscv64"], Some(1)),
        ] {
            assert_eq!(best(wanted, there), index, "{wanted} among {there:?}");
        }
    }

    /// What nobody asked for is taken only when nothing else fits and this processor has it.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_higher_variant_needs_a_processor_that_has_it() {
        let level = has_level(&Arch::Amd64);
        assert!(level >= 100);
        for (variant, needs) in [("v2", 200), ("v3", 300), ("v4", 400), ("v9", 900)] {
            let there = format!("linux/amd64/{variant}");
            assert_eq!(
                best("linux/amd64", &[&there]).is_some(),
                level >= needs,
                "{variant}"
            );
        }
        if level >= 300 {
            assert_eq!(
                best("linux/amd64", &["linux/amd64/v3", "linux/amd64/v2"]),
                Some(1)
            );
        }
    }
}
