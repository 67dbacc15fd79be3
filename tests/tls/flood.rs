//! What a flood of TLS handshakes costs those that are connected already: measured, and held to a bound.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gnezdo::{Config, ConnId, Connect, Context, Handler, Listen, Reactor};

use super::{Authority, PATIENCE, raw};

/// Healthy connections, each of which sends its next message when the last one came back.
const HEALTHY: usize = 64;
/// How many messages are timed.
const TIMED: usize = 40_000;
/// How often the comparison may be spoilt by whatever else the machine does.
const ATTEMPTS: usize = 3;
/// Greetings on their way at once.
const FLOOD: usize = 32;

struct Echo;

impl Handler for Echo {
    type Conn = ();
    type Post = ();

    fn on_bytes(&mut self, cx: &mut Context<'_, Self>, id: ConnId, bytes: &[u8]) {
        let _ = cx.send(id, bytes);
    }
}

/// Keeps one message under way on each connection, and notes how long each was.
#[derive(Default)]
struct Pinger {
    took: Vec<Duration>,
}

impl Handler for Pinger {
    type Conn = Option<Instant>;
    type Post = ();

    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        *cx.get_mut(id).unwrap() = Some(Instant::now());
        cx.send(id, &[7; 64]).map(drop).unwrap();
    }

    fn on_bytes(&mut self, cx: &mut Context<'_, Self>, id: ConnId, _bytes: &[u8]) {
        let now = Instant::now();
        let sent = cx.get_mut(id).unwrap().replace(now).unwrap();
        self.took.push(now - sent);
        cx.send(id, &[7; 64]).map(drop).unwrap();
    }
}

#[test]
#[ignore = "measures: for a release build, alone"]
fn a_flood_of_handshakes_leaves_the_others_within_twice_their_latency() {
    let authority = Authority::new();
    let addr = serve(&authority);
    let mut pinger = Reactor::new(Pinger::default(), Config::default()).unwrap();
    let connect = Connect {
        tls: Some(authority.client()),
        ..Connect::to(&format!("tls://localhost:{}", addr.port())).unwrap()
    };
    for _ in 0..HEALTHY {
        pinger.with(|_, cx| cx.connect(&connect).map(drop).unwrap());
    }
    let mut best = f64::INFINITY;
    for _ in 0..ATTEMPTS {
        let base = p99(&mut pinger);
        let (flooded, rate) = during_flood(&authority, addr, || p99(&mut pinger));
        let ratio = flooded.as_secs_f64() / base.as_secs_f64();
        println!("p99 {base:?} alone, {flooded:?} under {rate:.0} greetings per second: {ratio:.2} times");
        best = best.min(ratio);
    }
    assert!(best <= 2.0, "{best:.2} times the latency");
}

/// An echo server with TLS in a thread that ends with the process.
fn serve(authority: &Authority) -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    let listen: Listen = raw(&authority.server());
    std::thread::spawn(move || {
        let mut reactor = Reactor::new(Echo, Config::default()).unwrap();
        let listening = reactor.listen_with(&"127.0.0.1:0".parse().unwrap(), &listen).unwrap();
        tell.send(listening.addr.to_string().parse().unwrap()).unwrap();
        reactor.run().unwrap();
    });
    told.recv().unwrap()
}

fn p99(pinger: &mut Reactor<Pinger>) -> Duration {
    pinger.with(|pinger, _| pinger.took.clear());
    let end = Instant::now() + PATIENCE;
    while pinger.handler().took.len() < TIMED {
        assert!(Instant::now() < end, "{} messages in time", pinger.handler().took.len());
        pinger.turn(Some(Duration::from_millis(20))).unwrap();
    }
    let mut took = pinger.handler().took.clone();
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// Does something while greetings come in as fast as they are answered; answers also how many per second that were.
fn during_flood<T>(authority: &Authority, addr: SocketAddr, act: impl FnOnce() -> T) -> (T, f64) {
    let mut seal = gnezdo::tls::Seal::default();
    authority.client().session("localhost", None).unwrap().start(&mut seal).unwrap();
    let (hello, is_over) = (seal.written().to_vec(), Arc::new(AtomicBool::new(false)));
    let (ends, count) = (Arc::clone(&is_over), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    let flood = std::thread::spawn(move || {
        while !ends.load(Ordering::Relaxed) {
            let peers: Vec<_> = (0..FLOOD).map(|_| TcpStream::connect(addr).unwrap()).collect();
            for mut peer in &peers {
                peer.write_all(&hello).unwrap();
            }
            for mut peer in &peers {
                peer.read_exact(&mut [0; 1]).unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let began = Instant::now();
    let outcome = act();
    is_over.store(true, Ordering::Relaxed);
    let rate =
        f64::from(u32::try_from(count.load(Ordering::Relaxed)).unwrap()) / began.elapsed().as_secs_f64();
    flood.join().unwrap();
    (outcome, rate)
}
