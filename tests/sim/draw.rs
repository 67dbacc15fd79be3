//! Draws a plan from a tape: which handler, which limits, which peers. A tape that has run out draws the simplest.

use std::time::Duration;

use gnezdo::Overflow;
use gnezdo::sim::Tape;
use gnezdo::ws::DeflateConfig;

use super::actor::{Pace, Part, Step, Until};
use super::plan::{Ending, Plan, Visitor, goodbye, hello, part_of, say, say_compressed, say_in, wait};
use super::player::{Act, OnRequest, Verdict};

/// A plan that no one thought of.
pub(crate) fn plan(tape: &mut Tape) -> Plan {
    let mut plan = Plan::serving("drawn");
    configure(&mut plan, tape);
    equip(&mut plan, tape);
    for _ in 0..=tape.choose(5) {
        let place = tape.choose(plan.places.listeners.len());
        let part = part_of(&plan.places.listeners[place].1);
        let script = if part == Part::Raw { raw_script(tape) } else { client_script(tape) };
        let at = Duration::from_millis(tape.choose(300) as u64);
        let again = if tape.chance(4) { 1 + tape.choose(3) } else { 0 };
        plan.visitors.push(Visitor { at, place, part, script, again });
    }
    plan.ending = [
        Ending::CloseAll,
        Ending::PeersLeave,
        Ending::AbortAll,
        Ending::Shutdown(Duration::from_millis(700)),
    ][tape.choose(4)];
    plan.config.settings.busy_poll = one(tape, AWAKE);
    plan.with(|_| {})
}

/// One of some values; the first is the calm one.
fn one<T: Clone>(tape: &mut Tape, all: &[T]) -> T {
    all[tape.choose(all.len())].clone()
}

fn configure(plan: &mut Plan, tape: &mut Tape) {
    let settings = &mut plan.config.settings;
    settings.receive_budget = one(tape, &[4 * 1024, 16 * 1024, 64 * 1024]);
    settings.landing_budget = one(tape, &[1024 * 1024, 4 * 1024, 100]);
    settings.accept_budget = one(tape, &[128, 1, 2]);
    settings.timer_budget = one(tape, &[1_024, 1, 2]);
    settings.max_queue = one(tape, &[2 * 1024 * 1024, 16 * 1024, 600]);
    settings.high_water = one(tape, &[64 * 1024, 4 * 1024, 100]).min(settings.max_queue);
    settings.low_water = one(tape, &[16 * 1024, 50, 0]).min(settings.high_water);
    settings.linger_bytes = one(tape, &[64 * 1024, 100]);
    settings.max_connections = one(tape, &[1_000_000, 1, 3]);
    plan.config.max_opening = one(tape, &[None, Some(1), Some(2)]);
    plan.config.post_budget = one(tape, &[256, 1]);
    plan.config.websocket.limits.max_message = one(tape, &[1024 * 1024, 5_000]);
    plan.config.timeouts.lifetime = one(tape, &[None, None, Some(Duration::from_millis(900))]);
    plan.descriptors = one(tape, &[64, 64, 64, 6, 4]);
    plan.buffer = one(tape, &[32 * 1024, 4 * 1024, 200 * 1024]);
    plan.config.max_partial = one(tape, &[1024 * 1024, 1024 * 1024, 3_000]);
    if tape.chance(3) {
        let deflate = DeflateConfig {
            threshold: one(tape, &[8, 200]),
            server_no_context_takeover: one(tape, &[true, false]),
            ..DeflateConfig::default()
        };
        plan.config.websocket.deflate = Some(deflate);
    }
}

