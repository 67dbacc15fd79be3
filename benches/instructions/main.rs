//! Instructions per message, counted by callgrind: the one figure of speed that a busy machine cannot move.
//!
//! Each scenario runs twice, with some rounds and with twice as many; the difference is the rounds alone. The program
//! calls itself under valgrind for that. See `run` beside this file.

mod baseline;
mod kernel;
mod layers;
mod scenarios;
#[path = "../support/mod.rs"]
mod support;

use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use baseline::{Baseline, Verdict};
use lexopt::ValueExt;
use scenarios::{SCENARIOS, Scenario};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let (mut act, mut word, mut round) = (Act::Judge, String::new(), None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("bless") => act = Act::Bless,
            lexopt::Arg::Long("layers") => act = Act::Layers,
            // What `cargo bench` adds.
            lexopt::Arg::Long("bench") => {}
            lexopt::Arg::Long("rounds") => round = Some(parser.value()?.string()?.parse()?),
            lexopt::Arg::Value(value) => word = value.string()?,
            other => return Err(other.unexpected().into()),
        }
    }
    match round {
        Some(rounds) => scenario(&word)?.run(rounds).map(|()| ExitCode::SUCCESS),
        None if act == Act::Layers => by_layer(&word),
        None => measure(&word, act),
    }
}

/// What to do with the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Judge,
    Bless,
    Layers,
}

fn scenario(name: &str) -> Result<&'static Scenario, String> {
    SCENARIOS.iter().find(|scenario| scenario.name == name).ok_or_else(|| format!("there is no {name:?}"))
}

fn measure(word: &str, act: Act) -> Result<ExitCode, Box<dyn Error>> {
    let mut baseline = Baseline::load()?;
    let mut worse = 0;
    println!("{:32}{:>14}{:>14}", "instructions per message", "now", "baseline");
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(word)) {
        let now = per_message(scenario)?;
        let verdict = baseline.judge(scenario.name, now);
        println!("{:32}{now:>14.1}  {verdict}", scenario.name);
        worse += u32::from(matches!(verdict, Verdict::Worse { .. }));
        baseline.set(scenario.name, now);
    }
    if act == Act::Bless {
        baseline.store()?;
        return Ok(ExitCode::SUCCESS);
    }
    if worse > 0 {
        println!(
            "{worse} cost more than the baseline allows; where that is meant: benches/instructions/run --bless"
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn per_message(scenario: &Scenario) -> Result<f64, Box<dyn Error>> {
    let (less, more) = (count(scenario, 1)?, count(scenario, 2)?);
    Ok((more - less) / scenario.messages_of_a_run())
}

/// Says where the instructions of a message are spent.
fn by_layer(word: &str) -> Result<ExitCode, Box<dyn Error>> {
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(word)) {
        let (less, more) = (profile(scenario, 1)?, profile(scenario, 2)?);
        println!("\n{}", scenario.name);
        for (layer, more) in more {
            let less = less.get(layer).copied().unwrap_or_default();
            println!("{layer:42}{:>12.1}", (more - less) / scenario.messages_of_a_run());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Instructions of a whole run of this program, so many times as long as usual.
fn count(scenario: &Scenario, times: u32) -> Result<f64, Box<dyn Error>> {
    let said = callgrind(scenario, times, "/dev/null".as_ref())?;
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let (_, count) = collected.ok_or_else(|| format!("callgrind counted nothing: {said}"))?;
    Ok(count.trim().parse()?)
}

fn profile(scenario: &Scenario, times: u32) -> Result<layers::Layers, Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("gnezdo-callgrind-{}", std::process::id()));
    callgrind(scenario, times, &path)?;
    let text = std::fs::read_to_string(&path)?;
    std::fs::remove_file(&path)?;
    Ok(layers::read(&text))
}

/// Runs this program under callgrind; answers what that says.
fn callgrind(scenario: &Scenario, times: u32, out: &Path) -> Result<String, Box<dyn Error>> {
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    valgrind.arg(std::env::current_exe()?).arg(scenario.name);
    valgrind.args(["--rounds", &(scenario.rounds * times).to_string()]);
    let output = valgrind.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("{}: {said}", scenario.name).into()) }
}
