//! One message to many, over real sockets: who gets it, in which order, in which form, and what becomes of it where a peer
//! does not keep up.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use gnezdo::ws::CloseCode;
#[cfg(feature = "deflate")]
use gnezdo::ws::DeflateConfig;
use gnezdo::{
    Addr, Closed, Config, ConnId, Connect, Context, Delivery, Handler, Listen, Message, Overflow, Prepared,
    Published, Reactor, SendError, Shed, SubscribeError,
};

/// Subscribes whoever comes to `all`, and notes what it sees.
#[derive(Default)]
struct Hub {
    open: Vec<ConnId>,
    heard: Vec<String>,
    closed: Vec<(String, usize, Shed)>,
}

impl Handler for Hub {
    type Conn = ();
    type Post = ();

    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        self.open.push(id);
        cx.subscribe(id, "all").unwrap();
    }

    fn on_message(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, message: Message<'_>) {
        self.heard.push(String::from_utf8(message.as_bytes().to_vec()).unwrap());
    }

    fn on_close(&mut self, cx: &mut Context<'_, Self>, id: ConnId, closed: &Closed) {
        assert_eq!(cx.subscribe(id, "all"), Err(SubscribeError::NotOpen));
        self.closed.push((closed.reason.to_string(), cx.subscribers("all"), cx.shed(id)));
        self.open.retain(|open| *open != id);
    }
}

/// A reactor, run turn by turn by the test itself, and where it listens.
struct World {
    reactor: Reactor<Hub>,
    addr: Addr,
}

impl World {
    fn new(listen: &Listen, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let mut reactor = Reactor::new(Hub::default(), config).unwrap();
        let addr = reactor.listen_with(&"127.0.0.1:0".parse().unwrap(), listen).unwrap().addr;
        Self { reactor, addr }
    }

    /// Turns until something is so.
    fn until(&mut self, mut is_so: impl FnMut(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}");
            self.reactor.turn(Some(Duration::from_millis(10))).unwrap();
        }
    }

    /// A raw client that is open on both sides.
    fn client(&mut self) -> (ConnId, TcpStream) {
        let count = self.reactor.handler().open.len();
        let stream = TcpStream::connect(self.addr.to_string()).unwrap();
        stream.set_nonblocking(true).unwrap();
        self.until(|world| world.reactor.handler().open.len() > count);
        (self.reactor.handler().open[count], stream)
    }

    /// A WebSocket client that is open on both sides, and has read the answer to its request.
    fn socket(&mut self, extensions: &str) -> (ConnId, TcpStream) {
        let count = self.reactor.handler().open.len();
        let mut stream = TcpStream::connect(self.addr.to_string()).unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extensions}\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        self.until(|world| world.reactor.handler().open.len() > count);
        let head = self.read_until(&mut stream, |read| read.ends_with(b"\r\n\r\n"));
        assert!(head.starts_with(b"HTTP/1.1 101"));
        (self.reactor.handler().open[count], stream)
    }

    fn read_until(&mut self, stream: &mut TcpStream, is_all: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let (began, mut read) = (Instant::now(), Vec::new());
        while !is_all(&read) {
            assert!(began.elapsed() < PATIENCE, "only {} bytes within {PATIENCE:?}", read.len());
            let mut part = vec![0; 64 * 1024];
            match stream.read(&mut part) {
                Ok(0) => return read,
                Ok(count) => read.extend_from_slice(&part[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.reactor.turn(Some(Duration::from_millis(5))).unwrap();
                }
                Err(_) => return read,
            }
        }
        read
    }

    fn read(&mut self, stream: &mut TcpStream, count: usize) -> Vec<u8> {
        let read = self.read_until(stream, |read| read.len() >= count);
        assert_eq!(read.len(), count);
        read
    }

    fn publish(&mut self, message: &str) -> Published {
        self.reactor.with(|_, cx| cx.publish("all", &mut Prepared::new(message)))
    }

    /// Sends messages of a kilobyte, numbered from zero, to one that does not read, until the kernel takes no more and at
    /// least one waits; answers how many that were.
    fn fill(&mut self, id: ConnId) -> usize {
        for number in 0..100_000 {
            let _ = self.send(id, numbered(number)).unwrap();
            self.reactor.turn(Some(Duration::ZERO)).unwrap();
            if self.reactor.with(|_, cx| cx.pending(id)) > 0 {
                return number + 1;
            }
        }
        panic!("the kernel takes everything");
    }

    fn send(&mut self, id: ConnId, mut message: Prepared) -> Result<Delivery, SendError> {
        self.reactor.with(|_, cx| cx.send_prepared(id, &mut message))
    }

    fn overflow(&mut self, id: ConnId, overflow: Overflow) {
        self.reactor.with(|_, cx| cx.set_overflow(id, overflow));
    }

    fn shed(&mut self, id: ConnId) -> Shed {
        self.reactor.with(|_, cx| cx.shed(id))
    }
}

