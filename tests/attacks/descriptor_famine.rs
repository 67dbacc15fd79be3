//! R26: 5,000 clients want in where 64 descriptors are all there is: the server idles, and each descriptor that is
//! freed serves one that waits, at once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::kit::{Attack, Crowd, Field, Ground, Peer, upgrade};
use crate::support::processor_time;

pub(crate) const ATTACK: Attack = Attack {
    name: "descriptor_famine",
    rules: "R26",
    options: &["--opening-timeout", "60", "--idle-timeout", "0"],
    ground: Ground::Own(&["sh", "-c", r#"ulimit -n 64; exec "$@""#, "sh"]),
    quick: false,
    growth: 128 * 1024,
    run,
    ..Attack::DEFAULT
};

const SPAN: Duration = Duration::from_secs(5);

fn run(field: &Field) {
    let knocker = |number| {
        let mut peer = field.connect_as(number);
        peer.send(&upgrade(&[]));
        peer
    };
    let mut inside = Crowd::new(0, knocker);
    // Whoever is served is inside; the first who isn't shows that descriptors are out.
    let first = loop {
        let mut peer = knocker(0);
        if peer.is_silent(Duration::from_millis(300)) {
            break peer;
        }
        inside.0.push(peer);
        assert!(inside.0.len() < 64, "there is no limit");
    };
    let waiting = std::iter::once(first).chain((1..40).map(knocker)).collect();
    let crowd: Vec<_> = (0..5_000).map(|number| knock(field.tcp, number)).collect();
    let busy = share_of_processor(field);
    let slowest = change_places(&mut inside, waiting);
    field.note(format!("{} inside, {} wait, {busy:.2} % of a processor", inside.0.len(), crowd.len() + 40));
    field.note(format!("a freed place is taken within {} ms", slowest.as_millis()));
    assert!(busy <= 5.0, "{busy} % of a processor");
    assert!(slowest <= Duration::from_millis(150), "{slowest:?}");
    // All of them leave; who comes now comes after them.
    drop((inside, crowd));
    field.open().expect_echo("the last");
}

fn share_of_processor(field: &Field) -> f64 {
    let spent = || field.process.map(processor_time).unwrap_or_default();
    let before = spent();
    std::thread::sleep(SPAN);
    spent().saturating_sub(before).as_secs_f64() / SPAN.as_secs_f64() * 100.0
}

fn change_places(inside: &mut Crowd, waiting: Vec<Peer>) -> Duration {
    let mut slowest = Duration::ZERO;
    for mut next in waiting {
        inside.0.pop();
        let began = Instant::now();
        assert_eq!(next.status(), Some(101));
        slowest = slowest.max(began.elapsed());
        inside.0.push(next);
    }
    slowest
}

/// Begins to connect, and doesn't wait for it.
fn knock(addr: SocketAddr, number: usize) -> socket2::Socket {
    let socket =
        socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None).unwrap();
    let own = SocketAddr::from(([127, 0, 0, u8::try_from(2 + number % 250).unwrap()], 0));
    socket.bind(&own.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let _ = socket.connect(&addr.into());
    socket
}
