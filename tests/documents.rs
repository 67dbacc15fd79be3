//! What the documents say of the code is so: defaults and fixed values in `LIMITS.md`, names of tests there and in
//! `SECURITY.md`, and that neither forgets anything.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gnezdo::http::HeadLimits;
use gnezdo::net::StreamOptions;
use gnezdo::{Config, Limits, ListenOptions, Settings, Timeouts, TopicLimits, WebSocketConfig};

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the tables under a heading whose first cell is code or a rule, cell by cell.
fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let section = text.split_once(heading).unwrap_or_else(|| panic!("no {heading:?}")).1;
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `") || line.starts_with("| R"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// What stands between backquotes.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// As the documents write a number.
fn number(count: impl Display) -> String {
    let digits = count.to_string();
    let separated = digits.char_indices().flat_map(|(at, digit)| {
        let comma = at > 0 && (digits.len() - at).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    });
    separated.collect()
}

fn span(span: Duration) -> String {
    match (span.as_secs(), span.subsec_millis()) {
        (seconds, 0) => format!("{seconds} s"),
        _ => format!("{} ms", span.as_millis()),
    }
}

fn or_none<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or("none".to_owned(), show)
}

/// Every field of a configuration that bounds something. One that is added does not compile until it stands here.
fn defaults() -> BTreeMap<String, String> {
    let Config {
        websocket,
        timeouts,
        settings,
        topics,
        max_opening,
        max_posts,
        post_budget,
        message_budget,
        message_pool,
        max_partial,
        inflate_budget,
    } = Config::default();
    let TopicLimits { topics, per_connection, name } = topics;
    let mut all = Vec::from([
        ("topics.topics", number(topics)),
        ("topics.per_connection", number(per_connection)),
        ("topics.name", number(name)),
        ("max_opening", or_none(max_opening, number)),
        ("max_posts", number(max_posts)),
        ("post_budget", number(post_budget)),
        ("message_budget", number(message_budget)),
        ("message_pool", number(message_pool)),
        ("max_partial", number(max_partial)),
        ("inflate_budget", number(inflate_budget)),
    ]);
    all.extend(websocket_defaults(websocket));
    all.extend(timeout_defaults(&timeouts));
    all.extend(settings_defaults(&settings));
    all.extend(listen_defaults());
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

type Default = (&'static str, String);

fn websocket_defaults(config: WebSocketConfig) -> [Default; 8] {
    let WebSocketConfig { head, limits, deflate, origin: _, absent_origin: _ } = config;
    let HeadLimits { max_bytes, max_headers } = head;
    let Limits { max_frame, max_message, max_fragments, max_empty_fragments, pings_per_second, lengths: _ } =
        limits;
    [
        ("websocket.head.max_bytes", number(max_bytes)),
        ("websocket.head.max_headers", number(max_headers)),
        ("websocket.limits.max_frame", number(max_frame)),
        ("websocket.limits.max_message", number(max_message)),
        ("websocket.limits.max_fragments", number(max_fragments)),
        ("websocket.limits.max_empty_fragments", number(max_empty_fragments)),
        ("websocket.limits.pings_per_second", number(pings_per_second)),
        ("websocket.deflate", or_none(deflate, |deflate| format!("{deflate:?}"))),
    ]
}

fn timeout_defaults(timeouts: &Timeouts) -> [Default; 6] {
    let Timeouts { opening, connect, ping, idle, close, lifetime } = timeouts.clone();
    [
        ("timeouts.opening", span(opening)),
        ("timeouts.connect", span(connect)),
        ("timeouts.ping", or_none(ping, span)),
        ("timeouts.idle", or_none(idle, span)),
        ("timeouts.close", span(close)),
        ("timeouts.lifetime", or_none(lifetime, span)),
    ]
}

fn settings_defaults(settings: &Settings) -> [Default; 17] {
    let Settings {
        max_connections,
        accept_budget,
        receive_budget,
        landing_budget,
        handshake_budget,
        timer_budget,
        max_queue,
        max_queued,
        high_water,
        low_water,
        queue_pool,
        stall_timeout,
        linger_timeout,
        linger_bytes,
        accept_retry,
        busy_poll,
        slow_turn,
    } = settings.clone();
    [
        ("settings.max_connections", number(max_connections)),
        ("settings.accept_budget", number(accept_budget)),
        ("settings.receive_budget", number(receive_budget)),
        ("settings.landing_budget", number(landing_budget)),
        ("settings.handshake_budget", number(handshake_budget)),
        ("settings.timer_budget", number(timer_budget)),
        ("settings.max_queue", number(max_queue)),
        ("settings.max_queued", number(max_queued)),
        ("settings.high_water", number(high_water)),
        ("settings.low_water", number(low_water)),
        ("settings.queue_pool", number(queue_pool)),
        ("settings.stall_timeout", span(stall_timeout)),
        ("settings.linger_timeout", span(linger_timeout)),
        ("settings.linger_bytes", number(linger_bytes)),
        ("settings.accept_retry", span(accept_retry)),
        ("settings.busy_poll", span(busy_poll)),
        ("settings.slow_turn", or_none(slow_turn, span)),
    ]
}

fn listen_defaults() -> [Default; 5] {
    let ListenOptions { backlog, stream, reuse_address: _, reuse_port: _, only_v6: _, unix_mode: _ } =
        ListenOptions::default();
    let StreamOptions { receive_buffer, send_buffer, user_timeout, busy_poll, nodelay: _, keepalive: _ } =
        stream;
    [
        ("listen.backlog", number(backlog)),
        ("listen.stream.receive_buffer", or_none(receive_buffer, number)),
        ("listen.stream.send_buffer", or_none(send_buffer, number)),
        ("listen.stream.user_timeout", or_none(user_timeout, span)),
        ("listen.stream.busy_poll", or_none(busy_poll, span)),
    ]
}

#[test]
fn the_defaults_of_limits_md_are_those_of_the_configuration() {
    let rows = rows(&read("LIMITS.md"), "\n## Of a configuration\n");
    let written: BTreeMap<String, String> =
        rows.iter().map(|row| (row[0].trim_matches('`').to_owned(), row[2].clone())).collect();
    assert_eq!(rows.len(), written.len(), "a name stands twice");
    assert_eq!(written, defaults());
}