/// What the handler does, and where it can connect to.
fn equip(plan: &mut Plan, tape: &mut Tape) {
    plan.manner.request = match tape.choose(10) {
        0..=5 => OnRequest::Accept,
        6 => OnRequest::Respond(tape.choose(5_000)),
        7 => OnRequest::Hold(some_time(tape), Verdict::Accept),
        8 => OnRequest::Hold(some_time(tape), Verdict::Respond),
        _ => one(tape, &[OnRequest::Forget, OnRequest::AbortAndAccept]),
    };
    plan.manner.message = vec![Act::Echo];
    plan.manner.overflow = one(tape, OVERFLOWS);
    if tape.chance(3) {
        plan.manner.open.push(Act::Subscribe(0));
    }
    let manner = &mut plan.manner;
    let places =
        [&mut manner.open, &mut manner.message, &mut manner.drain, &mut manner.timer, &mut manner.pong];
    for acts in places.into_iter().chain([&mut manner.post, &mut manner.close]) {
        if tape.chance(3) {
            acts.extend((0..=tape.choose(2)).map(|_| act(tape)));
        }
    }
    plan.posts = (0..tape.choose(4)).map(|_| some_time(tape)).collect();
    add_hosts(plan, tape);
}

fn add_hosts(plan: &mut Plan, tape: &mut Tape) {
    let addrs = ["10.9.9.9", "10.0.0.2"].map(|addr| addr.parse().expect("an address"));
    plan.names.push(("host.example".to_owned(), addrs.to_vec()));
    let places = [
        ("ws://10.0.0.2:80/", "10.0.0.2:80", Part::Server),
        ("ws+unix:@host:/", "unix:@host", Part::Server),
        ("tcp://10.0.0.2:7", "10.0.0.2:7", Part::Raw),
        ("ws://host.example:80/", "10.0.0.2:81", Part::Server),
        ("ws://10.0.0.3:80/", "10.0.0.3:81", Part::Server),
    ];
    for (target, host, part) in places {
        let script = if part == Part::Raw { raw_script(tape) } else { server_script(tape) };
        *plan = plan.clone().calling(target, host, part, script);
    }
    plan.calls.truncate(tape.choose(6));
    if tape.chance(6) {
        plan.manner.through = Some(2);
    }
}

fn some_time(tape: &mut Tape) -> Duration {
    Duration::from_millis(one(tape, &[0, 1, 20, 150, 400]))
}

fn some_size(tape: &mut Tape) -> usize {
    match tape.choose(8) {
        0..=3 => tape.choose(130),
        4 | 5 => tape.choose(2_000),
        6 => tape.choose(20_000),
        _ => tape.choose(120_000),
    }
}

fn act(tape: &mut Tape) -> Act {
    match tape.choose(26) {
        0 | 1 => Act::Echo,
        2 => Act::Say(1 + tape.choose(4), some_size(tape)),
        3 => Act::Pour(1 + tape.choose(30), some_size(tape)),
        4 => Act::Tell(some_size(tape)),
        5 => Act::Ping,
        6 => Act::Close,
        7 => Act::Finish,
        8 => Act::FinishWriting,
        9 => Act::Abort,
        10 => Act::CloseOthers,
        11 => Act::AbortOthers,
        12 => Act::Call(tape.choose(5)),
        13 => Act::Pause(some_time(tape)),
        14 | 15 => Act::Timer(some_time(tape)),
        16 => Act::Decide(one(tape, &[Verdict::Accept, Verdict::Respond])),
        20 | 21 => Act::Subscribe(tape.choose(3)),
        22 => Act::Publish(tape.choose(3), 1 + tape.choose(12), some_size(tape)),
        23 => Act::PublishToOthers(tape.choose(3), some_size(tape)),
        24 => one(tape, &[Act::Unsubscribe(0), Act::Unsubscribe(1)]),
        25 => Act::Share(some_size(tape)),
        17 => one(tape, &[Act::CancelTimers, Act::CloseListeners, Act::Listen(0), Act::Listen(2)]),
        _ => {
            if tape.chance(4) {
                Act::Shutdown(some_time(tape))
            } else {
                Act::Echo
            }
        }
    }
}

