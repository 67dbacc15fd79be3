//! Two sessions wired together without a network: every cut, every certificate, and what else a peer may do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::{AlertDescription, CertificateError};

use super::*;

/// An authority, which issues certificates for these tests.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // An issuer is looked for by its name.
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    fn identity(&self, names: &[&str]) -> Identity {
        self.issue(names, |_| {})
    }

    fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }

    fn server(&self) -> TlsServer {
        TlsServer::new(vec![self.identity(&["localhost"])]).unwrap()
    }

    fn client(&self) -> TlsClient {
        TlsClient::with_roots(&self.pem()).unwrap()
    }
}

/// A session and what lies on its way to the other one.
struct Peer {
    session: Box<Session>,
    seal: Seal,
    plain: Vec<u8>,
    sent: Vec<u8>,
}

impl Peer {
    fn new(session: Box<Session>) -> Self {
        Self { session, seal: Seal::default(), plain: Vec::new(), sent: Vec::new() }
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), TlsError> {
        let mut input = vec![0; self.session.carried()];
        input.extend_from_slice(bytes);
        let outcome = self.session.open(&mut input, &mut self.plain, &mut self.seal);
        self.take_written();
        outcome
    }

    fn send(&mut self, parts: &[&[u8]]) {
        self.session.seal(pieces(parts), usize::MAX, &mut self.seal).unwrap();
        self.take_written();
    }

    fn close(&mut self) {
        self.session.close(&mut self.seal);
        self.take_written();
    }

    fn take_written(&mut self) {
        self.sent.extend_from_slice(self.seal.written());
        self.seal.clear();
    }
}

