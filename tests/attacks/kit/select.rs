//! The command line: which attacks, against whom, one by one or all at once. What it does not know is the harness's.

use std::net::SocketAddr;

use super::Attack;

/// What was asked for.
pub(crate) enum Selection {
    /// One at a time; the rest of the words are for the harness.
    Each { names: Vec<String>, target: Option<Target>, harness: Vec<String> },
    /// All at once for so many minutes, in a box of memory.
    Zoo { minutes: f64 },
    /// Connections that come and go for so many minutes.
    Soak { minutes: f64 },
}

/// A server that somebody else started.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) addr: SocketAddr,
    pub(crate) process: Option<u32>,
}

/// Reads the command line.
pub(crate) fn select(words: impl Iterator<Item = String>, attacks: &[Attack]) -> Result<Selection, String> {
    let (mut names, mut harness) = (Vec::new(), Vec::new());
    let (mut addr, mut process) = (None, None);
    let mut words = words.peekable();
    // The program's own name.
    harness.extend(words.next());
    while let Some(word) = words.next() {
        match word.as_str() {
            "--target" => addr = Some(value(&mut words, &word)?),
            "--pid" => process = Some(value(&mut words, &word)?),
            "--zoo" => return Ok(Selection::Zoo { minutes: value(&mut words, &word)? }),
            "--soak" => return Ok(Selection::Soak { minutes: value(&mut words, &word)? }),
            name if attacks.iter().any(|attack| attack.name == name) => names.push(word),
            _ => harness.push(word),
        }
    }
    if process.is_some() && addr.is_none() {
        return Err("--pid belongs to --target".to_owned());
    }
    Ok(Selection::Each { names, target: addr.map(|addr| Target { addr, process }), harness })
}

fn value<T: std::str::FromStr>(words: &mut impl Iterator<Item = String>, flag: &str) -> Result<T, String> {
    let word = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
    word.parse().map_err(|_| format!("{flag} can't be {word:?}"))
}
