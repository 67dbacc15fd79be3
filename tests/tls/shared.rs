//! What waits for a peer with TLS that does not keep up: dropped and replaced as on any other connection.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use gnezdo::{Config, ConnId, Delivery, Overflow, Prepared, Reason};

use super::{Authority, Loop, raw, stranger};

const KILOBYTE: usize = 1_024;

/// A kilobyte that says its number.
fn numbered(number: usize) -> Prepared {
    let mut bytes = vec![b'.'; KILOBYTE];
    bytes[..8].copy_from_slice(format!("{number:08}").as_bytes());
    Prepared::new(&bytes)
}

/// A peer that reads nothing until it is told to, and then answers with the numbers of all that came.
struct Reader {
    go: mpsc::Sender<()>,
    read: std::thread::JoinHandle<()>,
    numbers: mpsc::Receiver<Vec<usize>>,
}

impl Reader {
    fn new(authority: &Authority, addr: SocketAddr) -> Self {
        let ((go, waits), (tell, numbers)) = (mpsc::channel(), mpsc::channel());
        let read = stranger(authority, addr, move |stream| {
            stream.conn.complete_io(&mut stream.sock).unwrap();
            waits.recv().unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            let number = |bytes: &[u8]| std::str::from_utf8(&bytes[..8]).unwrap().parse().unwrap();
            tell.send(bytes.chunks(KILOBYTE).map(number).collect()).unwrap();
        });
        Self { go, read, numbers }
    }

    /// All that came until the loop's side finished.
    fn finish(self, both: &mut Loop, id: ConnId) -> Vec<usize> {
        both.reactor.with(|_, cx| cx.finish(id));
        self.go.send(()).unwrap();
        both.until("the end", |both| both.served_ended.len() == 1);
        self.read.join().unwrap();
        assert!(matches!(both.both().served_ended[0], Reason::Finished), "{:?}", both.both().served_ended);
        self.numbers.recv().unwrap()
    }
}

/// A connection for which the kernel takes no more, and how many messages that took.
fn filled(both: &mut Loop) -> (ConnId, usize) {
    both.until("open", |both| both.served.len() == 1);
    let id = both.both().served[0];
    for number in 0..100_000 {
        let _ = both.reactor.with(|_, cx| cx.send_prepared(id, &mut numbered(number))).unwrap();
        both.reactor.turn(Some(Duration::ZERO)).unwrap();
        if both.reactor.with(|_, cx| cx.pending(id)) > 0 {
            return (id, number + 1);
        }
    }
    panic!("the kernel takes everything");
}

fn room_for_fifty(authority: &Authority) -> Loop {
    let mut config = Config::default();
    config.settings.max_queue = 50 * (KILOBYTE + 64) + 2 * KILOBYTE;
    (config.settings.high_water, config.settings.low_water) = (4 * KILOBYTE, KILOBYTE);
    Loop::with(&raw(&authority.server()), config)
}

#[test]
fn the_oldest_that_wait_are_dropped_over_tls_too() {
    let authority = Authority::new();
    let mut both = room_for_fifty(&authority);
    let reader = Reader::new(&authority, both.addr);
    let (id, filled) = filled(&mut both);
    let (dropped, total) = both.reactor.with(|_, cx| {
        cx.set_overflow(id, Overflow::DropOldest);
        for number in filled..filled + 200 {
            assert_eq!(cx.send_prepared(id, &mut numbered(number)), Ok(Delivery::Queued));
        }
        (usize::try_from(cx.shed(id).dropped).unwrap(), filled + 200)
    });
    assert!((145..=155).contains(&dropped), "{dropped}");
    let came = reader.finish(&mut both, id);
    let expected: Vec<_> = (0..filled).chain(filled + dropped..total).collect();
    assert_eq!(came, expected, "the first to wait were dropped, and nothing else");
}

#[test]
fn of_each_key_the_latest_goes_out_over_tls_too() {
    let authority = Authority::new();
    let mut both = room_for_fifty(&authority);
    let reader = Reader::new(&authority, both.addr);
    let (id, filled) = filled(&mut both);
    let mut outcomes = BTreeMap::new();
    both.reactor.with(|_, cx| {
        cx.set_overflow(id, Overflow::Coalesce);
        for (round, key) in (0..20).flat_map(|round| (0..5).map(move |key| (round, key))) {
            let mut message = numbered(1_000_000 + 10 * round + key).keyed(key as u64);
            let outcome = cx.send_prepared(id, &mut message).unwrap();
            *outcomes.entry(format!("{outcome:?}")).or_insert(0) += 1;
        }
    });
    assert_eq!(outcomes, BTreeMap::from([("Queued".to_owned(), 5), ("Replaced".to_owned(), 95)]));
    let came = reader.finish(&mut both, id);
    assert_eq!(came[filled..], [1_000_190, 1_000_191, 1_000_192, 1_000_193, 1_000_194]);
}
