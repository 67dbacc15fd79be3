//! What the release build of the `echo` example takes from its machine: memory, processor time, descriptors, system
//! calls, and how it gives them back. Each test prints what it measured.
//!
//!     cargo test --test resources                           # what takes seconds
//!     cargo test --test resources -- --include-ignored      # and what takes longer
#![cfg(all(target_os = "linux", feature = "net", feature = "deflate"))]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]
#![expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "figures to look at")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use support::{
    BINARY, CLOSE, Client, Echo, Frame, KIB, MIB, PATIENCE, PING, Stream, TEXT, Target, descriptors, frame,
    processor_time, report, resident, skipped, sockets_of, soft_limit_of_descriptors,
};

/// One at a time: they measure, and some of them take almost all descriptors of this process.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How late the process may be told of what is due, where other processes want the processor as well.
const SCHEDULING: Duration = Duration::from_secs(3);

/// Waits until something is true.
fn until(what: &str, patience: Duration, mut is_true: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    began.elapsed()
}

fn kib(bytes: u64) -> String {
    format!("{:.0} KiB", bytes as f64 / KIB as f64)
}

/// How much more memory a server has now.
fn growth(server: &Echo, before: u64) -> u64 {
    resident(server.process).saturating_sub(before)
}

/// What a healthy client of a server that has other things to do meanwhile sees.
fn assert_serves_others(target: &Target, when: &str) {
    let mut healthy = Client::connect(target);
    let mut slowest = Duration::ZERO;
    for number in 0..100_u32 {
        let began = Instant::now();
        healthy.echoed(&number.to_be_bytes());
        slowest = slowest.max(began.elapsed());
    }
    report(&format!("{when}, another client's slowest echo of 100 took {slowest:.1?}"));
    assert!(slowest < Duration::from_secs(2));
}

// Idle connections (G1, R32)

#[test]
#[ignore = "takes almost all descriptors of two processes"]
fn an_idle_tcp_connection_costs_at_most_128_bytes_and_no_processor_time() {
    idle_connections(|server| Target::Tcp(server.tcp));
}

#[test]
#[ignore = "takes almost all descriptors of two processes"]
fn an_idle_unix_connection_costs_at_most_128_bytes_and_no_processor_time() {
    idle_connections(|server| Target::Unix(server.unix.clone()));
}

fn idle_connections(target: impl Fn(&Echo) -> Target) {
    let _alone = alone();
    let limit = soft_limit_of_descriptors();
    let count = 19_000.min(limit.saturating_sub(200));
    if count < 19_000 {
        skipped("19,000 idle connections", &format!("only {count} with {limit} descriptors a process"));
    }
    // The deadline of idle peers is armed, but does not come while this runs.
    let server = Echo::start(&["--idle-timeout", "3600"]);
    let target = target(&server);
    // The loop's own buffers are there once they were used, whatever the number of connections.
    let first = idle_after_one_echo(&target, 0);
    let before = resident(server.process);
    let began = Instant::now();
    let connections: Vec<Stream> = (0..count).map(|number| idle_after_one_echo(&target, number)).collect();
    let took = began.elapsed();
    assert!(sockets_of(server.process) >= count);
    let grown = growth(&server, before);
    let each = grown as f64 / count as f64;
    let spent = processor_time(server.process);
    std::thread::sleep(Duration::from_secs(3));
    let spent = processor_time(server.process).saturating_sub(spent);
    report(&format!(
        "{count} idle {} connections: {each:.0} bytes each ({} before, {} more), {spent:?} of processor time \
         in 3 s; opened and echoed in {took:.1?}",
        target.kind(),
        kib(before),
        kib(grown)
    ));
    assert!(each <= 128.0, "{each:.0} bytes per idle connection");
    assert!(spent <= Duration::from_millis(10), "{spent:?} of processor time while idle");
    drop((first, connections));
    let gone = until("all connections are closed", PATIENCE, || sockets_of(server.process) < 10);
    report(&format!("all of them gone {gone:.1?} after the clients closed"));
    assert_serves_others(&target, "afterwards");
}

/// Opens a connection and has one message echoed, without a byte of memory kept on this side.
fn idle_after_one_echo(target: &Target, number: usize) -> Stream {
    const CONNECTIONS_PER_SOURCE: usize = 2_000;
    let mut stream = target.connect_from(1 + (number / CONNECTIONS_PER_SOURCE) as u8).unwrap();
    stream.request();
    stream.upgraded();
    stream.write_all(&frame(TEXT, b"once")).unwrap();
    let mut echo = [0; 6];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"\x81\x04once");
    stream
}