/// A kilobyte that says its number.
fn numbered(number: usize) -> Prepared {
    let mut bytes = vec![b'.'; KILOBYTE];
    bytes[..8].copy_from_slice(format!("{number:08}").as_bytes());
    Prepared::new(&bytes)
}

/// The numbers of such kilobytes.
fn numbers(bytes: &[u8]) -> Vec<usize> {
    let number = |kilobyte: &[u8]| std::str::from_utf8(&kilobyte[..8]).unwrap().parse().unwrap();
    bytes.chunks(KILOBYTE).map(number).collect()
}

const KILOBYTE: usize = 1_024;
const PATIENCE: Duration = Duration::from_secs(60);

/// Room for ten kilobytes with what each of them takes beside its bytes.
fn room_for_ten(config: &mut Config) {
    config.settings.max_queue = 10 * (KILOBYTE + 64);
    config.settings.high_water = 4 * KILOBYTE;
    config.settings.low_water = KILOBYTE;
}

#[test]
fn a_topic_reaches_its_subscribers_but_not_the_sender_nor_those_who_left() {
    let mut world = World::new(&Listen::raw(), |_| {});
    let mut all: Vec<_> = (0..4).map(|_| world.client()).collect();
    let published = world.publish("one,");
    assert_eq!((published, published.subscribers()), (Published { sent: 4, ..published }, 4));
    let (left, sender) = (all[1].0, all[2].0);
    let (published, count) = world.reactor.with(|_, cx| {
        assert!(cx.unsubscribe(left, "all") && !cx.unsubscribe(left, "all"));
        assert_eq!(cx.subscribe(sender, "all"), Ok(()), "it is in it already");
        (cx.publish_from(sender, "all", &mut Prepared::new("two,")), cx.subscribers("all"))
    });
    assert_eq!((published.sent, published.subscribers(), count), (2, 2, 3));
    assert_eq!(
        world.reactor.with(|_, cx| cx.publish("nobody", &mut Prepared::new("x"))),
        Published::default()
    );
    let _ = world.publish("end");
    for (client, expected) in all.iter_mut().zip(["one,two,end", "one,", "one,end", "one,two,end"]) {
        assert_eq!(world.read(&mut client.1, expected.len()), expected.as_bytes());
    }
}

#[test]
fn the_end_of_a_connection_takes_it_out_before_anybody_hears_of_it() {
    let mut world = World::new(&Listen::raw(), |_| {});
    let (first, second, third) = (world.client(), world.client(), world.client());
    drop(second.1);
    world.until(|world| world.reactor.handler().closed.len() == 1);
    let published = world.reactor.with(|_, cx| {
        cx.abort(first.0);
        cx.publish("all", &mut Prepared::new("x"))
    });
    assert_eq!((published.sent, published.subscribers()), (1, 1));
    world.until(|world| world.reactor.handler().closed.len() == 2);
    let counts: Vec<_> = world.reactor.handler().closed.iter().map(|(_, count, _)| *count).collect();
    assert_eq!(counts, [2, 1]);
    drop(third);
}