/// Gives parts out in pieces of any size.
fn pieces<'p>(parts: &'p [&'p [u8]]) -> impl FnMut(usize) -> Option<&'p [u8]> {
    let (mut parts, mut rest) = (parts.iter(), &[][..]);
    move |most| {
        while rest.is_empty() {
            rest = parts.next()?;
        }
        let (now, later) = rest.split_at(most.min(rest.len()));
        rest = later;
        Some(now)
    }
}

/// A client and a server.
struct Pair {
    client: Peer,
    server: Peer,
}

impl Pair {
    fn new(server: &TlsServer, client: &TlsClient, host: &str) -> Self {
        let server = Peer::new(server.acceptor(Some("http/1.1")).session().unwrap());
        let mut client = Peer::new(client.session(host, Some("http/1.1")).unwrap());
        client.session.start(&mut client.seal).unwrap();
        client.take_written();
        Self { client, server }
    }

    /// Carries everything over, in pieces of `size` bytes, until nothing is on its way; the errors of server and client.
    fn settle(&mut self, size: usize) -> (Result<(), TlsError>, Result<(), TlsError>) {
        let mut outcome = (Ok(()), Ok(()));
        while !self.client.sent.is_empty() || !self.server.sent.is_empty() {
            for piece in std::mem::take(&mut self.client.sent).chunks(size) {
                outcome.0 = outcome.0.and_then(|()| self.server.receive(piece));
            }
            for piece in std::mem::take(&mut self.server.sent).chunks(size) {
                outcome.1 = outcome.1.and_then(|()| self.client.receive(piece));
            }
        }
        outcome
    }

    fn ready(authority: &Authority) -> Self {
        let mut pair = Self::new(&authority.server(), &authority.client(), "localhost");
        assert_eq!(pair.settle(usize::MAX), (Ok(()), Ok(())));
        pair
    }
}

fn outcome(
    server: &TlsServer,
    client: &TlsClient,
    host: &str,
) -> (Result<(), TlsError>, Result<(), TlsError>) {
    Pair::new(server, client, host).settle(usize::MAX)
}

#[test]
fn a_handshake_and_what_follows_may_be_cut_anywhere() {
    let authority = Authority::new();
    let (server, client) = (authority.server(), authority.client());
    for size in (1..40).chain([64, 100, 255, 256, 257, 1_000, 4_096, usize::MAX]) {
        let mut pair = Pair::new(&server, &client, "localhost");
        assert_eq!(pair.settle(size), (Ok(()), Ok(())), "{size}");
        assert!(pair.client.session.is_ready() && pair.server.session.is_ready());
        pair.client.send(&[b"hel", b"lo"]);
        pair.server.send(&[b"welcome"]);
        pair.client.close();
        assert_eq!(pair.settle(size), (Ok(()), Ok(())), "{size}");
        assert_eq!((&pair.server.plain[..], &pair.client.plain[..]), (&b"hello"[..], &b"welcome"[..]));
        assert!(pair.server.session.is_peer_closed() && !pair.client.session.is_peer_closed());
        assert_eq!((pair.server.session.carried(), pair.client.session.carried()), (0, 0));
    }
}

#[test]
fn each_single_cut_of_a_flight_gives_the_same() {
    let authority = Authority::new();
    let (server, client) = (authority.server(), authority.client());
    let length = Pair::new(&server, &client, "localhost").client.sent.len();
    for cut in 1..length {
        let mut pair = Pair::new(&server, &client, "localhost");
        let hello = std::mem::take(&mut pair.client.sent);
        pair.server.receive(&hello[..cut]).unwrap();
        assert_eq!(pair.server.session.carried(), cut);
        pair.server.receive(&hello[cut..]).unwrap();
        assert_eq!(pair.settle(usize::MAX), (Ok(()), Ok(())), "{cut}");
        assert!(pair.client.session.is_ready());
    }
}

#[test]
fn small_parts_share_a_record_and_large_ones_are_split() {
    let mut pair = Pair::ready(&Authority::new());
    let parts = vec![&b"part"[..]; 1_000];
    pair.client.send(&parts);
    assert!(pair.client.sent.len() < 4_000 + 64, "{}", pair.client.sent.len());
    let large: Vec<u8> = (0..300_000u32).map(|n| n.to_le_bytes()[0]).collect();
    pair.client.send(&[b"head", &large]);
    assert_eq!(pair.settle(1_021), (Ok(()), Ok(())));
    assert_eq!(pair.server.plain, [parts.concat(), b"head".to_vec(), large].concat());
}

#[test]
fn no_more_is_sealed_at_once_than_is_asked_for() {
    let mut pair = Pair::ready(&Authority::new());
    let (large, mut counts) = (vec![7; 1_000_000], Vec::new());
    let parts = [&large[..]];
    let mut next = pieces(&parts);
    while let count @ 1.. = pair.client.session.seal(&mut next, 100_000, &mut pair.client.seal).unwrap() {
        assert!(pair.client.seal.written().len() <= count + 7 * 64, "{count}");
        pair.client.take_written();
        counts.push(count);
    }
    assert_eq!(counts, [100_000; 10]);
    assert_eq!(pair.settle(usize::MAX), (Ok(()), Ok(())));
    assert!(pair.server.plain == large);
}

#[test]
fn a_server_shows_the_certificate_of_the_name_that_is_asked_for() {
    let authority = Authority::new();
    let names: [&[&str]; 3] = [&["first.test"], &["second.test", "other.test"], &["*.wild.test"]];
    let identities = names.iter().map(|names| authority.identity(names)).collect();
    let server = TlsServer::new(identities).unwrap();
    for host in ["first.test", "second.test", "other.test", "a.wild.test"] {
        assert_eq!(outcome(&server, &authority.client(), host), (Ok(()), Ok(())), "{host}");
    }
    let (_, refused) = outcome(&server, &authority.client(), "unknown.test");
    let Err(TlsError::Certificate(CertificateError::NotValidForNameContext { presented, .. })) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(presented, ["DnsName(\"first.test\")"], "the first is shown where none is for the name");
}

#[test]
fn an_address_may_be_the_name() {
    let authority = Authority::new();
    let server = TlsServer::new(vec![authority.identity(&["127.0.0.1", "::1"])]).unwrap();
    for host in ["127.0.0.1", "[::1]", "::1"] {
        assert_eq!(outcome(&server, &authority.client(), host), (Ok(()), Ok(())), "{host}");
    }
    assert!(matches!(ServerName::new("no name"), Err(TlsConfigError::Name(_))));
}

#[test]
fn a_certificate_that_is_no_good_is_refused_and_both_sides_know_why() {
    let authority = Authority::new();
    let day = |years_ago: i32| rcgen::date_time_ymd(2026 - years_ago, 1, 1);
    let expired = authority.issue(&["localhost"], |params| {
        (params.not_before, params.not_after) = (day(20), day(10));
    });
    let future = authority.issue(&["localhost"], |params| {
        (params.not_before, params.not_after) = (day(-1_000), day(-1_001));
    });
    let unknown = Authority::new().identity(&["localhost"]);
    let elsewhere = authority.identity(&["elsewhere.test"]);
    let rows = [
        (expired, "certificate expired", AlertDescription::CertificateExpired),
        (future, "certificate not valid yet", AlertDescription::CertificateExpired),
        (unknown, "UnknownIssuer", AlertDescription::UnknownCA),
        (elsewhere, "not valid for name", AlertDescription::BadCertificate),
    ];
    for (identity, why, alert) in rows {
        let server = TlsServer::new(vec![identity]).unwrap();
        let (server, client) = outcome(&server, &authority.client(), "localhost");
        assert_eq!(server, Err(TlsError::Alert(alert)), "{why}");
        let Err(error @ TlsError::Certificate(_)) = client else { panic!("{why}: {client:?}") };
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_server_may_ask_for_a_certificate_of_the_client() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = authority.server().require_clients_of(&authority.pem()).unwrap();
    let known = authority.client().identity(&authority.identity(&["client"]));
    assert_eq!(outcome(&server, &known, "localhost"), (Ok(()), Ok(())));
    let (asks, told) = outcome(&server, &authority.client(), "localhost");
    assert_eq!(asks, Err(TlsError::NoCertificate));
    assert_eq!(told, Err(TlsError::Alert(AlertDescription::CertificateRequired)));
    let unknown = authority.client().identity(&stranger.identity(&["client"]));
    let (asks, told) = outcome(&server, &unknown, "localhost");
    assert!(matches!(asks, Err(TlsError::Certificate(CertificateError::UnknownIssuer))), "{asks:?}");
    assert!(matches!(told, Err(TlsError::Alert(_))), "{told:?}");
}

#[test]
fn other_certificates_are_shown_after_a_reload_and_old_connections_stay() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = old.server();
    let mut pair = Pair::new(&server, &old.client(), "localhost");
    assert_eq!(pair.settle(usize::MAX), (Ok(()), Ok(())));
    assert!(matches!(server.reload(Vec::new()), Err(TlsConfigError::NoIdentity)));
    assert_eq!(outcome(&server, &old.client(), "localhost").1, Ok(()), "a failed reload changes nothing");
    server.reload(vec![new.identity(&["localhost"])]).unwrap();
    assert!(outcome(&server, &old.client(), "localhost").1.is_err());
    assert_eq!(outcome(&server, &new.client(), "localhost"), (Ok(()), Ok(())));
    pair.client.send(&[b"still here"]);
    assert_eq!(pair.settle(usize::MAX), (Ok(()), Ok(())));
    assert_eq!(pair.server.plain, b"still here");
}

#[test]
fn a_protocol_is_agreed_on_or_the_client_refused() {
    let authority = Authority::new();
    let mut pair = Pair::new(&authority.server(), &authority.client(), "localhost");
    pair.settle(usize::MAX).0.unwrap();
    assert_eq!(pair.server.session.protocol(), Some(&b"http/1.1"[..]));
    let client = authority.client().alpn(&["h2", "spdy"]);
    let (server, client) = outcome(&authority.server(), &client, "localhost");
    assert_eq!(server, Err(TlsError::Incompatible(rustls::Error::NoApplicationProtocol)));
    assert_eq!(client, Err(TlsError::Alert(AlertDescription::NoApplicationProtocol)));
    let client = authority.client().alpn(&["echo/2", "echo/1"]);
    let mut pair = Pair::new(&authority.server().alpn(&["echo/1"]), &client, "localhost");
    pair.settle(usize::MAX).0.unwrap();
    assert_eq!(pair.client.session.protocol(), Some(&b"echo/1"[..]));
}

#[test]
fn what_is_no_tls_is_named_and_not_answered() {
    let authority = Authority::new();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x00", b"\x80\x2e\x01", b"SSH-2.0"] {
        let mut pair = Pair::new(&authority.server(), &authority.client(), "localhost");
        assert_eq!(pair.server.receive(bytes), Err(TlsError::NotTls));
        assert_eq!(pair.client.receive(bytes), Err(TlsError::NotTls));
        assert!(pair.server.sent.is_empty());
    }
}

