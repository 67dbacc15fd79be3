//! How a fleet ends: together, however it begins to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gnezdo::{Addr, Config, Error, Fleet, FleetError, Prepared, Spread};

use crate::rules::{Client, Directory, PATIENCE};
use crate::{Hall, Running, local, thread_of};

const GRACE: Duration = Duration::from_millis(600);

fn hall(thread: usize) -> Hall {
    Hall { thread, gate: None }
}

/// Is told to go, and goes.
fn leaves(client: &mut Client) {
    assert_eq!(client.next().close_code(), Some(1001));
    client.close(1001);
}

#[test]
fn a_shutdown_is_told_of_all_threads_together() {
    let directory = Directory::new("shutdown");
    let running = Running::new(2, Config::default(), &[directory.addr("hall")]);
    let mut clients: Vec<Client> = (0..6).map(|_| running.client()).collect();
    let fleet = running.fleet.clone();
    let mute = clients.split_off(4);
    fleet.shutdown(GRACE).unwrap();
    clients.iter_mut().for_each(leaves);
    let report = running.ended().unwrap().unwrap();
    assert_eq!((report.closed, report.cut), (4, 2), "{report}");
    assert!(report.took >= GRACE, "{report}");
    let late = fleet.publish("all", &Prepared::new("late"));
    assert_eq!(late, Spread { gone: vec![0, 1], ..Spread::default() });
    drop(mute);
}

#[test]
fn what_a_handler_asks_for_ends_all_threads() {
    for (word, reports) in [("stop", false), ("shut down", true)] {
        let directory = Directory::new("word");
        let running = Running::new(2, Config::default(), &[directory.addr("hall")]);
        let [mut first, mut second] = running.two_clients();
        second.text(word);
        if reports {
            leaves(&mut first);
            leaves(&mut second);
        }
        let report = running.ended().unwrap();
        assert_eq!(report.map(|report| (report.closed, report.cut)), reports.then_some((2, 0)));
    }
}

#[test]
fn a_stop_before_the_beginning_is_the_end() {
    let mut fleet = Fleet::new(2, Config::default(), hall).unwrap();
    fleet.listen(&local()).unwrap();
    fleet.handle().stop().unwrap();
    assert_eq!(fleet.run().unwrap(), None);
}

/// Whichever thread it is, the one that runs them among them.
#[test]
fn a_panic_ends_all_threads_and_says_where_it_was() {
    for unlucky in 0..2 {
        let directory = Directory::new("panic");
        let running = Running::new(2, Config::default(), &[directory.addr("hall")]);
        let mut clients = running.two_clients();
        clients[unlucky].text("panic");
        leaves(&mut clients[1 - unlucky]);
        clients[unlucky].expect_end(PATIENCE);
        let error = running.ended().unwrap_err();
        assert_eq!(error.to_string(), format!("thread {unlucky} of the fleet panicked: as it was told"));
        assert!(matches!(error, Error::Fleet(FleetError::Panicked { thread, .. }) if thread == unlucky));
    }
}

#[test]
fn a_handler_that_cannot_be_made_ends_all_threads() {
    let fleet = Fleet::new(3, Config::default(), |thread| {
        assert_ne!(thread, 2, "no handler today");
        hall(thread)
    });
    let error = Running::of(&[local()], fleet.unwrap()).ended().unwrap_err();
    let Error::Fleet(FleetError::Panicked { thread: 2, message }) = error else { panic!("{error}") };
    assert!(message.contains("no handler today"), "{message}");
}

/// Clients that come, cry and go by both ways, while it ends.
#[test]
fn a_shutdown_under_load_ends_in_time() {
    let directory = Directory::new("load");
    let running = Running::new(2, Config::default(), &[local(), directory.addr("hall")]);
    let stop = AtomicBool::new(false);
    let (began, report) = std::thread::scope(|scope| {
        for addr in running.addrs.clone().into_iter().cycle().take(4) {
            let (stop, fleet) = (&stop, running.fleet.clone());
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    visit(&addr);
                    let _ = fleet.publish("all", &Prepared::new("news"));
                }
            });
        }
        std::thread::sleep(GRACE);
        let (fleet, began) = (running.fleet.clone(), Instant::now());
        fleet.shutdown(GRACE).unwrap();
        let ended = running.ended();
        // Before any judgement: nobody waits for visitors that never stop.
        stop.store(true, Ordering::Relaxed);
        (began, ended)
    });
    let report = report.unwrap().unwrap();
    assert!(began.elapsed() < PATIENCE, "{report}");
    assert!(!std::path::Path::new(&path_of(&directory.addr("hall"))).exists(), "the socket is left behind");
}

fn path_of(addr: &Addr) -> String {
    addr.to_string().split_off("unix:".len())
}

/// Comes, says something, and goes; whoever comes too late may be refused or reset at any moment.
fn visit(addr: &Addr) {
    let request = crate::rules::upgrade_request(&[]);
    let answer = match addr {
        Addr::Tcp(addr) => std::net::TcpStream::connect(addr).and_then(|stream| talk(stream, &request)),
        Addr::Unix(_) => {
            std::os::unix::net::UnixStream::connect(path_of(addr)).and_then(|stream| talk(stream, &request))
        }
    };
    drop(answer);
}

fn talk(mut stream: impl std::io::Read + std::io::Write, request: &[u8]) -> std::io::Result<()> {
    stream.write_all(request)?;
    stream.read_exact(&mut [0; 64])?;
    stream.write_all(&crate::rules::Frame::text("cry").masked())?;
    stream.read_exact(&mut [0; 1])
}

#[test]
fn the_threads_are_over_when_a_fleet_is() {
    let directory = Directory::new("over");
    let running = Running::new(3, Config::default(), &[directory.addr("hall")]);
    let mut client = running.client();
    thread_of(&mut client);
    let (fleet, addr) = (running.fleet.clone(), running.addrs[0].clone());
    drop(running);
    client.expect_end(PATIENCE);
    assert_eq!(fleet.publish("all", &Prepared::new("late")).gone, [0, 1, 2]);
    // The path is free again.
    drop(Running::new(1, Config::default(), &[addr]));
}