#[test]
fn messages_of_all_kinds_to_one_connection_stay_in_order_within_a_turn() {
    let mut world = World::new(&Listen::default(), |_| {});
    let (id, mut stream) = world.socket("");
    let (_other, mut other) = world.socket("");
    world.reactor.with(|_, cx| {
        let mut shared = Prepared::new("shared");
        let _ = cx.send(id, "a").unwrap();
        assert_eq!(cx.publish("all", &mut shared).sent, 2);
        let _ = cx.send(id, "b").unwrap();
        let _ = cx.send(id, &vec![b'c'; 300]).unwrap();
        assert_eq!(cx.send_prepared(id, &mut shared), Ok(Delivery::Staged));
        for _ in 0..30 {
            assert_eq!(cx.publish("all", &mut Prepared::new("many")).sent, 2);
        }
        let _ = cx.send(id, "d").unwrap();
    });
    let many = b"\x81\x04many".repeat(30);
    let first = [
        &b"\x81\x01a\x81\x06shared\x81\x01b\x82\x7e\x01\x2c"[..],
        &[b'c'; 300],
        b"\x81\x06shared",
        &many,
        b"\x81\x01d",
    ];
    assert_eq!(world.read(&mut stream, first.concat().len()), first.concat());
    let second = [&b"\x81\x06shared"[..], &many];
    assert_eq!(world.read(&mut other, second.concat().len()), second.concat());
}

#[test]
fn what_waits_goes_out_in_order_however_it_was_sent() {
    let mut world = World::new(&Listen::raw(), |_| {});
    let (id, mut stream) = world.client();
    let mut sent = world.fill(id);
    for _ in 0..300 {
        world.reactor.with(|_, cx| {
            let mut message = numbered(sent);
            if sent.is_multiple_of(3) {
                let _ = cx.send(id, message.message()).unwrap();
            } else {
                assert_eq!(cx.send_prepared(id, &mut message), Ok(Delivery::Queued));
            }
        });
        sent += 1;
    }
    let read = world.read(&mut stream, sent * KILOBYTE);
    assert_eq!(numbers(&read), (0..sent).collect::<Vec<_>>());
    assert_eq!(world.reactor.with(|_, cx| cx.pending(id)), 0);
}

#[test]
fn a_full_queue_refuses_as_a_send_does() {
    let mut world = World::new(&Listen::raw(), room_for_ten);
    let (id, mut stream) = world.client();
    let mut sent = world.fill(id);
    while world.send(id, numbered(sent)).is_ok() {
        sent += 1;
    }
    assert!(matches!(world.send(id, numbered(sent)), Err(SendError::Full { .. })));
    let published = world.publish(&"x".repeat(KILOBYTE));
    assert_eq!(published, Published { refused: 1, ..Published::default() });
    assert!(matches!(world.send(id, Prepared::new(&vec![0; 100_000])), Err(SendError::TooBig { .. })));
    let read = world.read(&mut stream, sent * KILOBYTE);
    assert_eq!(numbers(&read), (0..sent).collect::<Vec<_>>());
    assert_eq!(world.shed(id), Shed::default());
}

#[test]
fn the_newest_are_dropped_where_that_is_asked_for() {
    let mut world = World::new(&Listen::raw(), room_for_ten);
    let (id, mut stream) = world.client();
    let filled = world.fill(id);
    world.overflow(id, Overflow::DropNewest);
    let outcomes: Vec<_> = (0..50).map(|number| world.send(id, numbered(filled + number)).unwrap()).collect();
    let queued = outcomes.iter().filter(|outcome| **outcome == Delivery::Queued).count();
    assert!((5..=10).contains(&queued), "{queued}");
    assert!(outcomes[queued..].iter().all(|outcome| *outcome == Delivery::Dropped));
    let shed = Shed { dropped: 50 - queued as u64, replaced: 0 };
    assert_eq!((world.shed(id), world.reactor.with(|_, cx| cx.shed_by_all())), (shed, shed));
    let read = world.read(&mut stream, (filled + queued) * KILOBYTE);
    assert_eq!(numbers(&read), (0..filled + queued).collect::<Vec<_>>());
    assert_eq!(world.send(id, numbered(7)), Ok(Delivery::Staged), "there is room again");
    assert_eq!(numbers(&world.read(&mut stream, KILOBYTE)), [7]);
}

