//! What hostile clients do, each kind in a file of its own: against the release build of the `echo` example as a
//! process, or against any server, judged by the wire and by `/proc` alone.
//!
//! ```text
//! cargo test --release --test attacks                                  # all, one at a time
//! cargo test --release --test attacks -- --list
//! cargo test --release --test attacks -- ping_flood echo_flood         # these
//! cargo test --release --test attacks -- --target 127.0.0.1:9001 [--pid PID]
//! cargo test --release --test attacks -- --zoo 10                      # all at once in 64 MiB, for ten minutes
//! cargo test --release --test attacks -- --soak 30                     # connections that come and go, for thirty
//! ```
//!
//! Each attack names the rules it tries. Beside each a healthy client is served all the time; afterwards descriptors
//! and memory have to be back, and the processor idle. A debug build fights the quick ones alone, without
//! `--include-ignored`. Against a server of somebody else only the wire is judged, and more where its process is named.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a harness of tests fails the test")]

mod kit;
#[path = "../support/mod.rs"]
mod support;

mod announced_hoard;
mod bad_behind_good;
mod bad_upgrades;
mod bytes_after_upgrade;
mod close_and_hang;
mod close_codes;
mod close_reasons;
mod close_then_flood;
mod control_abuse;
mod data_after_close;
mod dead_readers;
mod descriptor_famine;
mod dripped_head;
mod echo_flood;
mod empty_fragments;
mod endless_header;
mod extension_abuse;
mod extension_flood;
mod flooders;
mod fragment_gaps;
mod full_house;
mod garbage_frames;
mod garbage_heads;
mod half_close;
mod header_counts;
mod header_injection;
mod huge_lengths;
mod inflate_blocks;
mod inflate_garbage;
mod inflate_zeros;
mod killed_peers;
mod log_flood;
mod long_lengths;
mod many_headers;
mod memory_box;
mod one_byte_fragments;
mod one_byte_segments;
mod opening_crowd;
mod origin_abuse;
mod ping_flood;
mod pipelined_refusal;
mod pong_flood;
mod reconnect_storm;
mod request_never_read;
mod reset_churn;
mod reset_mid_message;
mod silent_connect;
mod slot_reuse;
mod slow_drip;
mod slow_reader;
mod smuggling;
mod stopped_server;
mod tiny_buffers;
mod unix_hangups;
mod unmasked;
mod utf8_mutations;
mod vanish_churn;
mod window_hoard;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use kit::{Attack, Control, Field, Ground, Selection, Table, fight, say};
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

/// In the order in which a connection lives: its head, its frames, its end; then the whole server.
const ATTACKS: &[Attack] = &[
    endless_header::ATTACK,
    dripped_head::ATTACK,
    slow_drip::ATTACK,
    silent_connect::ATTACK,
    many_headers::ATTACK,
    header_counts::ATTACK,
    extension_abuse::ATTACK,
    extension_flood::ATTACK,
    smuggling::ATTACK,
    pipelined_refusal::ATTACK,
    bad_upgrades::ATTACK,
    origin_abuse::ATTACK,
    header_injection::ATTACK,
    request_never_read::ATTACK,
    garbage_heads::ATTACK,
    opening_crowd::ATTACK,
    full_house::ATTACK,
    log_flood::ATTACK,
    bytes_after_upgrade::ATTACK,
    huge_lengths::ATTACK,
    long_lengths::ATTACK,
    one_byte_fragments::ATTACK,
    empty_fragments::ATTACK,
    fragment_gaps::ATTACK,
    ping_flood::ATTACK,
    pong_flood::ATTACK,
    echo_flood::ATTACK,
    slow_reader::ATTACK,
    dead_readers::ATTACK,
    inflate_zeros::ATTACK,
    inflate_blocks::ATTACK,
    inflate_garbage::ATTACK,
    window_hoard::ATTACK,
    utf8_mutations::ATTACK,
    close_codes::ATTACK,
    close_reasons::ATTACK,
    control_abuse::ATTACK,
    unmasked::ATTACK,
    bad_behind_good::ATTACK,
    garbage_frames::ATTACK,
    announced_hoard::ATTACK,
    data_after_close::ATTACK,
    close_then_flood::ATTACK,
    close_and_hang::ATTACK,
    one_byte_segments::ATTACK,
    tiny_buffers::ATTACK,
    vanish_churn::ATTACK,
    reset_churn::ATTACK,
    reset_mid_message::ATTACK,
    half_close::ATTACK,
    unix_hangups::ATTACK,
    stopped_server::ATTACK,
    descriptor_famine::ATTACK,
    killed_peers::ATTACK,
    slot_reuse::ATTACK,
    flooders::ATTACK,
    reconnect_storm::ATTACK,
    memory_box::ATTACK,
];

