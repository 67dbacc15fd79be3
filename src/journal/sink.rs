//! L0, where lines go: to the crate `log`, and whatever the program has put behind it.

use super::Severity;

/// Whether anybody wants lines that matter so much.
#[inline]
pub(super) fn takes(severity: Severity) -> bool {
    let level = level(severity);
    level <= log::STATIC_MAX_LEVEL && level <= log::max_level()
}

pub(super) fn write(severity: Severity, line: &str) {
    log::log!(target: "gnezdo", level(severity), "{line}");
}

fn level(severity: Severity) -> log::Level {
    match severity {
        Severity::Error => log::Level::Error,
        Severity::Warning => log::Level::Warn,
        Severity::Information => log::Level::Info,
        Severity::Detail => log::Level::Debug,
    }
}
