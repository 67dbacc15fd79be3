//! What concerns the whole process: descriptors that run out, descriptors that children inherit, signals.
#![cfg(feature = "net")]
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod net_support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use gnezdo::net::{AcceptError, CloseHow, ConnectOptions, ListenOptions, NetError, OsSystem, System};
use net_support::{Directory, PATIENCE, Process, accept, child_argument, connect, signal, unix};

/// The open descriptors, without the one that reads their directory.
fn descriptors() -> BTreeSet<u32> {
    let entries = fs::read_dir("/proc/self/fd").unwrap();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    let numbers = names.iter().map(|name| name.to_str().unwrap().parse().unwrap());
    numbers.filter(|descriptor| flags(*descriptor).is_some()).collect()
}

/// The flags of an open descriptor, or `None` if it is closed by now.
fn flags(descriptor: u32) -> Option<u32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

const CLOSE_ON_EXEC: u32 = 0o2_000_000;
const NON_BLOCKING: u32 = 0o4_000;

/// Runs in a child, where nobody else opens anything.
#[test]
fn child_opens_one_of_each() {
    if child_argument().is_none() {
        return;
    }
    let before = descriptors();
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    let mut sockets = Vec::new();
    for addr in ["127.0.0.1:0".parse().unwrap(), directory.addr("echo.sock")] {
        let (listener, bound) = system.listen(&addr, &ListenOptions::default()).unwrap();
        let client = connect(&mut system, &bound);
        sockets.extend([listener, client, accept(&mut system, listener).0]);
    }
    let opened: Vec<u32> = descriptors().difference(&before).copied().collect();
    assert_eq!(opened.len(), sockets.len() + 3, "poll, waker and lock besides");
    for flags in opened.iter().filter_map(|descriptor| flags(*descriptor)) {
        assert_eq!(flags & CLOSE_ON_EXEC, CLOSE_ON_EXEC);
    }
    for socket in sockets {
        assert_eq!(flags(socket.0).unwrap() & NON_BLOCKING, NON_BLOCKING);
    }
    println!("child has {} clean descriptors", opened.len());
}

#[test]
fn no_descriptor_is_inherited_and_no_socket_blocks() {
    let mut child = Process::start("child_opens_one_of_each", Path::new("-"), "true");
    assert_eq!(child.line("child has "), "9 clean descriptors");
    child.finish();
}

/// Runs in a child with few descriptors: accepts all it can, and the next ones when some are free.
#[test]
fn child_runs_out_of_descriptors() {
    let Some(path) = child_argument() else { return };
    let mut system = OsSystem::new().unwrap();
    let (listener, _) = system.listen(&unix(&path), &ListenOptions::default()).unwrap();
    println!("child listens");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let mut served = Vec::new();
    let error = loop {
        match system.accept(listener) {
            Ok((stream, _)) => served.push(stream),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AcceptError::Exhausted), "{error:?}");
    for error in [
        system.connect(&unix(&path), &ConnectOptions::default()).unwrap_err(),
        system.listen(&"127.0.0.1:0".parse().unwrap(), &ListenOptions::default()).unwrap_err(),
    ] {
        assert!(matches!(error, NetError::DescriptorsExhausted { .. }), "{error}");
        assert!(error.to_string().contains("ulimit -n"), "{error}");
    }
    let error = OsSystem::new().err().unwrap();
    assert!(matches!(error, NetError::Start { .. }), "{error}");
    println!("child served {}", served.len());
    assert!(matches!(system.accept(listener), Err(AcceptError::Exhausted)));
    for served in served {
        system.close(served, CloseHow::Graceful);
        accept(&mut system, listener);
    }
    println!("child serves again");
}

#[test]
fn when_descriptors_run_out_each_that_is_freed_serves_one_who_waits() {
    let directory = Directory::new();
    let path = directory.path("echo.sock");
    let mut child = Process::start("child_runs_out_of_descriptors", &path, "ulimit -n 40");
    child.line("child listens");
    let clients: Vec<UnixStream> = (0..70).map(|_| UnixStream::connect(&path).unwrap()).collect();
    child.answer();
    let served: usize = child.line("child served ").parse().unwrap();
    assert!(served < 40 && served * 2 <= clients.len(), "{served}");
    child.line("child serves again");
    child.finish();
}

/// Runs in a child: waits in one poll and says how it ended.
#[test]
fn child_polls() {
    if child_argument().is_none() {
        return;
    }
    let mut system = OsSystem::new().unwrap();
    println!("child polls");
    let began = Instant::now();
    let mut events = Vec::new();
    system.poll(&mut events, Some(PATIENCE)).unwrap();
    println!("child polled {} {}", events.len(), began.elapsed() < PATIENCE);
}

#[test]
fn a_signal_is_an_empty_batch_and_no_error() {
    let mut child = Process::start("child_polls", Path::new("-"), "true");
    child.line("child polls");
    let (process, (told, polls)) = (child.id(), mpsc::channel::<()>());
    std::thread::scope(|scope| {
        // Again and again: the first may come before the child waits.
        scope.spawn(move || {
            while polls.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
                signal(process, "STOP");
                std::thread::sleep(Duration::from_millis(50));
                signal(process, "CONT");
            }
        });
        assert_eq!(child.line("child polled "), "0 true");
        drop(told);
    });
    child.finish();
}
