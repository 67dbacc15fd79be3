//! Several threads behind the same listeners: who gets which connection, what reaches all of them, and how they end.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

mod churn;
mod ends;
#[path = "../rules/mod.rs"]
mod rules;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use gnezdo::ws::CloseCode;
use gnezdo::{
    Addr, Config, ConnId, Context, Error, Fleet, FleetError, FleetHandle, Handler, Listen, ListenOptions,
    Message, Prepared, Remote, ShutdownReport, Spread,
};
use rules::{Client, Directory, PATIENCE, eventually};

/// Says on which thread it is, cries to everybody, and ends as it is told.
struct Hall {
    thread: usize,
    /// Where who is told to wait says so, and what it then waits for.
    gate: Option<(Sender<()>, Receiver<()>)>,
}

impl Handler for Hall {
    type Conn = ();
    type Post = &'static str;

    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        cx.subscribe(id, "all").unwrap();
    }

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        match message.as_bytes() {
            b"where" => {
                let _ = cx.send(id, &*self.thread.to_string());
            }
            b"name" => {
                let _ = cx.send(id, std::thread::current().name().unwrap_or("no name"));
            }
            b"leave" => cx.close(id, CloseCode::NORMAL, "").unwrap(),
            b"wait" => {
                let (waits, goes_on) = self.gate.as_ref().unwrap();
                waits.send(()).unwrap();
                goes_on.recv().unwrap();
            }
            b"panic" => panic!("as it was told"),
            b"stop" => cx.stop(),
            b"shut down" => cx.shutdown(PATIENCE),
            b"whisper" => {
                let _ = cx.publish_everywhere_from(id, "all", &mut Prepared::new(message));
            }
            _ => {
                let (here, spread) = cx.publish_everywhere("all", &mut Prepared::new(message));
                let Spread { taken, full, gone } = spread;
                let others = taken + full.len() + gone.len();
                assert_eq!((here.subscribers(), others), (cx.subscribers("all"), self.others(cx)));
            }
        }
    }

    fn on_post(&mut self, cx: &mut Context<'_, Self>, post: &'static str) {
        let _ = cx.publish("all", &mut Prepared::new(post));
    }
}

impl Hall {
    fn others(&self, cx: &Context<'_, Self>) -> usize {
        let threads = cx.fleet().unwrap().threads();
        assert!(self.thread < threads);
        threads - 1
    }
}

/// A fleet that runs, shut down in the end.
struct Running {
    fleet: FleetHandle,
    addrs: Vec<Addr>,
    remotes: Vec<Remote<&'static str>>,
    thread: Option<JoinHandle<gnezdo::Result<Option<ShutdownReport>>>>,
}

impl Running {
    fn new(threads: usize, config: Config, addrs: &[Addr]) -> Self {
        Self::of(addrs, Fleet::new(threads, config, |thread| Hall { thread, gate: None }).unwrap())
    }

    fn of<H: Handler<Post = &'static str> + 'static>(addrs: &[Addr], mut fleet: Fleet<H>) -> Self {
        let addrs = addrs.iter().map(|addr| fleet.listen(addr).unwrap()).collect();
        let (handle, remotes) = (fleet.handle(), fleet.remotes());
        let thread = Some(std::thread::spawn(move || fleet.run()));
        Self { fleet: handle, addrs, remotes, thread }
    }

    /// A client of the first address.
    fn client(&self) -> Client {
        Client::open_at(&self.addrs[0])
    }

    /// One on each of two threads, in their order; what comes by a Unix-domain socket is dealt out evenly.
    fn two_clients(&self) -> [Client; 2] {
        let mut clients = [self.client(), self.client()];
        let mut threads = [thread_of(&mut clients[0]), thread_of(&mut clients[1])];
        if threads[0] > threads[1] {
            clients.reverse();
            threads.reverse();
        }
        assert_eq!(threads, [0, 1]);
        clients
    }

    fn ended(mut self) -> gnezdo::Result<Option<ShutdownReport>> {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.fleet.stop().unwrap();
            let _ = thread.join();
        }
    }
}

fn thread_of(client: &mut Client) -> usize {
    client.text("where");
    String::from_utf8(client.message()).unwrap().parse().unwrap()
}

fn local() -> Addr {
    "127.0.0.1:0".parse().unwrap()
}

/// How many of the clients are on each thread.
fn spread_of(clients: &mut [Client]) -> BTreeMap<usize, usize> {
    clients.iter_mut().map(thread_of).fold(BTreeMap::new(), |mut counts, thread| {
        *counts.entry(thread).or_default() += 1;
        counts
    })
}

