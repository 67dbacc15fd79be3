//! Measures servers side by side, which echo or publish: all of them are up at once, and one at a time is put under load,
//! in short slices and random order, so that whatever else the machine does meets all alike. What counts is the processor
//! time of the server per message.

mod cell;
mod machine;
mod measure;
mod options;
mod peers;
mod plot;
mod process;
mod samples;
mod table;

use std::error::Error;

use indicatif::{ProgressBar, ProgressStyle};

use cell::Service;
use options::Options;
use samples::Results;

fn main() {
    if let Err(error) = run() {
        eprintln!("runner: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let Some(options) = options::parse(lexopt::Parser::from_env())? else {
        println!("{}", options::HELP);
        return Ok(());
    };
    let peers = peers::wanted(&options)?;
    let mut results = Results::new(&peers, &options.cells);
    let bar = progress(&options, peers.len());
    for cell in &options.cells {
        bar.set_message(cell.name);
        measure::cell(&options, cell, &peers, &bar, &mut results)?;
        say(&bar, &results.line(cell));
    }
    bar.finish_and_clear();
    write(&options, &results)
}

/// A line for who watches, above the bar or, where nobody sees that, without it.
fn say(bar: &ProgressBar, line: &str) {
    if bar.is_hidden() { eprintln!("{line}") } else { bar.println(line) }
}

fn progress(options: &Options, peers: usize) -> ProgressBar {
    let slices = options.cells.iter().map(|cell| options.rounds(cell, peers) * peers).sum::<usize>();
    let style = ProgressStyle::with_template("{msg:24} {wide_bar} {pos}/{len} slices, {eta} left");
    ProgressBar::new(slices as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn write(options: &Options, results: &Results) -> Result<(), Box<dyn Error>> {
    let directory = &options.results;
    std::fs::create_dir_all(directory)?;
    let table = table::markdown(results, options.service);
    println!("{table}");
    let is_drawn = options.service == Service::Echo && results.peers.len() > 1;
    let picture = is_drawn.then(|| ("svg", plot::svg(results)));
    for (kind, text) in [("md", table), ("json", results.json().to_string())].into_iter().chain(picture) {
        std::fs::write(directory.join(options.name).with_extension(kind), text)?;
    }
    println!("written to {}", directory.display());
    Ok(())
}
