//! What was measured, and the few statistics of it: medians and quartiles, of values and of paired ratios.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cell::Cell;
use crate::peers::{Kind, OURS, Peer};

/// One slice of one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Processor time of the server per message, in nanoseconds.
    pub(crate) cpu: f64,
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
    pub(crate) messages: f64,
    pub(crate) per_second: f64,
    /// Processor time of the load generator per message, in nanoseconds.
    pub(crate) load_cpu: f64,
}

/// All slices.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) peers: Vec<Peer>,
    pub(crate) cells: Vec<Cell>,
    /// By cell and row, then by round.
    samples: BTreeMap<(&'static str, usize), BTreeMap<usize, Sample>>,
    /// Bytes per connection before the first message, by cell and row.
    memory: BTreeMap<(&'static str, usize), f64>,
}

/// The middle of some values, and where the middle half of them lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |part: f64| values.get(((values.len().max(1) - 1) as f64 * part).round() as usize).copied();
        Some(Self { low: at(0.25)?, median: at(0.5)?, high: at(0.75)? })
    }
}

impl Results {
    pub(crate) fn new(peers: &[Peer], cells: &[Cell]) -> Self {
        Self {
            peers: peers.to_vec(),
            cells: cells.to_vec(),
            samples: BTreeMap::new(),
            memory: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, cell: &Cell, row: usize, round: usize, sample: Sample) {
        self.samples.entry((cell.name, row)).or_default().insert(round, sample);
    }

    pub(crate) fn set_memory(&mut self, cell: &Cell, row: usize, bytes: f64) {
        self.memory.insert((cell.name, row), bytes);
    }

    pub(crate) fn memory(&self, cell: &Cell, row: usize) -> Option<f64> {
        self.memory.get(&(cell.name, row)).copied()
    }

    fn rounds(&self, cell: &Cell, row: usize) -> impl Iterator<Item = (&usize, &Sample)> {
        self.samples.get(&(cell.name, row)).into_iter().flatten()
    }

    /// One figure of all slices.
    pub(crate) fn spread(&self, cell: &Cell, row: usize, figure: fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(self.rounds(cell, row).map(|(_, sample)| figure(sample)))
    }

    /// Processor time per message compared with ours, round by round.
    pub(crate) fn ratio(&self, cell: &Cell, row: usize) -> Option<Spread> {
        let ours = self.samples.get(&(cell.name, self.ours()))?;
        let pairs =
            self.rounds(cell, row).filter_map(|(round, sample)| Some(sample.cpu / ours.get(round)?.cpu));
        Spread::of(pairs)
    }

    /// As [`Results::ratio`], and for ourselves how our slices differ from their median.
    pub(crate) fn spread_of_ratio(&self, cell: &Cell, row: usize) -> Option<Spread> {
        if row != self.ours() {
            return self.ratio(cell, row);
        }
        let Spread { low, median, high } = self.spread(cell, row, |sample| sample.cpu)?;
        Some(Spread { low: low / median, median: 1.0, high: high / median })
    }

    /// Nanoseconds in user space per message: the ticks of all slices, scaled to the exact time.
    pub(crate) fn user(&self, cell: &Cell, row: usize) -> Option<f64> {
        let sum = |figure: fn(&Sample) -> f64| {
            self.rounds(cell, row).map(|(_, sample)| figure(sample)).sum::<f64>()
        };
        let ticks = sum(|sample| (sample.user_ticks + sample.system_ticks) as f64);
        let share = sum(|sample| sample.user_ticks as f64) / ticks;
        let per_message = sum(|sample| sample.cpu * sample.messages) / sum(|sample| sample.messages);
        (ticks > 0.0).then_some(share * per_message)
    }

    pub(crate) fn ours(&self) -> usize {
        self.peers.iter().position(|peer| peer.kind == Kind::Ours).unwrap_or_default()
    }

    /// One line for who watches.
    pub(crate) fn line(&self, cell: &Cell) -> String {
        let one = |(row, peer): (usize, &Peer)| {
            let ratio = self.ratio(cell, row)?.median;
            Some(format!("{} {ratio:.2}", peer.name))
        };
        let ours = self.spread(cell, self.ours(), |sample| sample.cpu).map_or(0.0, |spread| spread.median);
        let all: Vec<String> = self.peers.iter().enumerate().filter_map(one).collect();
        format!("{}: {OURS} {ours:.0} ns; {}", cell.name, all.join(", "))
    }

    /// Every slice, for who wants other statistics.
    pub(crate) fn json(&self) -> Value {
        let slices = self.samples.iter().flat_map(|((cell, row), rounds)| {
            rounds.iter().map(move |(round, sample)| {
                json!({
                    "cell": cell, "server": self.peers[*row].name, "round": round, "messages": sample.messages,
                    "cpu_ns": sample.cpu, "load_cpu_ns": sample.load_cpu, "per_second": sample.per_second,
                })
            })
        });
        slices.collect()
    }
}
