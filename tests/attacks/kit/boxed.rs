//! A box of memory for a server: a control group where one can be made, else a look at what the process has.

use std::fs;
use std::path::{Path, PathBuf};

/// A control group with a limit of memory, removed in the end.
pub(crate) struct MemoryBox {
    directory: PathBuf,
    events: &'static str,
}

impl MemoryBox {
    /// Makes one of so many bytes; `Err` says why it can't be made.
    pub(crate) fn new(bytes: u64) -> Result<Self, String> {
        let first = (Path::new("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.failcnt");
        let second = (Path::new("/sys/fs/cgroup"), "memory.max", "memory.events");
        let (root, limit, events) = if first.0.exists() { first } else { second };
        let directory = root.join(format!("gnezdo-attacks-{}", std::process::id()));
        fs::create_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let made = Self { directory, events };
        let limited = fs::write(made.directory.join(limit), bytes.to_string());
        limited.map_err(|error| format!("{limit}: {error}"))?;
        Ok(made)
    }

    /// The command below which a program is in the box from its first instruction.
    pub(crate) fn wrapper(&self) -> [String; 4] {
        let script = r#"echo $$ > "$0/cgroup.procs" && exec "$@""#;
        ["sh".into(), "-c".into(), script.into(), self.directory.display().to_string()]
    }

    /// What the kernel counts of requests that met the limit, and of those it killed for.
    pub(crate) fn events(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.directory.join(name)).unwrap_or_default();
        let most = read("memory.max_usage_in_bytes");
        format!("{} {}, most used {}", self.events, read(self.events).trim().replace('\n', " "), most.trim())
    }
}

impl Drop for MemoryBox {
    fn drop(&mut self) {
        // The last process may take a moment to leave.
        for _ in 0..50 {
            if fs::remove_dir(&self.directory).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
