//! Tests alone: offers of permessage-deflate and what is answered.

use super::*;
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// With nothing of our own to add to what was offered.
const PLAIN: DeflateConfig = DeflateConfig {
    server_max_window_bits: 15,
    client_max_window_bits: 15,
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    level: 6,
    threshold: 0,
};

fn answer_with(config: &DeflateConfig, offers: &str) -> Option<String> {
    let params = negotiate([offers.as_bytes()], config)?;
    assert!(first_offer([offers.as_bytes()]).is_some_and(|offer| offer.allows(params)), "{offers}");
    let mut out = Vec::new();
    params.encode(&mut out);
    String::from_utf8(out).ok()
}

fn answer(offers: &str) -> Option<String> {
    let parameters = answer_with(&PLAIN, offers)?;
    parameters.strip_prefix("permessage-deflate").map(str::to_owned)
}

#[test]
fn a_plain_offer_gets_a_plain_answer() {
    assert_eq!(answer("permessage-deflate").as_deref(), Some(""));
    assert_eq!(answer("\t permessage-deflate ,").as_deref(), Some(""));
    assert_eq!(answer("permessage-deflate; client_max_window_bits").as_deref(), Some(""));
}

#[test]
fn what_a_client_asks_of_the_server_is_answered() {
    for (offer, expected) in [
        ("server_no_context_takeover", "; server_no_context_takeover"),
        ("client_no_context_takeover", "; client_no_context_takeover"),
        ("server_max_window_bits=10", "; server_max_window_bits=10"),
        ("server_max_window_bits=15", "; server_max_window_bits=15"),
        ("server_max_window_bits = \"9\"", "; server_max_window_bits=9"),
        ("server_max_window_bits=\"1\\5\"", "; server_max_window_bits=15"),
        ("client_max_window_bits=8", "; client_max_window_bits=8"),
        ("client_max_window_bits=\"12\"", "; client_max_window_bits=12"),
        ("client_max_window_bits=15", ""),
    ] {
        assert_eq!(answer(&format!("permessage-deflate; {offer}")).as_deref(), Some(expected), "{offer}");
    }
}

#[test]
fn the_configuration_lowers_windows_and_never_raises_them() {
    let config = DeflateConfig { server_max_window_bits: 11, client_max_window_bits: 10, ..PLAIN };
    for (offer, expected) in [
        ("permessage-deflate", "permessage-deflate; server_max_window_bits=11"),
        (
            "permessage-deflate; client_max_window_bits; server_max_window_bits=15",
            "permessage-deflate; server_max_window_bits=11; client_max_window_bits=10",
        ),
        (
            "permessage-deflate; client_max_window_bits=9; server_max_window_bits=9",
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
        ),
    ] {
        assert_eq!(answer_with(&config, offer).as_deref(), Some(expected));
    }
}

#[test]
fn by_default_neither_side_keeps_a_window() {
    let expected = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let config = DeflateConfig::default();
    assert_eq!(answer_with(&config, "permessage-deflate").as_deref(), Some(expected));
}

#[test]
fn r3_an_offer_with_a_wrong_parameter_is_declined_and_the_next_one_taken() {
    for parameters in [
        "; server_max_window_bits",
        "; server_max_window_bits=0",
        "; server_max_window_bits=7",
        "; server_max_window_bits=8",
        "; server_max_window_bits=16",
        "; server_max_window_bits=08",
        "; server_max_window_bits=015",
        "; server_max_window_bits=\"\"",
        "; server_max_window_bits=10a",
        "; server_max_window_bits=100",
        "; client_max_window_bits=7",
        "; client_max_window_bits=16",
        "; client_max_window_bits=08",
        "; client_max_window_bits=\"\\\\\"",
        "; client_max_window_bits=10; client_max_window_bits=10",
        "; client_max_window_bits; client_max_window_bits",
        "; server_max_window_bits=10; server_max_window_bits=10",
        "; server_no_context_takeover; server_no_context_takeover",
        "; server_no_context_takeover=true",
        "; client_no_context_takeover=\"\"",
        "; client_no_context_takeover; client_no_context_takeover",
        "; constructor",
        "; __proto__",
        "; toString=1",
        "; SERVER_NO_CONTEXT_TAKEOVER",
    ] {
        let offers = format!("permessage-deflate{parameters}");
        assert_eq!(answer(&offers), None, "{offers}");
        assert_eq!(answer(&format!("{offers}, permessage-deflate")).as_deref(), Some(""), "{offers}");
    }
}

#[test]
fn other_extensions_are_passed_over() {
    let offers = "x-webkit-deflate-frame; a; b=\"c,;d\", permessage-bzip2,permessage-deflate";
    assert_eq!(answer(offers).as_deref(), Some(""));
    assert_eq!(answer("Permessage-Deflate, permessage-deflat"), None);
}

#[test]
fn a_malformed_header_agrees_on_nothing() {
    for rest in [
        "; ",
        ";;a",
        "; a=",
        "; a=\"",
        "; a=\"b",
        "; a=\"b\"c",
        "; a=b c",
        "; a b",
        " b",
        "; =b",
        "/",
        "; a=\"\\\"",
        ", ;",
        ", \"a\"",
        ", a=b",
        "; é",
    ] {
        assert_eq!(answer(&format!("permessage-deflate{rest}")), None, "{rest}");
    }
    for none in ["", " ", ",", ", ,"] {
        assert_eq!(answer(none), None, "{none:?}");
    }
}

