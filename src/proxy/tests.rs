//! Headers as proxies write them, and as they must not: the verdict on each, however it is cut.

use proptest::prelude::*;

use super::*;

fn complete(bytes: &[u8]) -> (Relayed, usize) {
    match parse(bytes) {
        Ok(Parsed::Complete { header, length }) => (header.relayed, length),
        other => panic!("{other:?} of {:?}", bytes.escape_ascii().to_string()),
    }
}

fn tcp(source: &str, destination: &str) -> Relayed {
    Relayed::Tcp { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

/// A header of version 2 with these last bytes of its fixed part and this body.
fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, body].concat()
}

/// Addresses and ports for TCP over IPv4.
const INET: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x9C, 0x40, 0x01, 0xBB];

fn option(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

/// The verdict is the one of the whole wherever it is cut, and comes no later than with the last byte of the header.
fn assert_stands_however_it_is_cut(bytes: &[u8]) {
    let whole = parse(bytes);
    let mut verdict = None;
    for end in 0..=bytes.len() {
        match parse(&bytes[..end]) {
            Ok(Parsed::Partial) => assert_eq!(verdict, None, "cut at {end}"),
            found => {
                assert_eq!(found, whole, "cut at {end}");
                verdict = Some(end);
            }
        }
    }
    assert_eq!(verdict.is_some(), whole != Ok(Parsed::Partial));
}

#[test]
fn a_line_says_who_connected_to_whom() {
    let (relayed, length) = complete(b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\nrest");
    assert_eq!((relayed, length), (tcp("192.0.2.7:40000", "198.51.100.1:443"), 45));
    let (relayed, _) = complete(b"PROXY TCP6 2001:db8::7 ::1 0 65535\r\n");
    assert_eq!(relayed, tcp("[2001:db8::7]:0", "[::1]:65535"));
}

#[test]
fn the_longest_line_is_taken_and_one_byte_more_is_not() {
    let words = ["PROXY UNKNOWN", &"f".repeat(91)].join(" ");
    assert_eq!(complete(format!("{words}\r\n").as_bytes()), (Relayed::Unknown, 107));
    assert_eq!(parse(format!("{words}f\r\n").as_bytes()), Err(ProxyError::LineTooLong));
    assert_eq!(parse(format!("{words}f\r").as_bytes()), Err(ProxyError::LineTooLong));
    assert_eq!(parse(format!("{words}\r").as_bytes()), Ok(Parsed::Partial));
}

#[test]
fn of_an_unknown_line_the_rest_is_ignored() {
    for line in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN \r\n", b"PROXY UNKNOWN a \xFF 7\r\n"] {
        assert_eq!(complete(line), (Relayed::Unknown, line.len()));
    }
    assert_eq!(parse(b"PROXY UNKNOWNS\r\n"), Err(ProxyError::Fields));
}

#[test]
fn a_line_that_breaks_a_rule_is_refused_by_its_name() {
    for (line, error) in [
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n", ProxyError::BareLineFeed),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n", ProxyError::Fields),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n", ProxyError::Fields),
        ("PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n", ProxyError::Fields),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n", ProxyError::Fields),
        ("PROXY \r\n", ProxyError::Fields),
        ("PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n", ProxyError::Family),
        ("PROXY tcp4 192.0.2.7 198.51.100.1 1 2\r\n", ProxyError::Family),
        ("PROXY TCP4 ::1 198.51.100.1 1 2\r\n", ProxyError::Address),
        ("PROXY TCP6 192.0.2.7 ::1 1 2\r\n", ProxyError::Address),
        ("PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n", ProxyError::Address),
        ("PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n", ProxyError::Address),
        ("PROXY TCP6 [::1] ::1 1 2\r\n", ProxyError::Address),
        ("PROXY TCP6 fe80::1%1 ::1 1 2\r\n", ProxyError::Address),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n", ProxyError::Port),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 02\r\n", ProxyError::Port),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n", ProxyError::Port),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 \r\n", ProxyError::Port),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\r\n", ProxyError::Port),
    ] {
        assert_eq!(parse(line.as_bytes()), Err(error), "{line:?}");
        assert_stands_however_it_is_cut(line.as_bytes());
    }
}

