//! L0, where lines go without the feature `log`: nowhere.

use super::Severity;

#[inline]
pub(super) const fn takes(_severity: Severity) -> bool {
    false
}

#[inline]
pub(super) const fn write(_severity: Severity, _line: &str) {}