#[test]
fn each_thread_gets_connections_of_a_shared_port() {
    let running = Running::new(2, Config::default(), &[local()]);
    let mut clients: Vec<Client> = (0..100).map(|_| running.client()).collect();
    // The kernel hashes addresses: that one of two threads gets none of a hundred does not happen.
    assert_eq!(spread_of(&mut clients).len(), 2);
    assert_eq!(running.fleet.counts().dealt, 0);
}

#[test]
fn connections_of_a_unix_socket_are_dealt_evenly() {
    let directory = Directory::new("dealt");
    let running = Running::new(3, Config::default(), &[directory.addr("hall")]);
    let mut clients: Vec<Client> = (0..30).map(|_| running.client()).collect();
    assert_eq!(spread_of(&mut clients), BTreeMap::from([(0, 10), (1, 10), (2, 10)]));
    let counts = running.fleet.counts();
    assert_eq!((counts.dealt, counts.turned_away), (20, 0));
}

#[test]
fn whoever_has_fewest_connections_gets_the_next() {
    let directory = Directory::new("fewest");
    let running = Running::new(2, Config::default(), &[directory.addr("hall")]);
    let mut clients: Vec<Client> = (0..20).map(|_| running.client()).collect();
    clients.retain_mut(|client| {
        let leaves = thread_of(client) == 1;
        if leaves {
            client.text("leave");
            assert_eq!(client.next().close_code(), Some(1000));
        }
        !leaves
    });
    assert_eq!(clients.len(), 10);
    // The thread counts those that left when it has buried them, a little after they were told.
    let mut later: Vec<Client> = Vec::new();
    eventually("the other thread gets the next ones", || {
        later.push(running.client());
        later.last_mut().map(thread_of) == Some(1)
    });
    later.extend((0..5).map(|_| running.client()));
    let fresh = later.split_off(later.len() - 5);
    assert!(fresh.into_iter().all(|mut client| thread_of(&mut client) == 1));
}

#[test]
fn beyond_the_bound_of_all_threads_clients_wait() {
    let directory = Directory::new("bound");
    let mut config = Config::default();
    config.settings.max_connections = 2;
    let running = Running::new(2, config, &[directory.addr("hall")]);
    let mut clients: Vec<Client> = (0..4).map(|_| running.client()).collect();
    assert_eq!(spread_of(&mut clients), BTreeMap::from([(0, 2), (1, 2)]));
    let mut waiting = Client::to(&running.addrs[0]);
    waiting.send(&rules::upgrade_request(&[]));
    // One of the thread that does not accept.
    let mut leaving = clients.remove(0);
    let room = thread_of(&mut leaving);
    drop(leaving);
    waiting.expect_101();
    assert_eq!(thread_of(&mut waiting), room);
    assert_eq!(running.fleet.counts().turned_away, 0);
}

#[test]
fn a_fleet_of_one_is_a_reactor() {
    let directory = Directory::new("one");
    let running = Running::new(1, Config::default(), &[directory.addr("hall"), local()]);
    for addr in &running.addrs {
        let mut client = Client::open_at(addr);
        assert_eq!(thread_of(&mut client), 0);
        client.text("alone");
        client.expect_text("alone");
    }
    assert_eq!(running.fleet.publish("all", &Prepared::new("heard")).taken, 1);
    assert_eq!(running.fleet.counts(), gnezdo::FleetCounts::default());
}

#[test]
fn threads_have_names_but_for_the_one_that_runs_them() {
    let directory = Directory::new("names");
    let running = Running::new(2, Config::default(), &[directory.addr("hall")]);
    let [_, mut second] = running.two_clients();
    second.text("name");
    second.expect_text("gnezdo-1");
}

#[test]
fn a_message_reaches_the_subscribers_on_all_threads() {
    let directory = Directory::new("reaches");
    let running = Running::new(2, Config::default(), &[directory.addr("hall")]);
    let [mut first, mut second] = running.two_clients();
    second.text("hello");
    first.expect_text("hello");
    second.expect_text("hello");
    first.text("whisper");
    second.expect_text("whisper");
    let spread = running.fleet.publish("all", &Prepared::new("to you both"));
    assert_eq!(spread, Spread { taken: 2, ..Spread::default() });
    first.expect_text("to you both");
    second.expect_text("to you both");
    running.remotes[1].try_post("to the second").unwrap();
    second.expect_text("to the second");
    let none = running.fleet.publish_on(&[7], "all", &Prepared::new("nobody"));
    assert_eq!(none, Spread::default());
}

