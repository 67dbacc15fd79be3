//! Looks at a process all the time: how much anonymous memory it has at most, and what processor time it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::{processor_time, resident};

pub(crate) struct Watch {
    process: u32,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
    resident: u64,
    processor: Duration,
    descriptors: usize,
}

/// What a span of time cost a process.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    /// Bytes of anonymous memory at the peak, beyond those at the start.
    pub(crate) growth: u64,
    pub(crate) processor: Duration,
}

impl Watch {
    pub(crate) fn start(process: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || peak(process, &told));
        let (resident, processor) = (resident(process), processor_time(process));
        Self { process, stop, thread, resident, processor, descriptors: open_descriptors(process) }
    }

    /// What it cost until now, at the end of which the watch goes on for what is kept.
    pub(crate) fn finish(self) -> (Cost, After) {
        self.stop.store(true, Ordering::Relaxed);
        let peak = self.thread.join().unwrap();
        let processor = processor_time(self.process).saturating_sub(self.processor);
        let cost = Cost { growth: peak.saturating_sub(self.resident), processor };
        (cost, After { process: self.process, resident: self.resident, descriptors: self.descriptors })
    }
}

/// What there was at the start, to be there again afterwards.
pub(crate) struct After {
    process: u32,
    resident: u64,
    descriptors: usize,
}

impl After {
    /// Waits until there are no more descriptors than at the start; says how long it took and how many are left over.
    pub(crate) fn settle(&self, limit: Duration) -> (Duration, usize) {
        let began = Instant::now();
        loop {
            let left = open_descriptors(self.process).saturating_sub(self.descriptors);
            if left == 0 || began.elapsed() > limit {
                return (began.elapsed(), left);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Bytes of anonymous memory beyond those at the start.
    pub(crate) fn kept(&self) -> u64 {
        resident(self.process).saturating_sub(self.resident)
    }

    /// Processor time of a process that has nothing to do, over `span`.
    pub(crate) fn idle(&self, span: Duration) -> Duration {
        let before = processor_time(self.process);
        std::thread::sleep(span);
        processor_time(self.process).saturating_sub(before)
    }
}

/// How many descriptors a process has open.
pub(crate) fn open_descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

/// For how long a process could have run and others did.
pub(crate) fn time_in_line(process: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/schedstat")).unwrap();
    Duration::from_nanos(text.split_whitespace().nth(1).unwrap().parse().unwrap())
}

fn peak(process: u32, stop: &AtomicBool) -> u64 {
    let mut peak = resident(process);
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(5));
        peak = peak.max(resident(process));
    }
    peak
}
