//! What Linux says of a process and of this machine.

use std::fs::read_to_string;

/// Processor time of a process and all its threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    /// Nanoseconds, exact while it sleeps.
    pub(crate) all: u64,
    /// Ticks of the clock in user space, which are coarse: only sums of many slices mean anything.
    pub(crate) user_ticks: u64,
    /// The same in the kernel.
    pub(crate) system_ticks: u64,
}

impl Cpu {
    pub(crate) fn of(process: u32) -> Self {
        let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
        let all = threads.filter_map(|thread| {
            let text = read_to_string(thread.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        let stat = read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The name before the last bracket may hold anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks =
            |index| fields.split_whitespace().nth(index).and_then(|text| text.parse().ok()).unwrap_or(0);
        Self { all: all.sum(), user_ticks: ticks(USER_FIELD), system_ticks: ticks(SYSTEM_FIELD) }
    }
}

/// Bytes of memory that a process has of its own, files that it maps not counted.
pub(crate) fn memory(process: u32) -> u64 {
    let status = read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
    line.and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Where `utime` and `stime` are in `/proc/PID/stat`, counted behind the name.
const USER_FIELD: usize = 11;
const SYSTEM_FIELD: usize = 12;

/// Processor and kernel, in a line.
pub(crate) fn described() -> String {
    let cpus = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores, Linux {}", model.map_or("unknown", |(_, model)| model), kernel.trim())
}

/// The version of a package that the lock file names.
pub(crate) fn version(package: &str) -> Option<&'static str> {
    let entry = format!("name = \"{package}\"\nversion = \"");
    let (_, rest) = LOCK.split_once(&entry)?;
    rest.split('"').next()
}

const LOCK: &str = include_str!("../../Cargo.lock");