#[test]
fn junk_in_the_handshake_is_refused_and_answered_by_nothing_but_an_alert() {
    let authority = Authority::new();
    let rows: [&[u8]; 4] = [
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x17\x03\x03\x00\x01a",
        b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\x00",
    ];
    let mut alerts = 0;
    for bytes in rows {
        let mut pair = Pair::new(&authority.server(), &authority.client(), "localhost");
        let outcome = pair.server.receive(bytes);
        assert!(matches!(outcome, Err(TlsError::Protocol(_))), "{bytes:?}: {outcome:?}");
        let answer = pair.server.sent.first();
        assert!(matches!(answer, None | Some(21)), "{answer:?}");
        alerts += pair.server.sent.len() / 7;
        assert_eq!(pair.server.receive(bytes), Ok(()), "failure is sticky: nothing is looked at any more");
    }
    assert!(alerts >= 3, "{alerts}");
}

#[test]
fn a_record_that_was_changed_or_is_too_large_ends_the_connection() {
    let authority = Authority::new();
    let mut pair = Pair::ready(&authority);
    pair.client.send(&[b"secret"]);
    *pair.client.sent.last_mut().unwrap() ^= 1;
    let (server, client) = pair.settle(usize::MAX);
    assert_eq!(server, Err(TlsError::Protocol(rustls::Error::DecryptError)));
    assert_eq!(client, Err(TlsError::Alert(AlertDescription::BadRecordMac)));
    let mut pair = Pair::ready(&authority);
    let too_large = [&b"\x17\x03\x03"[..], &(0x4000u16 + 2_049).to_be_bytes(), &vec![0; 0x5000]].concat();
    assert!(matches!(pair.server.receive(&too_large), Err(TlsError::Protocol(_))));
    assert!(!pair.server.sent.is_empty(), "the alert");
}