// Descriptors (R34, R26)

#[test]
fn no_descriptor_is_inherited_by_programs_the_server_starts() {
    let _alone = alone();
    let server = Echo::start(&[]);
    let clients: Vec<Client> = server.targets().iter().map(Client::connect).collect();
    // What was inherited from us, the server cannot help.
    let ours = descriptors(std::process::id());
    let inherited =
        |descriptor, target: &_| ours.iter().any(|(d, t, open)| *d == descriptor && t == target && *open);
    let own = descriptors(server.process).into_iter();
    let own: Vec<_> = own.filter(|(number, target, _)| *number > 2 && !inherited(*number, target)).collect();
    for (number, target, open) in &own {
        assert!(!open, "descriptor {number} ({}) is not close-on-exec", target.display());
    }
    report(&format!("{} descriptors beyond the standard ones, all of them close-on-exec", own.len()));
    assert!(own.len() >= 6, "a poll, a waker, two listeners and two connections at least");
    drop(clients);
}

#[test]
fn without_descriptors_tcp_clients_wait_and_are_served_when_some_are_freed() {
    out_of_descriptors(|server| Target::Tcp(server.tcp));
}

#[test]
fn without_descriptors_unix_clients_wait_and_are_served_when_some_are_freed() {
    out_of_descriptors(|server| Target::Unix(server.unix.clone()));
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Served,
    Waiting,
    Refused,
}

/// What has become of a client that sent its request; it reads nothing before it was served.
fn fate(stream: &mut Stream) -> Fate {
    stream.set_nonblocking(true);
    let answer = stream.read(&mut [0; 512]);
    stream.set_nonblocking(false);
    match answer {
        Ok(0) => Fate::Refused,
        Ok(_) => Fate::Served,
        Err(error) if error.kind() == ErrorKind::WouldBlock => Fate::Waiting,
        Err(_) => Fate::Refused,
    }
}

