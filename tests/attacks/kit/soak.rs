//! A long time of ordinary life: connections that stay and connections that come and go, one in a hundred hostile;
//! every message is numbered and hashed, and the server's memory must not climb.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{BINARY, Dice, Field, Frame, Peer, long_head, open_descriptors, say};
use crate::support::{processor_time, resident};

const STAYERS: usize = 4;
const EACH: usize = 50;
/// How long after one arrival the next is due: 150 per second.
const ARRIVAL: Duration = Duration::from_micros(6_667);
/// How long after one burst of a staying thread the next is due.
const BURST: Duration = Duration::from_millis(10);
const SAMPLE: Duration = Duration::from_secs(5);
/// Until when memory may still find its level, and how it may climb then.
const WARM: Duration = Duration::from_secs(300);
const SLOPE: f64 = 1.0;
/// By how much, in KiB, it may be more at the end, however that came.
const STEP: f64 = 512.0;

/// What happened so far.
#[derive(Default)]
struct Ledger {
    stop: AtomicBool,
    messages: AtomicU64,
    arrivals: AtomicU64,
    hostile: AtomicU64,
}

/// Lives so for so many minutes. Less than ten judge everything but the memory's slope.
pub(crate) fn soak(minutes: f64) -> Result<(), String> {
    let (server, field) = Field::start(&[], &[]);
    let base = open_descriptors(server.process);
    let (ledger, end) = (Ledger::default(), Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    let samples = std::thread::scope(|scope| {
        let stayers: Vec<_> = (0..STAYERS)
            .map(|number| {
                let (field, ledger) = (&field, &ledger);
                scope.spawn(move || stay(field, ledger, number as u64))
            })
            .collect();
        let churn = scope.spawn(|| come_and_go(&field, &ledger));
        let samples = watch(server.process, end, &|| {
            churn.is_finished() || stayers.iter().any(std::thread::ScopedJoinHandle::is_finished)
        });
        ledger.stop.store(true, Ordering::Relaxed);
        samples
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    say(&format!(
        "{} messages, 0 lost, doubled or reordered; {} arrivals, {} of them hostile; {:?} of processor time",
        count(&ledger.messages),
        count(&ledger.arrivals),
        count(&ledger.hostile),
        processor_time(server.process),
    ));
    std::thread::sleep(Duration::from_secs(5));
    let left = open_descriptors(server.process).saturating_sub(base);
    judge(&samples, left)
}

/// Kilobytes over minutes, until the end or until a thread is over before its time.
fn watch(process: u32, end: Instant, is_over: &dyn Fn() -> bool) -> Vec<(f64, f64)> {
    let (began, mut samples) = (Instant::now(), Vec::new());
    while Instant::now() < end && !is_over() {
        std::thread::sleep(SAMPLE.min(end.saturating_duration_since(Instant::now())));
        let sample = (began.elapsed().as_secs_f64() / 60.0, kibibytes(resident(process)));
        if samples.len() % 24 == 0 {
            say(&format!(
                "minute {:.1}: {} KiB, {} descriptors",
                sample.0,
                sample.1,
                open_descriptors(process)
            ));
        }
        samples.push(sample);
    }
    samples
}

/// A step is what a coincidence of large messages leaves; what climbs all the time is a leak.
fn judge(samples: &[(f64, f64)], left: usize) -> Result<(), String> {
    let minutes = |limit: Duration| limit.as_secs_f64() / 60.0;
    let warm: Vec<_> = samples.iter().copied().filter(|(minute, _)| *minute >= minutes(WARM)).collect();
    if left > 0 {
        return Err(format!("{left} descriptors are left"));
    }
    let (Some(first), Some(last)) = (warm.first(), warm.last().filter(|last| last.0 >= minutes(2 * WARM)))
    else {
        say("too short to judge the slope of memory");
        return Ok(());
    };
    let (slope, step) = (slope(&warm), last.1 - first.1);
    say(&format!("memory after minute 5: {slope:+.2} KiB per minute, {step:+} KiB in all"));
    if slope <= SLOPE && step <= STEP { Ok(()) } else { Err("memory climbs".to_owned()) }
}

fn kibibytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1024).unwrap())
}

