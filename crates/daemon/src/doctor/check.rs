//! One check, and all of them as text.

use std::fmt::Write as _;

use banger_api::{Check, CheckStatus, DoctorReport};

pub(super) fn ok(name: &str, message: impl Into<String>) -> Check {
    Check {
        name: name.to_owned(),
        status: CheckStatus::Ok,
        message: message.into(),
        fix: None,
    }
}

pub(super) fn warning(name: &str, message: impl Into<String>, fix: impl Into<String>) -> Check {
    Check {
        name: name.to_owned(),
        status: CheckStatus::Warning,
        message: message.into(),
        fix: Some(fix.into()),
    }
}

pub(super) fn failed(name: &str, message: impl Into<String>, fix: impl Into<String>) -> Check {
    Check {
        status: CheckStatus::Failed,
        ..warning(name, message, fix)
    }
}

/// A report as plain text, for when `banger` is not at hand.
pub(crate) fn text(report: &DoctorReport) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let mark = match check.status {
            CheckStatus::Ok => "ok  ",
            CheckStatus::Warning => "warn",
            CheckStatus::Failed => "FAIL",
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{mark} {:<12} {}", check.name, check.message);
        if let Some(fix) = &check.fix {
            let _ = writeln!(text, "     {:<12} fix: {fix}", "");
        }
    }
    let _ = writeln!(text, "{}", report.verdict);
    text
}