fn main() -> ExitCode {
    if kit::serve_in_regiment() {
        return ExitCode::SUCCESS;
    }
    // What the panic of an attack said is part of its verdict.
    std::panic::set_hook(Box::new(|panic| {
        if std::thread::current().name() == Some("main") {
            say(&panic.to_string());
        }
    }));
    match kit::select(std::env::args(), ATTACKS) {
        Ok(Selection::Each { names, target, harness }) => fight_each(&names, target, harness).exit_code(),
        Ok(Selection::Zoo { minutes }) => outcome(kit::zoo::fight(ATTACKS, minutes)),
        Ok(Selection::Soak { minutes }) => outcome(kit::soak::soak(minutes)),
        Err(why) => {
            say(&format!("attacks: {why}"));
            ExitCode::from(2)
        }
    }
}

fn outcome(judged: Result<(), String>) -> ExitCode {
    let Err(why) = judged else { return ExitCode::SUCCESS };
    say(&format!("FAILED: {why}"));
    ExitCode::FAILURE
}

/// What all attacks of a run share.
#[derive(Default)]
struct Arena {
    table: Table,
    control: OnceLock<Control>,
}

/// One at a time, since each measures what it costs; then the table.
fn fight_each(names: &[String], target: Option<kit::Target>, harness: Vec<String>) -> Conclusion {
    let arena = Arc::new(Arena::default());
    let is_asked_for = |attack: &&Attack| names.is_empty() || names.iter().any(|name| name == attack.name);
    let trial = |attack: &'static Attack| {
        let arena = Arc::clone(&arena);
        let is_left_out = names.is_empty() && !is_fought(attack, target.is_some());
        Trial::test(attack.name, move || fight_one(attack, target, &arena)).with_ignored_flag(is_left_out)
    };
    let trials = ATTACKS.iter().filter(is_asked_for).map(trial).collect();
    let mut arguments = Arguments::from_iter(harness);
    arguments.test_threads = Some(1);
    let conclusion = libtest_mimic::run(&arguments, trials);
    arena.table.print();
    conclusion
}

/// A debug build is for a quick look; a server of somebody else can't be started anew.
fn is_fought(attack: &Attack, is_foreign: bool) -> bool {
    let is_possible = !is_foreign || !matches!(attack.ground, Ground::Own(_));
    is_possible && (attack.quick || !cfg!(debug_assertions))
}

fn fight_one(attack: &Attack, target: Option<kit::Target>, arena: &Arena) -> Result<(), Failed> {
    let wrapper = if let Ground::Own(wrapper) = attack.ground { wrapper } else { &[] };
    let (server, field) = if let Some(target) = target {
        (None, Field::foreign(target.addr, target.process))
    } else {
        let (server, field) = Field::start(wrapper, attack.options);
        (Some(server), field)
    };
    let row = fight(attack, &field, arena.control.get_or_init(Control::start));
    drop(server);
    arena.table.add(&row);
    if row.faults.is_empty() { Ok(()) } else { Err(Failed::from(row.faults.join("; "))) }
}