#[test]
fn the_oldest_are_dropped_where_that_is_asked_for_but_never_one_that_was_begun() {
    let mut world = World::new(&Listen::raw(), room_for_ten);
    let (id, mut stream) = world.client();
    let filled = world.fill(id);
    world.overflow(id, Overflow::DropOldest);
    let _ = world.reactor.with(|_, cx| cx.send(id, numbered(filled).message())).unwrap();
    let total = filled + 51;
    for number in filled + 1..total {
        assert_eq!(world.send(id, numbered(number)), Ok(Delivery::Queued));
    }
    let dropped = usize::try_from(world.shed(id).dropped).unwrap();
    assert!((40..50).contains(&dropped), "{dropped}");
    let read = world.read(&mut stream, (total - dropped) * KILOBYTE);
    // The last of the first ones was begun or stood first, and what an ordinary send sent stays.
    let got = numbers(&read);
    let (before, after) = got.split_at(got.iter().position(|number| *number == filled).unwrap());
    assert!(before.len() + 1 >= filled && before.iter().enumerate().all(|(at, number)| at == *number));
    let latest = total - (got.len() - before.len() - 1);
    assert_eq!(after[1..], (latest..total).collect::<Vec<_>>());
}

#[test]
fn of_each_key_the_latest_goes_out_in_the_place_of_the_first() {
    let mut world = World::new(&Listen::raw(), room_for_ten);
    let (id, mut stream) = world.client();
    let filled = world.fill(id);
    world.overflow(id, Overflow::Coalesce);
    for round in 0..20 {
        for key in 0..5 {
            let outcome = world.send(id, numbered(10_000 + round * 10 + key).keyed(key as u64)).unwrap();
            assert_eq!(outcome, if round == 0 { Delivery::Queued } else { Delivery::Replaced });
        }
    }
    assert_eq!(world.shed(id), Shed { dropped: 0, replaced: 19 * 5 });
    let read = world.read(&mut stream, (filled + 5) * KILOBYTE);
    assert_eq!(numbers(&read)[filled..], [10_190, 10_191, 10_192, 10_193, 10_194]);
    for key in 0..50_u64 {
        let mut turn = |value| world.send(id, numbered(value).keyed(key)).unwrap();
        assert_eq!((turn(1), turn(2)), (Delivery::Staged, Delivery::Staged), "nothing waits");
        world.read(&mut stream, 2 * KILOBYTE);
    }
}

/// R36: a message of one byte that waits takes more than that.
#[test]
fn short_messages_that_wait_count_what_they_take() {
    const BOUND: usize = 256 * KILOBYTE;
    let mut world = World::new(&Listen::raw(), |config| config.settings.max_queued = BOUND);
    let (id, _stream) = world.client();
    world.fill(id);
    let sent = (0..100_000).take_while(|_| world.send(id, Prepared::new("x")).is_ok()).count();
    assert!(sent < BOUND / 64, "{sent} of them wait");
    world.until(|world| !world.reactor.handler().closed.is_empty());
    assert!(world.reactor.handler().closed[0].0.starts_with("of all that waited"));
    assert_eq!(world.reactor.with(|_, cx| cx.queued()), 0);
}

#[test]
fn short_messages_of_a_turn_count_what_they_take_if_they_come_to_wait() {
    let mut world = World::new(&Listen::raw(), |config| config.settings.max_queue = 512 * KILOBYTE);
    let (id, mut stream) = world.client();
    let mut message = Prepared::new("x");
    let sent = world
        .reactor
        .with(|_, cx| (0..100_000).take_while(|_| cx.send_prepared(id, &mut message).is_ok()).count());
    assert!((8_000..10_000).contains(&sent), "{sent}");
    assert_eq!(world.read(&mut stream, sent), vec![b'x'; sent]);
}