#[test]
fn what_is_no_header_is_refused_at_its_first_wrong_byte() {
    for bytes in [&b"G"[..], b"\x16", b"PROXYT", b"PRI", b"\r\n\r\nG", b"\r\n\r\n\0\r\nQUIT\r", b"\0"] {
        assert_eq!(parse(bytes), Err(ProxyError::NotProxy), "{bytes:?}");
        assert_eq!(parse(&bytes[..bytes.len() - 1]), Ok(Parsed::Partial), "{bytes:?}");
    }
}

#[test]
fn bytes_say_who_connected_to_whom() {
    let bytes = v2(0x21, 0x11, &INET);
    assert_eq!(complete(&bytes), (tcp("192.0.2.7:40000", "198.51.100.1:443"), 28));
    let mut inet6 = [0; 36];
    (inet6[15], inet6[31]) = (1, 2);
    inet6[32..].copy_from_slice(&[0xFF, 0xFF, 0, 80]);
    let bytes = [v2(0x21, 0x21, &inet6), b"rest".to_vec()].concat();
    assert_eq!(complete(&bytes), (tcp("[::1]:65535", "[::2]:80"), 52));
}

#[test]
fn a_name_of_a_unix_socket_ends_where_the_kernel_ends_it() {
    let mut names = [0; 216];
    names[..7].copy_from_slice(b"/a/b\0cd");
    names[108..114].copy_from_slice(b"\0x\0y\0\0");
    let expected = Relayed::Unix { source: (*b"/a/b").into(), destination: (*b"\0x\0y").into() };
    assert_eq!(complete(&v2(0x21, 0x31, &names)).0, expected);
    let none = Relayed::Unix { source: [].into(), destination: [].into() };
    assert_eq!(complete(&v2(0x21, 0x31, &[0; 216])).0, none);
    let full = Relayed::Unix { source: [b'x'; 108].into(), destination: [b'x'; 108].into() };
    assert_eq!(complete(&v2(0x21, 0x31, &[b'x'; 216])).0, full);
}

#[test]
fn a_proxy_may_speak_for_itself_or_not_know() {
    for family in [0x00, 0x11, 0x21, 0x31, 0x12, 0xFF] {
        assert_eq!(complete(&v2(0x20, family, b"ignored")), (Relayed::Own, 23));
    }
    assert_eq!(complete(&v2(0x21, 0x00, b"ignored")), (Relayed::Unknown, 23));
}

#[test]
fn bytes_that_break_a_rule_are_refused_by_its_name() {
    for (bytes, error) in [
        (v2(0x22, 0x11, &INET), ProxyError::Command(0x22)),
        (v2(0x11, 0x11, &INET), ProxyError::Command(0x11)),
        (v2(0x31, 0x11, &INET), ProxyError::Command(0x31)),
        (v2(0x21, 0x12, &INET), ProxyError::Family),
        (v2(0x21, 0x10, &INET), ProxyError::Family),
        (v2(0x21, 0x01, &INET), ProxyError::Family),
        (v2(0x21, 0x41, &INET), ProxyError::Family),
        (v2(0x21, 0x11, &INET[..11]), ProxyError::Short),
        (v2(0x21, 0x21, &[0; 35]), ProxyError::Short),
        (v2(0x21, 0x31, &[0; 215]), ProxyError::Short),
        (v2(0x21, 0x11, &[&INET[..], &[4]].concat()), ProxyError::Options),
        (v2(0x21, 0x11, &[&INET[..], &[4, 0]].concat()), ProxyError::Options),
        (v2(0x21, 0x11, &[&INET[..], &[4, 0, 1]].concat()), ProxyError::Options),
    ] {
        assert_eq!(parse(&bytes), Err(error));
        assert_stands_however_it_is_cut(&bytes);
    }
}