fn out_of_descriptors(target: impl Fn(&Echo) -> Target) {
    let _alone = alone();
    let server = Echo::start_under(&["sh", "-c", r#"ulimit -n 64; exec "$@""#, "sh"], &[]);
    let target = target(&server);
    let mut clients: Vec<Stream> = (0..90).map(|_| target.connect().unwrap()).collect();
    for client in &mut clients {
        client.request();
    }
    std::thread::sleep(Duration::from_millis(500));
    let fates: Vec<Fate> = clients.iter_mut().map(fate).collect();
    let count = |wanted| fates.iter().filter(|fate| **fate == wanted).count();
    let (lucky_ones, waiting, refused) = (count(Fate::Served), count(Fate::Waiting), count(Fate::Refused));

    let spent = processor_time(server.process);
    std::thread::sleep(Duration::from_secs(2));
    let spent = processor_time(server.process).saturating_sub(spent) / 2;

    let (mut lucky, mut queue): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    for (client, fate) in clients.into_iter().zip(&fates) {
        match fate {
            Fate::Served => lucky.push(client),
            Fate::Waiting => queue.push(client),
            Fate::Refused => {}
        }
    }
    drop(lucky);
    let began = Instant::now();
    for client in &mut queue {
        until("a waiting client is served", SCHEDULING.saturating_sub(began.elapsed()), || {
            fate(client) == Fate::Served
        });
    }
    let freed = began.elapsed();
    report(&format!(
        "with 64 descriptors, of 90 {} clients {lucky_ones} served, {waiting} waiting, {refused} refused; {spent:?} of \
         processor time a second meanwhile; all who waited served {freed:?} after the others left",
        target.kind()
    ));
    assert!(lucky_ones >= 40 && waiting + refused >= 20, "the limit was not met");
    assert!(spent <= Duration::from_millis(50), "{spent:?} of processor time a second without descriptors");
    drop(queue);
    Client::connect(&target).echoed(b"new");
}

// System calls (R29, G17)

const CONNECTIONS: usize = 50;
const ROUNDS: usize = 1_000;

#[test]
#[ignore = "takes long: every system call is traced"]
fn a_small_message_costs_one_receive_and_one_send() {
    let _alone = alone();
    if Command::new("strace").arg("--version").output().is_err() {
        return skipped("system calls per message", "there is no strace");
    }
    for kind in [0, 1] {
        let table = std::env::temp_dir().join(format!("gnezdo-strace-{}", std::process::id()));
        let wrapper = ["strace", "-f", "-c", "-U", "name,calls,errors", "-o", table.to_str().unwrap()];
        let mut server = Echo::start_under(&wrapper, &[]);
        let target = server.targets()[kind].clone();
        ping_pong(&target, CONNECTIONS, ROUNDS);
        server.signal("TERM");
        server.ended();
        let text = std::fs::read_to_string(&table).unwrap();
        std::fs::remove_file(&table).unwrap();
        let messages = (CONNECTIONS * ROUNDS) as f64;
        report(&format!("system calls for {messages} messages over {}:\n{text}", target.kind()));
        let calls = |names: &[&str], column| -> f64 {
            let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let lines = lines.filter(|words| words.first().is_some_and(|name| names.contains(name)));
            lines.map(|words| words.get(column).map_or(0.0, |count: &&str| count.parse().unwrap())).sum()
        };
        let receives = calls(&["recvfrom", "recvmsg", "read"], 1) / messages;
        let sends = calls(&["sendto", "sendmsg"], 1) / messages;
        let polls = calls(&["epoll_wait", "epoll_pwait", "epoll_pwait2"], 1) / messages;
        let in_vain = calls(&["recvfrom", "recvmsg"], 2) / messages;
        let changes = calls(&["epoll_ctl"], 1) / messages;
        report(&format!(
            "per message over {}: {receives:.4} receives ({in_vain:.4} in vain), {sends:.4} sends, {polls:.4} polls, \
             {changes:.4} changes of interest",
            target.kind()
        ));
        assert!((1.0..=1.02).contains(&receives), "{receives} receives per message");
        assert!((1.0..=1.02).contains(&sends), "{sends} sends per message");
        assert!(polls > 0.0 && polls <= 1.0, "{polls} polls per message");
        assert!(in_vain <= 0.01, "{in_vain} receives in vain per message");
        assert!(changes <= 0.01, "{changes} changes of interest per message");
    }
}

/// Sends a message on every connection, then waits for every echo, and so on.
fn ping_pong(target: &Target, connections: usize, rounds: usize) {
    let mut clients: Vec<Client> = (0..connections).map(|_| Client::connect(target)).collect();
    let (message, echo) = (frame(BINARY, &[7; 20]), [&[0x82, 20][..], &[7; 20]].concat());
    let mut received = [0; 22];
    for _ in 0..rounds {
        for client in &mut clients {
            client.stream.write_all(&message).unwrap();
        }
        for client in &mut clients {
            client.stream.read_exact(&mut received).unwrap();
            assert_eq!(received[..], echo[..]);
        }
    }
}

#[test]
#[ignore = "takes long: system calls are traced"]
fn nothing_is_written_to_a_socket_in_a_way_that_raises_sigpipe() {
    let _alone = alone();
    if Command::new("strace").arg("--version").output().is_err() {
        return skipped("writes that raise SIGPIPE", "there is no strace");
    }
    let log = std::env::temp_dir().join(format!("gnezdo-strace-log-{}", std::process::id()));
    let calls = "trace=write,writev,pwritev,pwritev2,sendto,sendmsg,splice,sendfile";
    let wrapper =
        ["strace", "-f", "-y", "-s", "0", "-e", calls, "-e", "signal=none", "-o", log.to_str().unwrap()];
    let mut server = Echo::start_under(&wrapper, &[]);
    for target in server.targets() {
        let mut client = Client::connect(&target);
        for length in [0, 20, 5_000, 20_000, 200_000] {
            client.echoed(&vec![1; length]);
        }
        // Enough for a queue, so that all the ways to send are gone.
        let mut flood = Client::connect(&target);
        let bytes = frame(BINARY, &vec![2; 60_000]).repeat(200);
        let (written, _) = flood.stream.flood(&bytes);
        let whole = written / (bytes.len() / 200);
        for _ in 0..whole {
            flood.receive();
        }
    }
    server.signal("TERM");
    server.ended();
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    let on_sockets = text.lines().filter(|line| line.contains("<socket:["));
    let (silent, loud): (Vec<_>, Vec<_>) = on_sockets.partition(|line| line.contains("MSG_NOSIGNAL"));
    report(&format!("{} sends to sockets with MSG_NOSIGNAL, {} without", silent.len(), loud.len()));
    // The library that catches signals for the example wakes its own thread by a pair of sockets.
    let loud: Vec<_> = loud.into_iter().filter(|line| !line.contains(", 1, MSG_DONTWAIT,")).collect();
    assert!(loud.is_empty(), "{loud:#?}");
    assert!(silent.len() > 20);
}

// The end (R49)

#[test]
fn a_signal_closes_everyone_with_1001_and_ends_the_server_within_its_grace() {
    let _alone = alone();
    for kind in [0, 1] {
        let mut server = Echo::start(&[]);
        let target = server.targets()[kind].clone();
        let mut readers: Vec<Client> = (0..450).map(|_| Client::connect(&target)).collect();
        let deaf: Vec<Client> = (0..50).map(|_| deaf(&target)).collect();
        for reader in &mut readers {
            reader.echoed(b"before");
        }
        server.signal("TERM");
        let began = Instant::now();
        for reader in &mut readers {
            let farewell = reader.receive();
            assert_eq!(farewell.close_code(), Some(1001), "{farewell:?}");
            reader.send(CLOSE, &1001_u16.to_be_bytes());
        }
        let told = began.elapsed();
        let (status, _) = server.ended();
        let took = began.elapsed();
        report(&format!(
            "after SIGTERM with 450 readers and 50 that do not read, over {}: all readers had 1001 after {told:.1?}, \
             the server ended after {took:.1?} with {status}",
            target.kind()
        ));
        assert_eq!(status.code(), Some(0));
        assert!(
            took < Duration::from_secs(5) + SCHEDULING,
            "the grace is five seconds, and it took {took:?}"
        );
        drop(deaf);
    }
}

#[test]
fn a_signal_ends_the_server_at_once_where_everyone_answers() {
    let _alone = alone();
    let mut server = Echo::start(&[]);
    let [tcp, unix] = server.targets();
    let mut readers: Vec<Client> =
        (0..250).flat_map(|_| [Client::connect(&tcp), Client::connect(&unix)]).collect();
    server.signal("INT");
    let began = Instant::now();
    for reader in &mut readers {
        assert_eq!(reader.receive().close_code(), Some(1001));
        reader.send(CLOSE, &1001_u16.to_be_bytes());
    }
    drop(readers);
    let (status, _) = server.ended();
    report(&format!("after SIGINT with 500 readers the server ended after {:.1?}", began.elapsed()));
    assert_eq!(status.code(), Some(0));
    assert!(began.elapsed() < SCHEDULING);
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let _alone = alone();
    let mut server = Echo::start(&[]);
    let [tcp, unix] = server.targets();
    let clients: Vec<Client> = (0..50).flat_map(|_| [deaf(&tcp), Client::connect(&unix)]).collect();
    let mut reader = Client::connect(&unix);
    server.signal("TERM");
    assert_eq!(reader.receive().close_code(), Some(1001));
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.is_running(), "the first signal leaves the others their grace");
    server.signal("TERM");
    let (status, took) = server.ended();
    report(&format!("after the second SIGTERM the server ended after {took:.1?} with {status}"));
    assert_eq!(status.code(), Some(0));
    assert!(took < SCHEDULING);
    drop(clients);
}

/// A client that has sent for more echoes than fit between it and the server, and reads none of them.
fn deaf(target: &Target) -> Client {
    let mut client = Client::open(target.connect_narrow(4096).unwrap());
    let message = frame(BINARY, &vec![3; 60_000]);
    client.stream.set_nonblocking(true);
    let most = 64 * MIB as usize;
    let (mut written, mut refused) = (0, 0);
    while written < most && refused < 5 {
        if let Ok(count) = client.stream.write(&message[written % message.len()..]) {
            (written, refused) = (written + count, 0);
        } else {
            refused += 1;
            std::thread::sleep(Duration::from_millis(4));
        }
    }
    assert!(written < most, "the server took everything of a client that does not read");
    client.stream.set_nonblocking(false);
    client
}

// Memory comes back (R39)

#[test]
#[ignore = "takes 500 MiB for a while"]
fn memory_comes_back_after_large_messages() {
    let _alone = alone();
    for kind in [0, 1] {
        let server = Echo::start(&["--idle-timeout", "3600"]);
        let target = server.targets()[kind].clone();
        let before = resident(server.process);
        // The pools, a kilobyte for each connection, and what the allocator does not find whole pages of.
        let bound = 16 * MIB + 500 * KIB + 2 * MIB;
        let mut grown = 0;
        let mut clients: Vec<Client> = (0..500).map(|_| Client::connect(&target)).collect();
        let message = frame(BINARY, &vec![5; MIB as usize]);
        // Half of each first, so that all of them are in progress at once.
        let (first, second) = message.split_at(message.len() / 2);
        for cycle in 1..=3 {
            for client in &mut clients {
                client.stream.write_all(first).unwrap();
            }
            std::thread::sleep(Duration::from_millis(300));
            let peak = growth(&server, before);
            for client in &mut clients {
                client.stream.write_all(second).unwrap();
                assert_eq!(client.receive().payload.len(), MIB as usize);
            }
            let began = Instant::now();
            grown = growth(&server, before);
            while grown > bound && began.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(100));
                grown = growth(&server, before);
            }
            report(&format!(
                "500 {} connections, 1 MiB echoed on each, cycle {cycle}: {} more in the middle, {} more afterwards",
                target.kind(),
                kib(peak),
                kib(grown)
            ));
        }
        assert!(grown <= bound, "{} were not given back", kib(grown));
    }
}