#[test]
fn all_lines_are_one_list() {
    let lines = [&b"x-a"[..], b"permessage-deflate; server_max_window_bits=10", b"permessage-deflate"];
    assert_eq!(negotiate(lines, &PLAIN).map(|params| params.server_max_window_bits), Some(10));
    assert_eq!(negotiate([&b"permessage-deflate"[..], b"x-a;"], &PLAIN), None);
}

#[test]
fn parameters_that_do_not_answer_an_offer_are_told_apart() {
    let params = |change: fn(&mut DeflateParams)| {
        let mut params = DeflateParams::default();
        change(&mut params);
        params
    };
    for (offer, params, allowed) in [
        ("", params(|_| ()), true),
        ("", params(|params| params.client_max_window_bits = 10), false),
        ("; client_max_window_bits", params(|params| params.client_max_window_bits = 10), true),
        ("; client_max_window_bits", params(|params| params.client_max_window_bits = 7), false),
        ("", params(|params| params.server_max_window_bits = 8), false),
        ("", params(|params| params.server_max_window_bits = 10), true),
        ("; server_max_window_bits=10", params(|params| params.server_max_window_bits = 10), false),
        ("; server_no_context_takeover", params(|_| ()), false),
        ("; server_no_context_takeover", params(|params| params.server_no_context_takeover = true), true),
        ("", params(|params| params.client_no_context_takeover = true), true),
    ] {
        let value = format!("permessage-deflate{offer}");
        let offered = first_offer([value.as_bytes()]).expect("an acceptable offer");
        assert_eq!(offered.allows(params), allowed, "{offer} {params:?}");
    }
}

#[test]
fn r3_offers_and_parameters_have_bounds() {
    for (others, taken) in [(14, true), (15, true), (16, false), (1999, false)] {
        let offers = format!("{}permessage-deflate", "x, ".repeat(others));
        assert_eq!(answer(&offers).is_some(), taken, "{others} others");
    }
    let offers = format!("permessage-deflate{}, permessage-deflate", "; a".repeat(4000));
    assert_eq!(answer(&offers).as_deref(), Some(""));
}

#[test]
fn r3_hostile_headers_are_answered_at_once() {
    let size = 14 * 1024;
    for (head, filler, tail) in [
        ("permessage-deflate; client_max_window_bits=\"", "\\", ""),
        ("permessage-deflate; client_max_window_bits=\"", "\\", "\""),
        ("permessage-deflate; client_max_window_bits=\"", "\\\"", "\""),
        ("permessage-deflate", "; constructor", ""),
        ("permessage-deflate", "; __proto__=1", ""),
        ("permessage-deflate; client_max_window_bits=", "1", ""),
        ("permessage-deflate", ", permessage-deflate", ""),
        ("permessage-deflate", " ", "x"),
        ("permessage-deflate", ",", ""),
        ("", "a;", ""),
        ("", ",", ""),
    ] {
        let value = format!("{head}{}{tail}", filler.repeat(size / filler.len()));
        // The best of some, for the sake of machines that do something else meanwhile.
        let time_one = |_| {
            let start = Instant::now();
            let _ = answer(&value);
            start.elapsed()
        };
        let best = (0..10).map(time_one).min();
        assert!(best < Some(Duration::from_millis(20)), "{head}{filler}: {best:?}");
    }
}

#[test]
fn a_configuration_out_of_range_agrees_on_nothing() {
    for (config, error) in [
        (DeflateConfig { server_max_window_bits: 8, ..PLAIN }, DeflateConfigError::ServerMaxWindowBits(8)),
        (DeflateConfig { server_max_window_bits: 16, ..PLAIN }, DeflateConfigError::ServerMaxWindowBits(16)),
        (DeflateConfig { client_max_window_bits: 7, ..PLAIN }, DeflateConfigError::ClientMaxWindowBits(7)),
        (DeflateConfig { level: 0, ..PLAIN }, DeflateConfigError::Level(0)),
        (DeflateConfig { level: 10, ..PLAIN }, DeflateConfigError::Level(10)),
    ] {
        assert_eq!(config.validate(), Err(error));
        assert_eq!(negotiate([&b"permessage-deflate"[..]], &config), None);
    }
    assert_eq!(DeflateConfig::default().validate(), Ok(()));
}

proptest! {
    #[test]
    fn whatever_is_agreed_on_is_a_legal_answer(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("permessage-deflate"), Just("; "), Just(","), Just("="), Just("\""), Just("\\"), Just("8"),
                Just("15"), Just("server_max_window_bits"), Just("client_max_window_bits"), Just("=10"),
                Just("server_no_context_takeover"), Just("client_no_context_takeover"), Just("é"),
            ],
            0..16,
        ),
        server_max_window_bits in 9_u8..=15,
        client_max_window_bits in 8_u8..=15,
    ) {
        let config = DeflateConfig { server_max_window_bits, client_max_window_bits, ..DeflateConfig::default() };
        let value = pieces.concat();
        if let Some(params) = negotiate([value.as_bytes()], &config) {
            prop_assert!(first_offer([value.as_bytes()]).is_some_and(|offer| offer.allows(params)));
            prop_assert!(params.server_max_window_bits <= server_max_window_bits);
        }
    }
}
