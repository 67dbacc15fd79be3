//! The layers as a test: reads every file under `src/` and fails on a use of the crate, or a word, that the file's
//! layer must not know.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A layer, what of the crate it may use, and words that must not stand in its code.
struct Layer {
    name: &'static str,
    may_use: &'static [&'static str],
    never: &'static [&'static str],
}

/// Sockets, clocks, threads and printing: not for protocols.
const IMPURE: &[&str] = &[
    "mio::",
    "socket2::",
    "rustix::",
    "libc::",
    "std::net",
    "std::os",
    "Instant::now",
    "SystemTime",
    "thread::",
    "println!",
];

/// Lowest first. The order is the proof that there is no cycle: a layer may only use those before it.
const LAYERS: &[Layer] = &[
    Layer { name: "mutants", may_use: &[], never: IMPURE },
    Layer { name: "buf", may_use: &[], never: IMPURE },
    Layer { name: "slab", may_use: &["mutants"], never: IMPURE },
    Layer { name: "sync", may_use: &[], never: IMPURE },
    Layer { name: "time", may_use: &["slab"], never: IMPURE },
    Layer { name: "topics", may_use: &[], never: IMPURE },
    Layer { name: "stats", may_use: &[], never: IMPURE },
    Layer { name: "journal", may_use: &["time"], never: IMPURE },
    Layer { name: "http", may_use: &["buf"], never: IMPURE },
    Layer { name: "ws", may_use: &["mutants", "buf", "http"], never: IMPURE },
    Layer { name: "proxy", may_use: &[], never: IMPURE },
    Layer { name: "tls", may_use: &[], never: IMPURE },
    Layer { name: "tls_absent", may_use: &[], never: IMPURE },
    Layer { name: "net", may_use: &["buf", "time"], never: &["println!"] },
    Layer {
        name: "sim",
        may_use: &["slab", "time", "net"],
        never: &["mio::", "socket2::", "rustix::", "Instant::now", "SystemTime", "thread::", "println!"],
    },
    Layer {
        name: "reactor",
        may_use: &["mutants", "buf", "slab", "sync", "time", "stats", "journal", "proxy", "tls", "net"],
        never: &["mio::", "socket2::", "rustix::", "libc::", "rustls", "WebSocket", "println!"],
    },
    Layer {
        name: "face",
        may_use: &[
            "mutants", "buf", "slab", "sync", "time", "topics", "stats", "journal", "http", "ws", "proxy",
            "tls", "net", "reactor",
        ],
        never: &["mio::", "socket2::", "rustix::", "libc::", "rustls", "println!"],
    },
];

#[test]
fn every_layer_uses_only_what_lies_below_it() {
    let mut faults = Vec::new();
    for layer in LAYERS {
        let files = files_of(layer.name);
        assert!(!files.is_empty(), "the layer {} has no files", layer.name);
        for file in files.into_iter().filter(|file| !is_only_for_tests(file)) {
            let text = std::fs::read_to_string(&file).unwrap();
            faults.extend(
                faults_of(layer, &text).into_iter().map(|fault| format!("{}: {fault}", file.display())),
            );
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_file_belongs_to_a_layer() {
    let source = source();
    let mut known: BTreeSet<PathBuf> = LAYERS.iter().flat_map(|layer| files_of(layer.name)).collect();
    known.insert(source.join("lib.rs"));
    let all: BTreeSet<PathBuf> = rust_files(&source).into_iter().collect();
    assert_eq!(all.difference(&known).collect::<Vec<_>>(), Vec::<&PathBuf>::new());
}

#[test]
fn every_layer_uses_only_layers_before_it() {
    for (index, layer) in LAYERS.iter().enumerate() {
        for used in layer.may_use {
            let before = LAYERS[..index].iter().any(|earlier| earlier.name == *used);
            assert!(before, "{} may use {used}, which is not below it", layer.name);
        }
    }
}

#[test]
fn every_file_says_first_what_it_is() {
    for file in rust_files(&source()) {
        let text = std::fs::read_to_string(&file).unwrap();
        let says =
            text.starts_with("//! ") || text.starts_with("#![cfg_attr(feature = \"net\", doc = include_str!");
        assert!(says, "{} does not begin with its purpose", file.display());
    }
}

#[test]
fn a_forbidden_use_is_found() {
    let ws = LAYERS.iter().find(|layer| layer.name == "ws").unwrap();
    assert_eq!(faults_of(ws, "use crate::http::Request;\nuse super::mask;\n"), Vec::<String>::new());
    assert_eq!(faults_of(ws, "use crate::net::Addr;\n").len(), 1);
    assert_eq!(faults_of(ws, "fn f() { crate::reactor::g() }\n").len(), 1);
    assert_eq!(faults_of(ws, "let now = Instant::now();\n").len(), 1);
    assert_eq!(
        faults_of(ws, "/// Not like crate::net.\n#[cfg(test)]\nmod tests { use crate::net::Addr; }\n").len(),
        0
    );
    let reactor = LAYERS.iter().find(|layer| layer.name == "reactor").unwrap();
    assert_eq!(faults_of(reactor, "use crate::{net::Addr, ws::Protocol};\n").len(), 1);
}

/// What a file's code uses or says that its layer must not.
fn faults_of(layer: &Layer, text: &str) -> Vec<String> {
    let code = code_of(text);
    let used = used_modules(&code);
    let allowed = |module: &String| module == layer.name || layer.may_use.contains(&module.as_str());
    let edges = used.into_iter().filter(|module| is_layer(module) && !allowed(module));
    let edges = edges.map(|module| format!("{} uses {module}", layer.name));
    let words = layer.never.iter().filter(|word| code.contains(**word));
    edges.chain(words.map(|word| format!("{} says {word}", layer.name))).collect()
}

/// Every name that follows `crate::`, also inside a group.
fn used_modules(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (_, after) in code.match_indices("crate::").map(|(at, word)| (at, &code[at + word.len()..])) {
        match after.strip_prefix('{') {
            Some(group) => used.extend(group_heads(group)),
            None => used.extend(head(after)),
        }
    }
    used
}

/// The first name of each item of a `{…}` group, whose opening brace was taken.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut fresh) = (1, Vec::new(), true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => return heads,
            '}' => depth -= 1,
            ',' if depth == 1 => fresh = true,
            _ if fresh && character.is_alphabetic() => {
                heads.extend(head(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    heads
}

fn head(path: &str) -> Option<String> {
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    (end > 0).then(|| path[..end].to_owned())
}

/// The text without comments, and without the test module at its end.
fn code_of(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code = code.strip_prefix("#[cfg(test)]\nmod tests").map_or(code, |_| "");
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |code, line| code + line + "\n")
}

fn is_layer(module: &str) -> bool {
    LAYERS.iter().any(|layer| layer.name == module)
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Whether a file is declared under `#[cfg(test)]` by the module it belongs to.
fn is_only_for_tests(file: &Path) -> bool {
    let name = file.file_stem().unwrap().to_str().unwrap();
    let folder = file.parent().unwrap();
    let parents = [folder.join("mod.rs"), folder.with_extension("rs")];
    let declares = |parent: &PathBuf| {
        let text = std::fs::read_to_string(parent).unwrap_or_default();
        ["mod", "pub(crate) mod"].iter().any(|word| text.contains(&format!("#[cfg(test)]\n{word} {name};")))
    };
    parents.iter().any(declares)
}

fn files_of(layer: &str) -> Vec<PathBuf> {
    let (file, folder) = (source().join(format!("{layer}.rs")), source().join(layer));
    if file.is_file() { vec![file] } else { rust_files(&folder) }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