#[test]
fn what_drips_is_not_copied_again_with_every_byte() {
    let authority = Authority::new();
    let mut pair = Pair::new(&authority.server(), &authority.client(), "localhost");
    for byte in std::mem::take(&mut pair.client.sent) {
        let carried = pair.server.session.carried();
        let mut input = vec![0xee; carried];
        input.push(byte);
        pair.server.session.open(&mut input, &mut Vec::new(), &mut pair.server.seal).unwrap();
        let is_copied = input[..carried].iter().any(|room| *room != 0xee);
        assert!(carried < 2 || !is_copied, "{carried} bytes were copied for one");
    }
    pair.server.take_written();
    assert_eq!(pair.settle(1), (Ok(()), Ok(())));
    assert!(pair.client.session.is_ready() && pair.server.session.is_ready());
}

#[test]
fn what_is_broken_behind_our_close_notify_is_a_failure_like_any_other() {
    let mut pair = Pair::ready(&Authority::new());
    pair.server.close();
    pair.client.send(&[b"whole"]);
    assert_eq!(pair.settle(usize::MAX), (Ok(()), Ok(())));
    pair.client.send(&[b"broken"]);
    *pair.client.sent.last_mut().unwrap() ^= 1;
    let (server, _) = pair.settle(usize::MAX);
    assert!(matches!(server, Err(TlsError::Protocol(_))), "{server:?}");
    assert_eq!(pair.server.plain, b"whole");
    assert_eq!(pair.server.receive(b"more"), Ok(()), "failure is sticky: nothing is looked at any more");
}

#[test]
fn after_more_than_is_kept_nothing_is_asked_of_a_session() {
    let authority = Authority::new();
    let mut pair = Pair::new(&authority.server(), &authority.client(), "localhost");
    // The beginning of a greeting of 60,000 bytes, one byte in each record: none can be discarded.
    let mut greeting = vec![1, 0, 0xea, 0x60];
    greeting.resize(20_000, 0);
    let records: Vec<u8> = greeting.iter().flat_map(|byte| [0x16, 3, 1, 0, 1, *byte]).collect();
    assert!(matches!(pair.server.receive(&records), Err(TlsError::Protocol(_))));
    pair.server.send(&[b"answer"]);
    pair.server.close();
    assert!(pair.server.sent.is_empty());
}