/// R13, R36: what others publish does not make a subscriber mute.
#[test]
fn who_is_behind_with_what_is_published_is_heard_and_its_ping_answered() {
    let mut world = World::new(&Listen::default(), room_for_ten);
    let (id, mut stream) = world.socket("");
    world.fill(id);
    world.overflow(id, Overflow::DropOldest);
    stream.write_all(b"\x89\x84\0\0\0\0ping\x81\x85\0\0\0\0hello").unwrap();
    let began = Instant::now();
    while world.reactor.handler().heard.is_empty() {
        assert!(began.elapsed() < PATIENCE, "not heard within {PATIENCE:?}");
        while world.publish(&"x".repeat(KILOBYTE)).displaced == 0 {}
        world.reactor.turn(Some(Duration::from_millis(10))).unwrap();
    }
    assert_eq!(world.reactor.handler().heard, ["hello"]);
    assert!(world.reactor.with(|_, cx| cx.pending(id)) > 4 * KILOBYTE, "all that waits is still there");
    let _ = world.publish("the end");
    let read = world.read_until(&mut stream, |read| read.ends_with(b"the end"));
    assert!(read.windows(6).any(|bytes| bytes == b"\x8a\x04ping"), "the pong comes before what follows it");
}

#[test]
fn who_does_not_keep_up_is_cut_where_that_is_asked_for() {
    let mut world = World::new(&Listen::raw(), room_for_ten);
    let ((id, _stream), (_, mut healthy)) = (world.client(), world.client());
    let filled = world.fill(id);
    world.overflow(id, Overflow::Close);
    let mut outcomes = (filled..).map(|number| world.send(id, numbered(number)).unwrap());
    assert_eq!(outcomes.find(|outcome| *outcome != Delivery::Queued), Some(Delivery::Closed));
    drop(outcomes);
    let published = world.publish("others");
    assert_eq!(published, Published { sent: 1, gone: 1, ..Published::default() });
    world.until(|world| !world.reactor.handler().closed.is_empty());
    assert_eq!(world.reactor.handler().closed[0].0, "the peer did not keep up with what was published");
    assert_eq!(world.read(&mut healthy, 6), b"others");
}

#[test]
fn a_closing_connection_is_no_subscriber_any_more() {
    let mut world = World::new(&Listen::default(), |_| {});
    let (id, _stream) = world.socket("");
    world.reactor.with(|_, cx| {
        cx.close(id, CloseCode::NORMAL, "").unwrap();
        assert_eq!((cx.subscribers("all"), cx.subscribe(id, "all")), (0, Err(SubscribeError::NotOpen)));
        assert_eq!(cx.send_prepared(id, &mut Prepared::new("late")), Err(SendError::Closing));
    });
}

#[test]
fn a_client_of_ours_masks_what_was_prepared() {
    let mut world = World::new(&Listen::default(), |_| {});
    let connect = Connect::to(&format!("ws://{}/", world.addr)).unwrap();
    world.reactor.with(|_, cx| cx.connect(&connect).unwrap());
    world.until(|world| world.reactor.handler().open.len() == 2);
    assert_eq!(world.publish("to and fro").sent, 2);
    world.until(|world| world.reactor.handler().heard.len() == 2);
    assert_eq!(world.reactor.handler().heard, ["to and fro"; 2]);
}

#[cfg(feature = "deflate")]
#[test]
fn what_was_prepared_is_compressed_once_and_mixes_with_what_is_sent() {
    for server_no_context_takeover in [true, false] {
        let deflate = DeflateConfig { threshold: 16, server_no_context_takeover, ..DeflateConfig::default() };
        let mut world = World::new(&Listen::default(), |config| config.websocket.deflate = Some(deflate));
        let connect = Connect::to(&format!("ws://{}/", world.addr)).unwrap();
        let _ = world.reactor.with(|_, cx| cx.connect(&connect).unwrap());
        world.until(|world| world.reactor.handler().open.len() == 2);
        let texts = ["tick tock tick tock tick tock", "tock tick tock tick tock tick tock tick"];
        for text in texts {
            world.reactor.with(|hub, cx| {
                let mut message = Prepared::new(text);
                for id in &hub.open {
                    let _ = cx.send(*id, text).unwrap();
                    assert_eq!(cx.send_prepared(*id, &mut message), Ok(Delivery::Staged));
                    let _ = cx.send(*id, text).unwrap();
                }
            });
        }
        world.until(|world| world.reactor.handler().heard.len() == 12);
        let heard = &world.reactor.handler().heard;
        assert!(texts.iter().all(|text| heard.iter().filter(|heard| heard == text).count() == 6));
    }
}