// Peers that do not read (R36, R13)

#[test]
fn echoes_that_nobody_reads_are_not_kept_beyond_a_bound() {
    let _alone = alone();
    for length in [20, 64 * 1024, 1024 * 1024] {
        for kind in [0, 1] {
            unread_echoes(kind, length);
        }
    }
}

fn unread_echoes(kind: usize, length: usize) {
    let server = Echo::start(&[]);
    let target = server.targets()[kind].clone();
    let mut client = Client::connect(&target);
    client.echoed(b"first");
    let before = resident(server.process);
    let count = 48 * MIB as usize / length;
    let mut bytes = Vec::new();
    let mut payload = vec![0; length];
    for number in 0..count as u32 {
        payload[..4].copy_from_slice(&number.to_be_bytes());
        bytes.extend(frame(BINARY, &payload));
    }
    let (written, failed) = client.stream.flood(&bytes);
    let grown = growth(&server, before);
    report(&format!(
        "48 MiB in {} messages of {length} bytes offered over {}, nothing read: {} taken by the kernel and the server, \
         {} more memory",
        count,
        target.kind(),
        kib(written as u64),
        kib(grown)
    ));
    assert_eq!(failed, None, "a slow reader is not cut off");
    assert!(written < bytes.len(), "nothing held the sender back");
    // One message in the middle of being received, one waiting to be sent, and what lies between the water marks.
    let bound = 2 * MIB + 512 * KIB;
    assert!(grown <= bound, "{} for a client that does not read", kib(grown));
    assert_serves_others(&target, "with that client");
    // It starts to read: everything it was promised comes, in order.
    let rest = bytes.split_off(written);
    let whole = count as u32;
    std::thread::scope(|scope| {
        let mut writer = client.stream.duplicate();
        scope.spawn(move || writer.write_all(&rest).unwrap());
        for number in 0..whole {
            let echo = client.receive();
            assert_eq!((echo.opcode, echo.payload.len()), (BINARY, length));
            assert_eq!(echo.payload[..4], number.to_be_bytes(), "an echo is missing");
        }
    });
    assert!(sockets_of(server.process) > 0);
}

#[test]
fn a_flood_of_pings_that_nobody_reads_the_answers_of_costs_nothing() {
    let _alone = alone();
    let server = Echo::start(&[]);
    for target in server.targets() {
        let mut client = Client::open(target.connect_narrow(4096).unwrap());
        client.echoed(b"first");
        let before = resident(server.process);
        let bytes = frame(PING, &[9; 125]).repeat(24 * MIB as usize / 131);
        let (written, failed) = client.stream.flood(&bytes);
        let grown = growth(&server, before);
        let close =
            std::iter::from_fn(|| client.try_receive().ok()).find_map(|frame: Frame| frame.close_code());
        report(&format!(
            "24 MiB of pings over {}, no pong read: {} written, then {failed:?}; {} more memory; closed with {close:?}",
            target.kind(),
            kib(written as u64),
            kib(grown)
        ));
        assert!(grown <= 256 * KIB + 64 * KIB, "{} for pongs that nobody reads", kib(grown));
        assert!(written < bytes.len(), "nothing held the sender back");
        assert!(failed.is_some() || close == Some(1008), "neither held back nor told why it is closed");
        assert_serves_others(&target, "after that client");
    }
}