#[test]
fn nothing_is_kept_beyond_the_bound_however_a_handshake_drips() {
    let authority = Authority::new();
    let mut pair = Pair::new(&authority.server(), &authority.client(), "localhost");
    // A handshake message that says it has 16 MiB, in as many records as it takes.
    let mut message = vec![1, 0xff, 0xff, 0xff];
    message.resize(1 << 20, 0);
    let mut most = 0;
    for fragment in message.chunks(1 << 14) {
        let length = u16::try_from(fragment.len()).unwrap().to_be_bytes();
        let record = [&b"\x16\x03\x01"[..], &length, fragment].concat();
        if pair.server.receive(&record).is_err() {
            assert!(most <= MOST_CARRIED, "{most}");
            return;
        }
        most = most.max(pair.server.session.carried());
    }
    panic!("{most} bytes of a handshake message were kept");
}

#[test]
fn a_renegotiation_is_refused() {
    let authority = Authority::new();
    let mut pair = Pair::ready(&authority);
    let other = Pair::new(&authority.server(), &authority.client(), "localhost");
    // A second greeting in clear, where everything has to be encrypted.
    assert!(pair.server.receive(&other.client.sent).is_err());
}

#[test]
fn close_notify_is_sent_once_and_what_follows_it_is_not_read() {
    let mut pair = Pair::ready(&Authority::new());
    pair.server.send(&[b"last"]);
    pair.server.close();
    let length = pair.server.sent.len();
    pair.server.close();
    assert_eq!(pair.server.sent.len(), length);
    pair.server.sent.extend_from_slice(b"\x17\x03\x03\x00\x20junk behind the end");
    assert_eq!(pair.settle(7), (Ok(()), Ok(())));
    assert_eq!(pair.client.plain, b"last");
    assert!(pair.client.session.is_peer_closed());
    assert_eq!(pair.client.session.carried(), 0);
    pair.client.send(&[b"an answer all the same"]);
    assert_eq!(pair.settle(7).0, Ok(()));
    assert_eq!(pair.server.plain, b"an answer all the same");
}

#[test]
fn a_certificate_needs_its_own_key() {
    let authority = Authority::new();
    let pem = authority.pem();
    let key = KeyPair::generate().unwrap().serialize_pem();
    assert!(matches!(Identity::from_pem(&pem, key.as_bytes()), Err(TlsConfigError::Unusable(_))));
    assert!(matches!(Identity::from_pem(b"", key.as_bytes()), Err(TlsConfigError::NoCertificate)));
    assert!(matches!(Identity::from_pem(&pem, &pem), Err(TlsConfigError::NoKey)));
    let missing = Identity::from_files("/nowhere/chain.pem", "/nowhere/key.pem").unwrap_err().to_string();
    assert!(missing.contains("/nowhere/chain.pem"), "{missing}");
    assert!(matches!(TlsServer::new(Vec::new()), Err(TlsConfigError::NoIdentity)));
    assert!(matches!(TlsClient::with_roots(b"junk"), Err(TlsConfigError::NoCertificate)));
}

#[test]
fn a_configuration_that_allows_early_data_is_refused() {
    let resolver = Arc::new(rustls::server::ResolvesServerCertUsingSni::new());
    let builder = rustls::ServerConfig::builder_with_provider(provider::provider());
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_cert_resolver(resolver);
    assert!(Acceptor::with_rustls(Arc::new(config.clone())).is_ok());
    config.max_early_data_size = 1;
    let refused = Acceptor::with_rustls(Arc::new(config));
    assert!(matches!(refused, Err(TlsConfigError::EarlyData(1))), "{refused:?}");
}

#[test]
fn a_session_is_as_large_as_this() {
    assert!(size_of::<Session>() <= 2_048, "{}", size_of::<Session>());
}
