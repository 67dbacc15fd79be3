//! What a person or a program reads of a run.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::options::{Content, Options, Output};
use crate::run::Run;

/// How far it is, for who looks; nothing where nobody does.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new(output: Output) -> Self {
        let bar = if output == Output::Human { ProgressBar::new(0) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{msg:10} {wide_bar} {pos}/{len}{prefix}") {
            bar.set_style(style);
        }
        Self { bar }
    }

    pub(crate) fn show(&self, name: &'static str, done: usize, all: usize) {
        self.set(name, "", done as u64, all as u64);
    }

    pub(crate) fn span(&self, name: &'static str, done: Duration, all: Duration) {
        self.set(name, " s", done.min(all).as_secs(), all.as_secs());
    }

    fn set(&self, name: &'static str, unit: &'static str, done: u64, all: u64) {
        self.bar.set_message(name);
        self.bar.set_prefix(unit);
        self.bar.set_length(all);
        self.bar.set_position(done);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Says what was measured, on standard output.
pub(crate) fn print(options: &Options, run: &Run) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    match options.output {
        Output::Json => writeln!(out, "{}", json(options, run))?,
        Output::Human => human(&mut out, options, run)?,
    }
    Ok(out.flush()?)
}

fn human(out: &mut impl Write, options: &Options, run: &Run) -> std::io::Result<()> {
    let bytes = run.messages_per_second() * options.size as f64;
    writeln!(out, "{} messages in {:.2} s, each echoed as it was sent", run.echoed, run.seconds())?;
    writeln!(out, "{:.0} messages/s, {:.1} MB/s each way", run.messages_per_second(), bytes / 1e6)?;
    writeln!(out, "{:.0} ns of this program's processor time per message", run.own_cpu_per_message())?;
    writeln!(out, "\nµs          {}", QUANTILES.map(|(name, _)| format!("{name:>10}")).concat())?;
    for (name, histogram) in [("service", &run.service), ("response", run.response())] {
        let values = QUANTILES.map(|(_, quantile)| format!("{:>10.1}", microseconds(histogram, quantile)));
        writeln!(out, "{name:12}{}", values.concat())?;
    }
    Ok(())
}

fn json(options: &Options, run: &Run) -> Value {
    json!({
        "target": options.connect.target.to_string(),
        "connections": options.connections,
        "active": options.active,
        "size": options.size,
        "content": match options.content {
            Content::Binary => "binary",
            Content::Ascii => "text",
            Content::Utf8 => "utf8",
        },
        "in_flight": options.in_flight,
        "rate": options.rate,
        "messages": run.echoed,
        "seconds": run.seconds(),
        "messages_per_second": run.messages_per_second(),
        "own_cpu_ns_per_message": run.own_cpu_per_message(),
        "service_us": quantiles(&run.service),
        "response_us": quantiles(run.response()),
    })
}

fn quantiles(histogram: &Histogram<u64>) -> Value {
    QUANTILES
        .iter()
        .map(|(name, quantile)| ((*name).to_owned(), json!(microseconds(histogram, *quantile))))
        .collect()
}

fn microseconds(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1000.0
}

const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];
