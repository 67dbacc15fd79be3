//! R24: eight connections that say as much as they can, of each kind, beside a hundred healthy ones, which hardly
//! feel it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::kit::{Attack, Bystander, Field, Frame, Ground, Peer, Schedule, bomb};

pub(crate) const ATTACK: Attack = Attack {
    name: "flooders",
    rules: "R24 G4",
    ground: Ground::Alone,
    quick: false,
    growth: 16 << 20,
    kept: 8 << 20,
    run,
    ..Attack::DEFAULT
};

const FLOODERS: usize = 8;
const SPAN: Duration = Duration::from_millis(2_500);
/// A hundred clients, each with ten messages per second.
const HUNDRED: Schedule = Schedule { clients: 100, pause: Duration::from_millis(1) };
const BOUND: Duration = Duration::from_millis(10);

fn run(field: &Field) {
    let base = service(field, SPAN).p99;
    field.note(format!("p99 of a hundred alone {:.1} ms", base.as_secs_f64() * 1e3));
    let deflated = Frame::binary(bomb::deflated(&[7; 10_000])).with_rsv(4).masked();
    for (kind, bytes) in [
        ("text", Frame::text("small").masked().repeat(2_000)),
        ("pings", Frame::ping("p").masked()),
        (
            "1-byte frames",
            [Frame::binary("1").unfinished().masked().repeat(1), Frame::more("1").masked()]
                .concat()
                .repeat(2_000),
        ),
        ("64 KiB frames", Frame::binary(vec![3; 65_536]).masked()),
        ("deflate", deflated.repeat(20)),
    ] {
        let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
        let service = std::thread::scope(|scope| {
            for _ in 0..FLOODERS {
                scope.spawn(|| flood(field, kind, &bytes, &stop, &sent));
            }
            let _stop = Stop(&stop);
            service(field, SPAN)
        });
        let sent = sent.load(Ordering::Relaxed) >> 20;
        field.note(format!("{kind}, {sent} MiB: {:.1} ms", service.p99.as_secs_f64() * 1e3));
        assert!(service.p99 <= BOUND + base, "p99 beside {kind}: {:?}, {base:?} alone", service.p99);
    }
}

/// Sends the flooders home, however it ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn service(field: &Field, span: Duration) -> crate::kit::Service {
    let bystander = Bystander::start(&field.target(), HUNDRED);
    std::thread::sleep(span);
    bystander.finish().unwrap()
}

/// Reads what comes back and throws it away, so that nothing holds it up. A ping flood is slow enough to be legal.
fn flood(field: &Field, kind: &str, bytes: &[u8], stop: &AtomicBool, sent: &AtomicUsize) {
    let mut peer = if kind == "deflate" { bomb::open(field) } else { field.open() };
    let mut reader: Peer = peer.twin();
    std::thread::scope(|scope| {
        scope.spawn(move || while !reader.sip(65_536).is_empty() {});
        while !stop.load(Ordering::Relaxed) && peer.send(bytes) {
            sent.fetch_add(bytes.len(), Ordering::Relaxed);
            if kind == "pings" {
                std::thread::sleep(Duration::from_millis(11));
            }
        }
        peer.shut();
        peer.reset();
    });
}
