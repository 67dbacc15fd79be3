//! The results as Markdown.

use std::fmt::Write;

use crate::cell::Cell;
use crate::machine;
use crate::samples::{Results, Sample, Spread};

/// All tables.
pub(crate) fn markdown(results: &Results) -> String {
    let mut text = format!("{HEAD}\nMeasured on {}.\n", machine::described());
    let _ = writeln!(text, "{}", versions(results));
    section(&mut text, results, "Processor time of the server per message, ns (times gnezdo's)", cpu);
    section(
        &mut text,
        results,
        "Middle half of the paired ratios, and of gnezdo's own times to their median",
        quartiles,
    );
    section(&mut text, results, "Of it in user space, ns", |results, cell, row| {
        results.user(cell, row).map(|user| thousands(user))
    });
    section(
        &mut text,
        results,
        "Messages per second, one in flight being a round trip",
        |results, cell, row| Some(thousands(median(results, cell, row, |sample| sample.per_second)?)),
    );
    section(
        &mut text,
        results,
        "Processor time of the load generator per message, ns",
        |results, cell, row| Some(thousands(median(results, cell, row, |sample| sample.load_cpu)?)),
    );
    section(&mut text, results, "Memory in user space per idle connection, bytes", |results, cell, row| {
        // Of a few connections it says more about pages than about them.
        let bytes = results.memory(cell, row).filter(|_| cell.connections >= MANY)?;
        Some(thousands(bytes))
    });
    text
}

const MANY: usize = 500;

const HEAD: &str = "\
# Echo servers side by side

Written by `benches/peers/run`. All servers are up at once, one thread each on one core; one at a time is put under load
from another core, in short slices and random order. Figures are medians of the slices, ratios medians of the ratios
within a round. All are built with the same profile and for the machine's own processor, except where it says plain.
Servers that leave the flush to their user flush after each message; where several are in flight they read all that
is at hand and flush once.
";

fn versions(results: &Results) -> String {
    let named = results
        .peers
        .iter()
        .filter_map(|peer| Some(format!("{} {}", peer.name, machine::version(&peer.name)?)));
    format!("Versions: {}.", named.collect::<Vec<_>>().join(", "))
}

type Figure = fn(&Results, &Cell, usize) -> Option<String>;

fn section(text: &mut String, results: &Results, title: &str, figure: Figure) {
    let _ = write!(text, "\n## {title}\n\n| server |");
    for cell in &results.cells {
        let _ = write!(text, " {} |", cell.name);
    }
    let _ = writeln!(text, "\n|---|{}", "--:|".repeat(results.cells.len()));
    for (row, peer) in results.peers.iter().enumerate() {
        let _ = write!(text, "| {} |", peer.name);
        for cell in &results.cells {
            let _ = write!(text, " {} |", figure(results, cell, row).unwrap_or_else(|| "–".to_owned()));
        }
        text.push('\n');
    }
}

fn cpu(results: &Results, cell: &Cell, row: usize) -> Option<String> {
    let cpu = median(results, cell, row, |sample| sample.cpu)?;
    Some(format!("{} ({:.2})", thousands(cpu), results.ratio(cell, row)?.median))
}

fn quartiles(results: &Results, cell: &Cell, row: usize) -> Option<String> {
    let Spread { low, high, .. } = results.spread_of_ratio(cell, row)?;
    Some(format!("{low:.2}–{high:.2}"))
}

fn median(results: &Results, cell: &Cell, row: usize, figure: fn(&Sample) -> f64) -> Option<f64> {
    results.spread(cell, row, figure).map(|spread| spread.median)
}

/// A number with a comma at each thousand.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
