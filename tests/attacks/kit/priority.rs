//! Attackers come from elsewhere, and so does their processor time: on this machine they give way to the server and to
//! its healthy clients.

use std::process::{Command, Stdio};

/// Makes this thread, and all that it starts, run only where nobody else wants to.
pub(crate) fn give_way() {
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    let thread = link.file_name().unwrap();
    // Where there is no such command the figures are worse, and no more.
    let _ = Command::new("renice").args(["-n", "19", "-p"]).arg(thread).stdout(Stdio::null()).status();
}
