//! Where the instructions of a message are spent: callgrind's profile, summed up by the folder of the source.
//!
//! What the standard library and other crates do, inlined as it is, counts where it was called from.

use std::collections::{BTreeMap, HashMap};

/// Instructions by layer.
pub(crate) type Layers = BTreeMap<&'static str, f64>;

/// Reads a profile in callgrind's format (`fl=`, `fi=`, `fe=` name files, lines of numbers are costs).
pub(crate) fn read(profile: &str) -> Layers {
    let mut reader = Reader::default();
    profile.lines().for_each(|line| reader.line(line));
    reader.layers
}

#[derive(Default)]
struct Reader<'p> {
    /// Each name is spelt out once, and then called by its number.
    names: HashMap<&'p str, &'p str>,
    layer: &'static str,
    /// The next line of numbers is what a call has cost, which is counted inside it.
    is_call: bool,
    layers: Layers,
}

impl<'p> Reader<'p> {
    fn line(&mut self, line: &'p str) {
        if let Some((kind @ ("fl" | "fi" | "fe" | "cfi" | "cfl"), name)) = line.split_once('=') {
            let file = self.name(name);
            match (kind, layer(file)) {
                ("cfi" | "cfl", _) => {}
                (_, Some(layer)) => self.layer = layer,
                ("fl", None) => self.layer = OTHER,
                (_, None) => {}
            }
        } else if line.starts_with("calls=") {
            self.is_call = true;
        } else if line.starts_with(['+', '-', '*']) || line.starts_with(|first: char| first.is_ascii_digit())
        {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<f64>().ok());
            if !std::mem::take(&mut self.is_call) {
                *self.layers.entry(self.layer).or_default() += cost.unwrap_or_default();
            }
        }
    }

    fn name(&mut self, text: &'p str) -> &'p str {
        let Some((number, name)) = text.split_once(' ') else {
            return self.names.get(text).copied().unwrap_or_default();
        };
        self.names.insert(number, name);
        name
    }
}

/// The layer of a source file of this package.
fn layer(file: &str) -> Option<&'static str> {
    let path = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).or_else(|| relative(file))?;
    let found = LAYERS.iter().find(|(folder, _)| path.trim_start_matches('/').starts_with(folder));
    found.map(|(_, layer)| *layer)
}

/// Rust names the files of the package that is built by their path from its root.
fn relative(file: &str) -> Option<&str> {
    (!file.starts_with(['/', '.', '?'])).then_some(file)
}

const LAYERS: [(&str, &str); 8] = [
    ("src/ws/", "ws: parse, unmask, check, make the head"),
    ("src/http/", "http"),
    ("src/face/", "face: session, handler, send"),
    ("src/reactor/", "reactor: turn, visit, stage, flush"),
    ("src/net/", "net"),
    ("src/slab.rs", "slab and pools"),
    ("src/buf/", "slab and pools"),
    ("benches/", "the system in memory, and the handler"),
];
const OTHER: &str = "other crates, memcpy, start-up";
