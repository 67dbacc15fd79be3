//! What the last blessed run counted. Counts of another compiler, or on a processor with other instructions, say nothing
//! about this code: then nothing is judged.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::process::Command;

use serde_json::{Value, json};

/// Instructions per message, and what made the program.
#[derive(Debug)]
pub(crate) struct Baseline {
    made_by: String,
    /// What made the program that is measured now.
    here: String,
    counts: BTreeMap<String, f64>,
}

/// How a count compares.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    /// There is nothing to compare with.
    Unknown,
    /// The baseline was made by another compiler.
    Foreign {
        before: f64,
    },
    Same {
        before: f64,
    },
    Better {
        before: f64,
        by: f64,
    },
    Worse {
        before: f64,
        by: f64,
    },
}

impl Baseline {
    pub(crate) fn load() -> Result<Self, Box<dyn Error>> {
        let stored: Value = match std::fs::read_to_string(PATH) {
            Ok(text) => serde_json::from_str(&text)?,
            Err(_) => Value::Null,
        };
        let counts = stored["instructions"].as_object().into_iter().flatten();
        let counts = counts.filter_map(|(name, count)| Some((name.clone(), count.as_f64()?))).collect();
        let made_by = stored["made_by"].as_str().unwrap_or_default().to_owned();
        Ok(Self { made_by, here: here()?, counts })
    }

    pub(crate) fn judge(&self, name: &str, now: f64) -> Verdict {
        let Some(&before) = self.counts.get(name) else { return Verdict::Unknown };
        let by = now / before - 1.0;
        match by {
            _ if self.made_by != self.here => Verdict::Foreign { before },
            _ if by > TOLERANCE && now - before > LEAST => Verdict::Worse { before, by },
            _ if by < -TOLERANCE => Verdict::Better { before, by },
            _ => Verdict::Same { before },
        }
    }

    pub(crate) fn set(&mut self, name: &str, now: f64) {
        self.counts.insert(name.to_owned(), (now * 10.0).round() / 10.0);
    }

    pub(crate) fn store(&self) -> Result<(), Box<dyn Error>> {
        let stored = json!({ "made_by": self.here, "instructions": self.counts });
        Ok(std::fs::write(PATH, serde_json::to_string_pretty(&stored)? + "\n")?)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => write!(f, "{:>12}", "–"),
            Self::Foreign { before } => {
                write!(f, "{before:>12.1}  not judged: another compiler or processor")
            }
            Self::Same { before } => write!(f, "{before:>12.1}"),
            Self::Better { before, by } => write!(f, "{before:>12.1}  better by {:.1} %", -by * 100.0),
            Self::Worse { before, by } => write!(f, "{before:>12.1}  WORSE by {:.1} %", by * 100.0),
        }
    }
}

/// The compiler, and the vector instructions that libraries pick at run time.
fn here() -> Result<String, Box<dyn Error>> {
    let output = Command::new("rustc").arg("--version").output()?;
    let compiler = String::from_utf8(output.stdout)?;
    #[cfg(target_arch = "x86_64")]
    let vectors = if std::is_x86_feature_detected!("avx2") { "with AVX2" } else { "without AVX2" };
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = std::env::consts::ARCH;
    Ok(format!("{}, {vectors}", compiler.trim()))
}

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions/baseline.json");
/// How much more a message may cost.
const TOLERANCE: f64 = 0.02;
/// And how many instructions at least: a tenth of one is not worth a word.
const LEAST: f64 = 0.5;
