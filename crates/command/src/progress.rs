//! Progress on standard error: live on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use banger_api::{Progress, Vm};
use banger_model::{ByteSize, Stage, printable};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output;
use crate::print::{self, micros};
use crate::sudo::for_sudo;

/// Interval at which a live line is drawn.
const TICK: Duration = Duration::from_millis(100);

/// The progress of one request. Live lines disappear when this is dropped.
pub struct Display {
    bars: MultiProgress,
    bar: Option<ProgressBar>,
    /// Parallel parts of the work, each with its own bar.
    parts: BTreeMap<String, ProgressBar>,
    label: String,
}

impl Display {
    /// A display; `label` tells parallel displays apart.
    pub fn new(label: impl Into<String>) -> Self {
        let live = print::stream::stderr().is_terminal() && !output::is_json() && !output::is_quiet();
        let bars = MultiProgress::new();
        Self {
            bar: live.then(|| bars.add(ProgressBar::new_spinner())),
            bars,
            parts: BTreeMap::new(),
            label: label.into(),
        }
    }

    /// A handle by which other lines are printed while the display is hidden.
    pub fn suspender(&self) -> Suspender {
        Suspender(self.bars.clone())
    }

    /// Shows one progress event.
    pub fn show(&mut self, progress: &Progress) {
        match progress {
            // The result has all of it.
            Progress::Planned { .. } if output::is_json() || output::is_quiet() => {}
            Progress::Planned { vm } => {
                self.print(&planned(vm));
                self.now("preparing");
            }
            Progress::Stage { stage, micros: took } => {
                if output::is_verbose() {
                    self.print(&format!("  {:<10} {}", stage.as_str(), micros(*took)));
                }
                if let Some(next) = next(*stage) {
                    self.now(next);
                }
            }
            Progress::Step { what } => self.now(what),
            Progress::Bytes { what, done, total } => self.bytes(what, *done, *total),
            Progress::Note { text } => self.print(&format!("note: {}", for_sudo(text))),
        }
    }

    /// Shows the current activity.
    pub fn now(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_style(style("{spinner} {msg} {elapsed}"));
            message(bar, what);
            bar.enable_steady_tick(TICK);
        }
    }

    fn print(&self, text: &str) {
        let text = if self.label.is_empty() {
            text.to_owned()
        } else {
            format!("{}: {text}", self.label)
        };
        match &self.bar {
            Some(_) => self.bars.suspend(|| print::notice!("{text}")),
            None => print::notice!("{text}"),
        }
    }

    fn bytes(&mut self, what: &str, done: u64, total: Option<u64>) {
        let Some(whole) = &self.bar else { return };
        let bar = self.parts.entry(what.to_owned()).or_insert_with(|| {
            // The bars of the parts show the activity.
            whole.finish_and_clear();
            let bar = self.bars.add(ProgressBar::no_length());
            message(&bar, &short(what));
            bar.set_style(style(match total {
                Some(_) => "{msg} {bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
                None => "{spinner} {msg} {bytes} {binary_bytes_per_sec}",
            }));
            bar
        });
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_position(done);
        if total == Some(done) {
            bar.abandon();
        }
    }
}

/// Hides a display while something else is printed.
#[derive(Debug)]
pub struct Suspender(MultiProgress);

impl Suspender {
    /// Prints while the display is hidden.
    pub fn suspend(&self, print: impl FnOnce()) {
        self.0.suspend(print);
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        for bar in self.parts.values().chain(&self.bar) {
            bar.finish_and_clear();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place; it is escaped")]
fn message(bar: &ProgressBar, text: &str) {
    bar.set_message(printable(text).into_owned());
}

/// A layer, by the first digits of its digest.
fn short(what: &str) -> String {
    match what.strip_prefix("sha256:") {
        Some(digest) => format!("layer {}", digest.chars().take(12).collect::<String>()),
        None => what.to_owned(),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// The specification of a VM in one line.
fn planned(vm: &Vm) -> String {
    let Vm {
        name,
        image,
        kernel,
        vcpus,
        memory,
        disk_size,
        ..
    } = vm;
    let cpus = if *vcpus == 1 { "vCPU" } else { "vCPUs" };
    format!("{name}: image {image}, kernel {kernel}, {vcpus} {cpus}, {memory} memory, {disk_size} disk")
}

/// The activity after a stage has ended.
const fn next(ended: Stage) -> Option<&'static str> {
    match ended {
        Stage::Plan => Some("preparing disks"),
        Stage::Disks | Stage::Network => Some("starting the VMM"),
        Stage::Launch => Some("booting the kernel"),
        Stage::Kernel => Some("configuring the guest"),
        Stage::Configure => Some("waiting for the guest's init"),
        Stage::Init => None,
    }
}

/// A size, for people.
pub fn bytes(bytes: u64) -> String {
    ByteSize::bytes(bytes).to_string()
}
