//! What the kernel says of a process: memory, processor time, descriptors.

use std::fs;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

/// Bytes of anonymous memory that are in memory: heap and stacks, without the program's own pages.
pub(crate) fn resident(process: u32) -> u64 {
    kibibytes(process, "RssAnon:")
}

/// The most memory a process has ever had, its program's own pages among it.
pub(crate) fn peak(process: u32) -> u64 {
    kibibytes(process, "VmHWM:")
}

fn kibibytes(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Processor time of all threads up to now, in the scheduler's nanoseconds.
pub(crate) fn processor_time(process: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let nanoseconds = threads.map(|thread| {
        let text = fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        text.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// How often the threads of a process gave the processor up or lost it: a process that sleeps does not.
pub(crate) fn switches(process: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let counts = threads.flat_map(|thread| {
        let text = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once("ctxt_switches:"));
        lines.map(|(_, count)| count.trim().parse::<u64>().unwrap()).collect::<Vec<_>>()
    });
    counts.sum()
}

/// The open descriptors of a process, what each is open on, and whether a program started by it would inherit it.
pub(crate) fn descriptors(process: u32) -> Vec<(RawFd, PathBuf, bool)> {
    let entries = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let open = entries.filter_map(|entry| {
        let entry = entry.unwrap();
        let descriptor: RawFd = entry.file_name().to_str().unwrap().parse().unwrap();
        let target = fs::read_link(entry.path()).ok()?;
        let info = fs::read_to_string(format!("/proc/{process}/fdinfo/{descriptor}")).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = u32::from_str_radix(flags.trim(), 8).ok()?;
        Some((descriptor, target, flags & CLOSE_ON_EXEC == 0))
    });
    open.collect()
}

/// How many of a process's descriptors are sockets.
pub(crate) fn sockets_of(process: u32) -> usize {
    let open = descriptors(process);
    open.iter().filter(|(_, target, _)| target.to_string_lossy().starts_with("socket:")).count()
}

/// How many descriptors this process may open.
pub(crate) fn soft_limit_of_descriptors() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}

const CLOSE_ON_EXEC: u32 = 0o2_000_000;