/// The value of a constant as it stands in a source: a product, a shift, a span.
fn value_of(source: &str, name: &str) -> String {
    let definition = source.split_once(&format!("const {name}: ")).unwrap_or_else(|| panic!("no {name}")).1;
    let value = definition.split_once(" = ").unwrap().1.split_once(';').unwrap().0;
    match value.strip_prefix("Duration::from_millis(") {
        Some(span) => format!("{} ms", span.trim_end_matches(')')),
        None => number(evaluated(value)),
    }
}

fn evaluated(value: &str) -> u64 {
    let number = |digits: &str| digits.trim().replace('_', "").parse::<u64>().unwrap();
    match value.split_once(" << ") {
        Some((mantissa, exponent)) => number(mantissa) << number(exponent),
        None => value.split(" * ").map(number).product(),
    }
}

#[test]
fn the_fixed_values_of_limits_md_are_those_of_the_source() {
    let rows = rows(&read("LIMITS.md"), "\n## Fixed\n");
    assert!(rows.len() > 20);
    for row in rows {
        let (name, file) = (row[0].trim_matches('`'), row[1].trim_matches('`'));
        assert_eq!(value_of(&read(file), name), row[2], "{name} in {file}");
    }
}

/// `file::name`, where the file is one of `tests/`, a folder of it, or a source with its tests inside.
fn assert_is_a_test(reference: &str) {
    let (file, name) = reference.split_once("::").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("tests").join(file);
    let files: Vec<PathBuf> = match std::fs::read_dir(&folder) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        Err(_) if file.starts_with("src/") => vec![root.join(file)],
        Err(_) => vec![folder.with_extension("rs")],
    };
    let is_there = files.iter().any(|file| read(file).contains(&format!("fn {name}(")));
    assert!(is_there, "there is no test {reference}");
}

#[test]
fn every_test_that_a_document_names_is_there() {
    for document in ["LIMITS.md", "SECURITY.md"] {
        let text = read(document);
        let references: Vec<&str> =
            code(&text).filter(|code| code.contains("::") && !code.contains(['(', ' '])).collect();
        let references =
            references.iter().filter(|code| !code.starts_with(|first: char| first.is_uppercase()));
        assert!(references.clone().count() > 30, "{document} names tests");
        references.for_each(|reference| assert_is_a_test(reference));
    }
}

#[test]
fn every_limit_is_shown_by_a_test() {
    let (text, tests) = (read("LIMITS.md"), read("tests/limits.rs"));
    for heading in ["\n## Of a configuration\n", "\n## Fixed\n"] {
        for row in rows(&text, heading) {
            let (name, shown) = (row[0].trim_matches('`'), &row[6]);
            assert!(code(shown).count() > 0, "nothing shows {name}");
            if shown.contains("limits::every_") {
                let stands = ["\"", "::"].iter().any(|before| tests.contains(&format!("{before}{name}\"")));
                assert!(stands, "tests/limits.rs does not come up against {name}");
            }
        }
    }
}

#[test]
fn every_rule_is_answered() {
    let rows = rows(&read("SECURITY.md"), "\n## The rules\n");
    let numbers: Vec<String> = rows.iter().map(|row| row[0].clone()).collect();
    let expected: Vec<String> = (1..=54).map(|rule| format!("R{rule}")).collect();
    assert_eq!(numbers, expected);
    for row in rows {
        assert!(code(&row[3]).count() > 0 || row[3] == "not offered", "{} is shown by nothing", row[0]);
    }
}
