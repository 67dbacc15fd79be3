//! The end in good order, and the report of it (R49).
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod rules;

use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gnezdo::{Addr, Config, Listen, Listening, Reactor, ShutdownReport};
use rules::{Client, PATIENCE, Scripted};

const GRACE: Duration = Duration::from_millis(600);

/// A reactor that is turned by hand, as one inside another loop, with a WebSocket and a raw listener.
fn reactor() -> (Reactor<Scripted>, [Listening; 2]) {
    let mut reactor = Reactor::new(Scripted::echo(), Config::default()).unwrap();
    let addr: Addr = "127.0.0.1:0".parse().unwrap();
    let listening = [Listen::default(), Listen::raw()].map(|kind| reactor.listen_with(&addr, &kind).unwrap());
    (reactor, listening)
}

/// Clients that have opened.
fn open(reactor: &mut Reactor<Scripted>, addr: &Addr, count: usize) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(|_| Client::to(addr)).collect();
    for client in &mut clients {
        client.send(&rules::upgrade_request(&[]));
    }
    turn_while(reactor, |reactor| open_now(reactor) < count);
    for client in &mut clients {
        drop(client.expect_101());
    }
    clients
}

fn open_now(reactor: &Reactor<Scripted>) -> usize {
    reactor.handler().watch.opened.load(Ordering::SeqCst)
}

fn turn_while(reactor: &mut Reactor<Scripted>, goes_on: impl Fn(&Reactor<Scripted>) -> bool) {
    let began = Instant::now();
    while goes_on(reactor) {
        reactor.turn(Some(Duration::from_millis(10))).unwrap();
        assert!(began.elapsed() < PATIENCE);
    }
}

/// Of 100 clients 10 never answer: they are cut when the grace is over, and the report says so.
#[test]
fn a_shutdown_reports_who_left_and_who_was_cut() {
    let (mut reactor, [web, _]) = reactor();
    let mut polite = open(&mut reactor, &web.addr, 100);
    let mute = polite.split_off(90);
    assert_eq!(reactor.shutdown_report(), None);
    let began = Instant::now();
    reactor.with(|_, cx| cx.shutdown(GRACE));
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(reactor.shutdown_report(), None, "it goes on");
    for client in &mut polite {
        assert_eq!(client.next().close_code(), Some(1001));
        client.close(1001);
    }
    turn_while(&mut reactor, |reactor| !reactor.is_stopped());
    let (took, report) = (began.elapsed(), reactor.shutdown_report().unwrap());
    assert_eq!((report.closed, report.cut), (90, 10), "{report}");
    assert!(report.took >= GRACE && report.took <= took, "{report} of {took:?}");
    assert!(TcpStream::connect(web.addr.as_tcp().unwrap()).is_err(), "the listener is closed");
    drop(mute);
}

/// Where everybody leaves there is nothing to wait for; raw connections leave by being flushed.
#[test]
fn a_shutdown_is_over_when_everybody_left() {
    let (mut reactor, [web, raw]) = reactor();
    let mut polite = open(&mut reactor, &web.addr, 5);
    let raw = Client::to(&raw.addr);
    turn_while(&mut reactor, |reactor| open_now(reactor) < 6);
    reactor.with(|_, cx| cx.shutdown(PATIENCE));
    reactor.turn(Some(Duration::ZERO)).unwrap();
    for client in &mut polite {
        assert_eq!(client.next().close_code(), Some(1001));
        client.close(1001);
    }
    drop((polite, raw));
    turn_while(&mut reactor, |reactor| !reactor.is_stopped());
    let report = reactor.shutdown_report().unwrap();
    assert_eq!((report.closed, report.cut), (6, 0), "{report}");
    assert!(report.took < PATIENCE, "{report}");
}

/// A stop in the middle of it ends it at once; who is still there counts as cut.
#[test]
fn a_stop_ends_a_shutdown_at_once() {
    let (mut reactor, [web, _]) = reactor();
    let mut clients = open(&mut reactor, &web.addr, 8);
    let mute = clients.split_off(3);
    let remote = reactor.remote();
    remote.shutdown(PATIENCE).unwrap();
    reactor.turn(Some(PATIENCE)).unwrap();
    for client in &mut clients {
        client.close(1001);
    }
    turn_while(&mut reactor, |reactor| reactor.handler().watch.closed.load(Ordering::SeqCst) < 3);
    remote.stop().unwrap();
    reactor.run().unwrap();
    let report = reactor.shutdown_report().unwrap();
    assert_eq!((report.closed, report.cut), (3, 5), "{report}");
    assert!(report.took < PATIENCE, "{report}");
    drop(mute);
}

/// Asked again, the grace is what was asked last, and the report begins with the first.
#[test]
fn a_second_shutdown_changes_the_grace() {
    let (mut reactor, [web, _]) = reactor();
    let mute = open(&mut reactor, &web.addr, 2);
    reactor.with(|_, cx| cx.shutdown(PATIENCE));
    std::thread::sleep(GRACE / 2);
    reactor.with(|_, cx| cx.shutdown(GRACE));
    turn_while(&mut reactor, |reactor| !reactor.is_stopped());
    let report = reactor.shutdown_report().unwrap();
    assert_eq!((report.closed, report.cut), (0, 2), "{report}");
    assert!(report.took >= GRACE + GRACE / 2 && report.took < PATIENCE, "{report}");
    drop(mute);
}

#[test]
fn without_connections_a_shutdown_is_over_at_once() {
    let (mut reactor, _) = reactor();
    reactor.with(|_, cx| cx.shutdown(PATIENCE));
    turn_while(&mut reactor, |reactor| !reactor.is_stopped());
    let ShutdownReport { closed, cut, took } = reactor.shutdown_report().unwrap();
    assert_eq!((closed, cut), (0, 0));
    assert!(took < PATIENCE / 2);
}

#[test]
fn a_stop_alone_has_nothing_to_report() {
    let (mut reactor, _) = reactor();
    reactor.with(|_, cx| cx.stop());
    reactor.run().unwrap();
    assert_eq!(reactor.shutdown_report(), None);
}