/// The median of the slopes between any two points, which no single step can bend.
fn slope(points: &[(f64, f64)]) -> f64 {
    let later =
        |at: usize| points[at + 1..].iter().map(move |(x, y)| (y - points[at].1) / (x - points[at].0));
    let mut slopes: Vec<f64> = (0..points.len()).flat_map(later).collect();
    slopes.sort_by(f64::total_cmp);
    slopes[slopes.len() / 2]
}

/// A connection whose messages carry their number and the hash of all that was said before.
struct Talk {
    peer: Peer,
    number: u64,
    hash: u64,
}

impl Talk {
    fn new(peer: Peer) -> Self {
        Self { peer, number: 0, hash: 0xCBF2_9CE4_8422_2325 }
    }

    /// Says some messages at once, and takes their echoes: all, once each, in order.
    fn exchange(&mut self, dice: &mut Dice, ledger: &Ledger) {
        let said: Vec<Frame> = (0..=dice.below(8)).map(|_| self.message(dice)).collect();
        let bytes: Vec<u8> = said.iter().flat_map(Frame::masked).collect();
        assert!(self.peer.send(&bytes), "the connection is gone");
        for message in &said {
            self.peer.expect(message);
            ledger.messages.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn message(&mut self, dice: &mut Dice) -> Frame {
        let size = if dice.below(50) == 0 { dice.below(100_000) } else { dice.below(300) };
        let filler = vec![self.number.to_le_bytes()[0]; size];
        let payload = [&self.number.to_be_bytes()[..], &self.hash.to_be_bytes(), &filler].concat();
        self.number += 1;
        self.hash = payload
            .iter()
            .fold(self.hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3));
        Frame::new(BINARY, payload)
    }
}

fn stay(field: &Field, ledger: &Ledger, number: u64) {
    let mut dice = Dice::new(number + 100);
    let mut talks: Vec<Talk> = (0..EACH).map(|_| Talk::new(field.open())).collect();
    let began = Instant::now();
    for round in 0.. {
        if ledger.stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep((began + BURST * round).saturating_duration_since(Instant::now()));
        let at = dice.below(EACH);
        talks[at].exchange(&mut dice, ledger);
        // Nobody is silent for so long that he is cut off.
        let in_turn = round as usize / 2 % EACH;
        talks[in_turn].exchange(&mut dice, ledger);
    }
}

fn come_and_go(field: &Field, ledger: &Ledger) {
    let (mut dice, began) = (Dice::new(7), Instant::now());
    for round in 0.. {
        if ledger.stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep((began + ARRIVAL * round).saturating_duration_since(Instant::now()));
        ledger.arrivals.fetch_add(1, Ordering::Relaxed);
        let peer = field.connect_as(round as usize).opened();
        if dice.below(100) == 0 {
            ledger.hostile.fetch_add(1, Ordering::Relaxed);
            abuse(peer, &mut dice);
            continue;
        }
        let mut talk = Talk::new(peer);
        talk.exchange(&mut dice, ledger);
        leave(talk.peer, &mut dice);
    }
}

/// Well, by a FIN alone, or by a reset.
fn leave(mut peer: Peer, dice: &mut Dice) {
    match dice.below(4) {
        0 => peer.reset(),
        1 => peer.shut(),
        _ => {
            peer.frame(&Frame::close(1000, ""));
            assert_eq!(peer.close_code(), Some(1000));
        }
    }
}

fn abuse(mut peer: Peer, dice: &mut Dice) {
    let bytes = match dice.below(6) {
        0 => dice.bytes(2_000),
        1 => long_head(0x82, true, 8, 1 << 40),
        2 => Frame::text("bare").bare(),
        3 => Frame::new(1, b"\xFF\xFF").masked(),
        4 => Frame::ping([0; 125]).masked().repeat(500),
        _ => Frame::more("").unfinished().masked().repeat(100),
    };
    peer.send(&bytes);
    if dice.below(2) == 0 {
        peer.reset();
    }
}