#[test]
fn each_thread_tells_what_it_counted() {
    let directory = Directory::new("stats");
    let running = Running::new(2, Config::default(), &[directory.addr("hall")]);
    let _clients = running.two_clients();
    let mut all = running.fleet.stats(PATIENCE).into_iter().map(Option::unwrap);
    let (mut first, second) = (all.next().unwrap(), all.next().unwrap());
    assert_eq!([&first, &second].map(|stats| (stats.connections, stats.received.texts)), [(1, 1); 2]);
    first.merge(&second);
    assert_eq!((first.connections, first.sent.texts, all.next().is_none()), (2, 2, true));
    let idle = Fleet::new(2, Config::default(), |thread| Hall { thread, gate: None }).unwrap();
    assert!(idle.handle().stats(Duration::ZERO).iter().all(Option::is_none));
}

/// Publishes to all threads, to each as often as it takes.
fn publish(fleet: &FleetHandle, text: &str) {
    let message = Prepared::new(text);
    let mut spread = fleet.publish("all", &message);
    while !spread.full.is_empty() {
        std::thread::yield_now();
        spread = fleet.publish_on(&spread.full, "all", &message);
    }
    assert_eq!(spread.gone, []);
}

#[test]
fn messages_of_a_thread_keep_their_order_through_queues_that_are_full() {
    let directory = Directory::new("order");
    let config = Config { max_posts: 4, post_budget: 3, ..Config::default() };
    let running = Running::new(2, config, &[directory.addr("hall")]);
    let mut clients = running.two_clients();
    let fleet = running.fleet.clone();
    let publisher = std::thread::spawn(move || (0..2_000).for_each(|n| publish(&fleet, &n.to_string())));
    for number in 0..2_000 {
        for client in &mut clients {
            client.expect_text(&number.to_string());
        }
    }
    publisher.join().unwrap();
}

#[test]
fn a_queue_that_is_full_says_so_and_is_counted() {
    let directory = Directory::new("full");
    let config = Config { max_posts: 2, ..Config::default() };
    let (waits, is_waiting) = channel();
    let (go_on, goes_on) = channel();
    // For the one handler that will be told to wait.
    let gate = Mutex::new(Some((waits, goes_on)));
    let make = move |thread| {
        let gate = (thread == 1).then(|| gate.lock().unwrap_or_else(PoisonError::into_inner).take());
        Hall { thread, gate: gate.flatten() }
    };
    let running = Running::of(&[directory.addr("hall")], Fleet::new(2, config, make).unwrap());
    let [mut first, mut second] = running.two_clients();
    second.text("wait");
    is_waiting.recv_timeout(PATIENCE).unwrap();
    for text in ["one", "two"] {
        assert_eq!(running.fleet.publish_on(&[1], "all", &Prepared::new(text)).taken, 1);
    }
    for text in ["three", "four"] {
        let refused = Spread { full: vec![1], ..Spread::default() };
        assert_eq!(running.fleet.publish_on(&[1], "all", &Prepared::new(text)), refused);
    }
    assert_eq!(running.fleet.counts().overflowed, 2);
    let others = running.fleet.publish("all", &Prepared::new("elsewhere"));
    assert_eq!(others, Spread { taken: 1, full: vec![1], gone: vec![] });
    first.expect_text("elsewhere");
    go_on.send(()).unwrap();
    second.expect_text("one");
    second.expect_text("two");
    publish(&running.fleet, "five");
    second.expect_text("five");
}

#[test]
fn a_port_of_somebody_else_is_shared_only_where_that_is_meant() {
    let running = Running::new(2, Config::default(), &[local()]);
    let mut other = Fleet::new(2, Config::default(), |thread| Hall { thread, gate: None }).unwrap();
    let refused = other.listen(&running.addrs[0]).unwrap_err().to_string();
    assert!(refused.contains("in use"), "{refused}");
    let options = ListenOptions { reuse_port: true, ..ListenOptions::default() };
    let listen = Listen { options, ..Listen::default() };
    assert_eq!(other.listen_with(&running.addrs[0], &listen).unwrap(), running.addrs[0]);
}

#[test]
fn a_fleet_that_contradicts_itself_is_not_made() {
    let make = |thread| Hall { thread, gate: None };
    for threads in [0, 1_025] {
        let error = Fleet::new(threads, Config::default(), make).unwrap_err();
        assert!(matches!(error, Error::Fleet(FleetError::Threads(count)) if count == threads), "{error}");
    }
    let config = Config { max_posts: 0, ..Config::default() };
    assert!(matches!(Fleet::new(2, config, make).unwrap_err(), Error::Config(_)));
    let mut fleet = Fleet::new(2, Config::default(), make).unwrap();
    let error =
        fleet.listen_with(&"unix:/run/gnezdo.takeover".parse().unwrap(), &Listen::takeover()).unwrap_err();
    assert!(matches!(error, Error::Fleet(FleetError::Takeover)), "{error}");
}