/// All that may be done for those that do not keep up.
pub(crate) const OVERFLOWS: &[Overflow] =
    &[Overflow::Reject, Overflow::DropNewest, Overflow::DropOldest, Overflow::Coalesce, Overflow::Close];

/// How long the loop stays awake.
const AWAKE: &[Duration] =
    &[Duration::ZERO, Duration::ZERO, Duration::from_millis(1), Duration::from_millis(300), Duration::MAX];

/// A good client, or one that is good only for a while.
fn client_script(tape: &mut Tape) -> Vec<Step> {
    let mut script = paces(tape);
    if tape.chance(10) {
        script.push(bad_request(tape));
    } else if tape.chance(3) {
        script.push(Step::Greet);
    } else {
        script.extend(hello());
    }
    talk(tape, &mut script);
    script
}

/// The same from the other side.
fn server_script(tape: &mut Tape) -> Vec<Step> {
    let mut script = paces(tape);
    if tape.chance(8) {
        script.push(Step::Answer(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno".to_vec()));
    } else {
        script.push(Step::Greet);
    }
    talk(tape, &mut script);
    script
}

fn raw_script(tape: &mut Tape) -> Vec<Step> {
    let mut script = paces(tape);
    script.push(Step::Greet);
    for _ in 0..tape.choose(5) {
        script.push(say(tape.choose(9), some_size(tape)));
        if tape.chance(3) {
            script.push(Step::Until(Until::Heard(tape.choose(500))));
        }
    }
    script.extend(match tape.choose(5) {
        0 | 1 => vec![Step::ShutWrite, Step::Until(Until::Ended)],
        2 => vec![Step::Leave],
        3 => vec![Step::CutAt(tape.choose(3_000))],
        _ => vec![Step::DropManners],
    });
    script
}

fn paces(tape: &mut Tape) -> Vec<Step> {
    let mut script = Vec::new();
    if tape.chance(5) {
        script.push(Step::WriteAt(Pace::drip(1 + tape.choose(2_000), 1 + tape.choose(30) as u64)));
    }
    if tape.chance(5) {
        script.push(Step::ReadAt(Pace::drip(50 + tape.choose(4_000), 1 + tape.choose(30) as u64)));
    }
    script
}

fn bad_request(tape: &mut Tape) -> Step {
    Step::Babble(one(
        tape,
        &[
            b"GET /from/0 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_vec(),
            b"nonsense\r\n\r\n".to_vec(),
            vec![b'a'; 20_000],
        ],
    ))
}

fn odd(tape: &mut Tape) -> Step {
    match tape.choose(6) {
        0 => wait(600),
        1 => Step::ReadAt(Pace::NEVER),
        2 => Step::ReadAt(Pace::FULL),
        3 => Step::DropManners,
        4 => Step::Babble(vec![0x83, 0x80, 0, 0, 0, 0]),
        _ => Step::Babble((0..tape.choose(40)).map(|_| tape.byte()).collect()),
    }
}

/// Messages, pings and pauses, and an end.
fn talk(tape: &mut Tape, script: &mut Vec<Step>) {
    for _ in 0..tape.choose(8) {
        let step = match tape.choose(9) {
            0..=2 => say(tape.choose(9), some_size(tape)),
            3 => say_in(tape.choose(9), some_size(tape), 1 + tape.choose(6)),
            4 => say_compressed(tape.choose(9), some_size(tape), 1 + tape.choose(3)),
            5 => Step::Ping(tape.choose(126)),
            6 => Step::Wait(some_time(tape)),
            7 => Step::Until(Until::Heard(tape.choose(4))),
            _ => odd(tape),
        };
        script.push(step);
    }
    script.extend(match tape.choose(10) {
        0..=3 => goodbye(),
        4 => vec![Step::ShutWrite, Step::Until(Until::Ended)],
        5 => vec![Step::Leave],
        6 => vec![Step::Reset],
        7 => vec![Step::CutAt(tape.choose(4_000))],
        8 => vec![Step::Until(Until::Ended)],
        _ => vec![],
    });
}