#[test]
fn the_longest_header_is_taken_and_one_byte_more_is_not() {
    let with = |length: usize| v2(0x21, 0x11, &[&INET[..], &option(4, &vec![0; length])].concat());
    let most = MOST_BYTES - 16 - INET.len() - 3;
    assert_eq!(complete(&with(most)).1, MOST_BYTES);
    assert_eq!(parse(&with(most + 1)), Err(ProxyError::TooLong(MOST_BYTES + 1)));
    assert_eq!(parse(&with(most + 1)[..16]), Err(ProxyError::TooLong(MOST_BYTES + 1)), "before it comes");
}

#[test]
fn options_are_skipped_and_a_checksum_is_checked() {
    let options = [option(2, b"example.org"), option(4, &[]), option(0xE0, &[0; 200])].concat();
    assert_eq!(complete(&v2(0x21, 0x11, &[&INET[..], &options].concat())).1, 28 + options.len());
    let summed = |sum: u32| {
        let options = [option(4, b"abc"), option(3, &sum.to_be_bytes()), option(4, b"")].concat();
        v2(0x21, 0x11, &[&INET[..], &options].concat())
    };
    let right = u32::from_be_bytes(SUM);
    assert_eq!(complete(&summed(right)).0, tcp("192.0.2.7:40000", "198.51.100.1:443"));
    assert_eq!(parse(&summed(right ^ 1)), Err(ProxyError::Checksum));
    let twice = [option(3, &SUM), option(3, &SUM)].concat();
    assert_eq!(parse(&v2(0x21, 0x11, &[&INET[..], &twice].concat())), Err(ProxyError::Options));
    assert_eq!(parse(&v2(0x21, 0x11, &[&INET[..], &option(3, b"abc")].concat())), Err(ProxyError::Options));
}

/// The checksum of the header of the test above, by another implementation.
const SUM: [u8; 4] = 0x9995_1287_u32.to_be_bytes();

fn arbitrary_v2() -> impl Strategy<Value = Vec<u8>> {
    let command = prop_oneof![4 => Just(0x21u8), 1 => Just(0x20), 1 => any::<u8>()];
    let family =
        prop_oneof![3 => Just(0x11u8), 2 => Just(0x21), 2 => Just(0x31), 1 => Just(0), 1 => any::<u8>()];
    let body = prop::collection::vec(any::<u8>(), 0..260);
    (command, family, body).prop_map(|(command, family, body)| v2(command, family, &body))
}

fn arbitrary_line() -> impl Strategy<Value = Vec<u8>> {
    let word = "[0-9a-f.:]{0,16}|TCP4|TCP6|UNKNOWN|192\\.0\\.2\\.7|::1|[0-9]{1,5}| |\\r|\\n";
    prop::collection::vec(word, 0..7).prop_map(|words| format!("PROXY {}\r\nx", words.join(" ")).into_bytes())
}

proptest! {
    #[test]
    fn no_bytes_panic_and_none_are_judged_twice(
        bytes in prop_oneof![arbitrary_v2(), arbitrary_line(), prop::collection::vec(any::<u8>(), 0..40)],
    ) {
        assert_stands_however_it_is_cut(&bytes);
    }

    #[test]
    fn what_a_proxy_writes_is_read(source: (u32, u16), destination: (u128, u16), tail: Vec<u8>) {
        let (from, to) = (core::net::Ipv4Addr::from_bits(source.0), core::net::Ipv6Addr::from_bits(destination.0));
        for (family, ip) in [("TCP4", core::net::IpAddr::from(from)), ("TCP6", to.into())] {
            let line = format!("PROXY {family} {ip} {ip} {} {}\r\n", source.1, destination.1);
            let (source, destination) = (SocketAddr::new(ip, source.1), SocketAddr::new(ip, destination.1));
            let bytes = [line.as_bytes(), &tail].concat();
            prop_assert_eq!(complete(&bytes), (Relayed::Tcp { source, destination }, line.len()));
        }
    }
}
