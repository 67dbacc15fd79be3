//! The results as Markdown.

use std::fmt::Write;

use crate::cell::{Cell, Service};
use crate::machine;
use crate::samples::{Results, Sample, Spread};

/// All tables.
pub(crate) fn markdown(results: &Results, service: Service) -> String {
    let Words { head, message, rate } = words(service);
    let mut text = format!("{head}\nMeasured on {}.\n", machine::described());
    let _ = writeln!(text, "{}", versions(results));
    let title = format!("Processor time of the server per {message}, ns (times gnezdo's)");
    section(&mut text, results, &title, cpu);
    section(
        &mut text,
        results,
        "Middle half of the paired ratios, and of gnezdo's own times to their median",
        quartiles,
    );
    section(&mut text, results, "Of it in user space, ns", |results, cell, row| {
        results.user(cell, row).map(|user| thousands(user))
    });
    section(&mut text, results, rate, |results, cell, row| {
        Some(thousands(median(results, cell, row, |sample| sample.per_second)?))
    });
    let title = format!("Processor time of the load generator per {message}, ns");
    section(&mut text, results, &title, |results, cell, row| {
        Some(thousands(median(results, cell, row, |sample| sample.load_cpu)?))
    });
    section(&mut text, results, "Memory in user space per idle connection, bytes", |results, cell, row| {
        // Of a few connections it says more about pages than about them.
        let bytes = results.memory(cell, row).filter(|_| cell.connections >= MANY)?;
        Some(thousands(bytes))
    });
    text
}

const MANY: usize = 500;

/// What the tables call things.
struct Words {
    head: &'static str,
    /// What the processor time is divided by.
    message: &'static str,
    rate: &'static str,
}

fn words(service: Service) -> Words {
    match service {
        Service::Echo => Words {
            head: ECHO,
            message: "message",
            rate: "Messages per second, one in flight being a round trip",
        },
        Service::Broadcast => Words {
            head: BROADCAST,
            message: "subscriber and message",
            rate: "Subscribers reached per second, one message under way at a time",
        },
    }
}

const ECHO: &str = "\
# Echo servers side by side

Written by `benches/peers/run`. All servers are up at once, one thread each on one core; one at a time is put under load
from another core, in short slices and random order. Figures are medians of the slices, ratios medians of the ratios
within a round. All are built with the same profile and for the machine's own processor, except where it says plain.
Servers that leave the flush to their user flush after each message; where several are in flight they read all that
is at hand and flush once.
";

const BROADCAST: &str = "\
# One message to many, side by side

Written by `benches/peers/run --broadcast`. All servers are up at once, one thread each on one core, each with its
subscribers; one at a time is published to from another core, in short slices and random order. One of the subscribers
says a message, and says the next when all, itself as well, have read the last and every byte was compared. Figures are
medians of the slices, ratios medians of the ratios within a round. All are built with the same profile and for the
machine's own processor, except where it says plain. The server over gnezdo publishes to a topic of the library. In the others,
each on a tokio runtime of one thread, a connection has a task that reads and one that sends what it takes from a
`tokio::sync::broadcast` channel, on which the payload is there once.
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
