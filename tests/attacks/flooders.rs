//! R24: eight connections that say as much as they can, of each kind, beside a hundred healthy ones, which hardly
//! feel it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::kit::{Attack, Bystander, Control, Field, Frame, Ground, Peer, Schedule, bomb};

pub(crate) const ATTACK: Attack = Attack {
    name: "flooders",
    rules: "R24 G4",
    ground: Ground::Alone,
    quick: false,
    growth: 16 << 20,
    kept: 8 << 20,
    // A hundred are looked at, each while one kind floods.
    healthy: None,
    run,
    ..Attack::DEFAULT
};

const FLOODERS: usize = 8;
const SPAN: Duration = Duration::from_secs(1);
const TRIES: usize = 3;
const BOUND: Duration = Duration::from_millis(10);

fn run(field: &Field) {
    let control = Control::start();
    let deflated = Frame::binary(bomb::deflated(&[7; 10_000])).with_rsv(4).masked();
    let fragments = [Frame::binary("1").unfinished().masked(), Frame::more("1").masked()];
    for (kind, bytes) in [
        ("text", Frame::text("small").masked().repeat(2_000)),
        ("pings", Frame::ping("p").masked()),
        ("1-byte frames", fragments.concat().repeat(2_000)),
        ("64 KiB frames", Frame::binary(vec![3; 65_536]).masked()),
        ("deflate", deflated.repeat(20)),
    ] {
        let is_fine = |(beside, elsewhere, _): &(Duration, Duration, _)| *beside <= BOUND + 2 * *elsewhere;
        let mut last = beside(field, &control, kind, &bytes);
        // Others on this machine can only make it worse.
        for _ in 1..TRIES {
            if is_fine(&last) {
                break;
            }
            last = beside(field, &control, kind, &bytes);
        }
        let (beside, elsewhere, sent) = last;
        let [shown, control] = [beside, elsewhere].map(|p99| p99.as_secs_f64() * 1e3);
        field.note(format!("{kind}, {sent} MiB: {shown:.1} ms (elsewhere {control:.1} ms)"));
        assert!(beside <= BOUND + 2 * elsewhere, "p99 beside {kind}: {beside:?}, {elsewhere:?} elsewhere");
    }
}

/// The p99 of a hundred beside the flooders, and of a hundred elsewhere, and how many MiB were flooded with.
fn beside(field: &Field, control: &Control, kind: &str, bytes: &[u8]) -> (Duration, Duration, usize) {
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let hundreds =
        [Bystander::start(&field.target(), Schedule::HUNDRED), control.bystander(Schedule::HUNDRED)];
    std::thread::scope(|scope| {
        for _ in 0..FLOODERS {
            scope.spawn(|| flood(field, kind, bytes, &stop, &sent));
        }
        std::thread::sleep(SPAN);
        stop.store(true, Ordering::Relaxed);
    });
    let [beside, elsewhere] = hundreds.map(|hundred| hundred.finish().unwrap().p99);
    (beside, elsewhere, sent.load(Ordering::Relaxed) >> 20)
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
