//! What is known of each attack once it was fought, and how that is shown.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use super::Attack;
use super::bystander::Service;
use super::watch::Cost;

pub(crate) struct Row {
    name: &'static str,
    rules: &'static str,
    seconds: Duration,
    pub(crate) cost: Option<Cost>,
    pub(crate) kept: u64,
    pub(crate) settled: Duration,
    pub(crate) service: Option<Service>,
    /// How a client was served meanwhile whose server nobody attacked.
    pub(crate) control: Service,
    pub(crate) notes: String,
    pub(crate) faults: Vec<String>,
}

impl Row {
    pub(crate) fn new(attack: &Attack, seconds: Duration) -> Self {
        Self {
            name: attack.name,
            rules: attack.rules,
            seconds,
            cost: None,
            kept: 0,
            settled: Duration::ZERO,
            service: None,
            control: Service::default(),
            notes: String::new(),
            faults: Vec::new(),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.faults.is_empty() { "survived" } else { "FAILED" };
        let (name, rules, seconds) = (self.name, self.rules, self.seconds.as_secs_f32());
        write!(f, "{name:24} {rules:12} {verdict:9} {seconds:5.1}")?;
        match self.cost {
            Some(cost) => {
                let (growth, kept) = (cost.growth / 1024, self.kept / 1024);
                let (processor, settled) = (cost.processor.as_millis(), self.settled.as_millis());
                write!(f, " {growth:8} {kept:7} {processor:7} {settled:7}")?;
            }
            None => write!(f, " {:>8} {:>7} {:>7} {:>7}", "-", "-", "-", "-")?,
        }
        match self.service {
            Some(service) => {
                let (p99, worst, control) =
                    (millis(service.p99), millis(service.worst), millis(self.control.p99));
                write!(f, " {:6} {p99:7.1} {worst:7.1} {control:7.1}", service.messages)?;
            }
            None => write!(f, " {:>6} {:>7} {:>7} {:>7}", "-", "-", "-", "-")?,
        }
        write!(f, "  {}", self.notes)?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n    {fault}"))
    }
}

pub(crate) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// All rows, in the order in which they were fought.
#[derive(Default)]
pub(crate) struct Table(Mutex<Vec<String>>);

impl Table {
    pub(crate) fn add(&self, row: &Row) {
        self.0.lock().unwrap().push(row.to_string());
    }

    /// Prints it, where anything was fought.
    pub(crate) fn print(&self) {
        let rows = self.0.lock().unwrap();
        if rows.is_empty() {
            return;
        }
        println!("{TITLE}");
        for row in rows.iter() {
            println!("{}", row.trim_end());
        }
    }
}

const TITLE: &str = "\
                                                           memory, KiB      server, ms      healthy client, ms       elsewhere
attack                   rules        verdict       s     peak    kept     cpu settles  echoes     p99     max     p99  notes";
