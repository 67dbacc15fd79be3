//! Replays what the fuzzers have found: each input of `fuzz/corpus` and `fuzz/regressions` passes the check of its target.
#![expect(
    clippy::expect_used,
    clippy::mut_mut,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a check says what is wrong by panicking; the checks are a library elsewhere"
)]

#[path = "../fuzz/src/lib.rs"]
mod checks;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Runs the check of every target over its files; says how many, and which of them fail.
fn replay(folder: &str) -> (usize, Vec<PathBuf>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
    let (mut count, mut failed) = (0, Vec::new());
    for (target, check) in checks::TARGETS {
        for file in files(&root.join(target)) {
            let bytes = fs::read(&file).unwrap();
            count += 1;
            if catch_unwind(AssertUnwindSafe(|| check(&bytes))).is_err() {
                failed.push(file);
            }
        }
    }
    (count, failed)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    files
}

#[test]
fn every_input_of_the_corpus_passes() {
    let (count, failed) = replay("corpus");
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(count >= 50 * checks::TARGETS.len(), "only {count} inputs were found");
}

#[test]
fn every_input_that_once_failed_passes() {
    let (_, failed) = replay("regressions");
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_folder_belongs_to_a_target() {
    for folder in ["corpus", "regressions"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
        for entry in fs::read_dir(&root).into_iter().flatten() {
            let name = entry.unwrap().file_name();
            let is_known = checks::TARGETS.iter().any(|(target, _)| name == **target);
            // Without the feature there is nobody to check them.
            assert!(is_known || name == "world" && cfg!(not(feature = "sim")), "{folder}/{name:?}");
        }
    }
}

#[test]
fn every_target_stands_no_bytes_and_short_ones() {
    for (_, check) in checks::TARGETS {
        for length in 0..20 {
            for byte in [0, 1, 2, 0x7F, 0x80, 0xFF] {
                check(&vec![byte; length]);
            }
        }
    }
}
