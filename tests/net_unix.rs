//! Unix-domain sockets through the real system: permissions, stale files, live servers, full backlogs.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

mod net_support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gnezdo::net::{
    Addr, CloseHow, ConnectOptions, Connecting, Key, ListenOptions, NetError, OsSystem, Peer, Readiness,
    SocketId, System,
};
use net_support::{Directory, Process, accept, child_argument, connect, unix, wait_for};

const KEY: Key = Key(3);

fn listen(system: &mut OsSystem, addr: &Addr) -> Result<SocketId, NetError> {
    system.listen(addr, &ListenOptions::default()).map(|(listener, _)| listener)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_address_is_reported_and_clients_have_no_name() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    let addr = directory.addr("echo.sock");
    let (listener, bound) = system.listen(&addr, &ListenOptions::default()).unwrap();
    assert_eq!(bound, addr);
    let _client = UnixStream::connect(directory.path("echo.sock")).unwrap();
    assert_eq!(accept(&mut system, listener).1, Peer::Unix(None));
}

#[test]
fn the_mode_is_exactly_as_asked() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    for asked in [0o600, 0o660, 0o777, 0o000] {
        let name = format!("{asked:o}.sock");
        let options = ListenOptions { unix_mode: asked, ..ListenOptions::default() };
        system.listen(&directory.addr(&name), &options).unwrap();
        assert_eq!(mode(&directory.path(&name)), asked);
    }
}

#[test]
fn a_mode_that_is_more_than_permissions_is_refused() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    let options = ListenOptions { unix_mode: 0o4600, ..ListenOptions::default() };
    let error = system.listen(&directory.addr("echo.sock"), &options).unwrap_err();
    assert_eq!(error.to_string(), "the mode 0o4600 is no set of permissions: use for example 0o600 or 0o660");
    assert!(!directory.path("echo.sock").exists());
}

/// Runs in a child: listens and says so, until it is killed.
#[test]
fn child_listens() {
    let Some(path) = child_argument() else { return };
    let mut system = OsSystem::new().unwrap();
    listen(&mut system, &unix(&path)).unwrap();
    println!("child listens {:o}", mode(&path));
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn the_mode_does_not_depend_on_the_umask() {
    let directory = Directory::new();
    for umask in ["umask 0", "umask 077", "umask 777"] {
        let mut child = Process::start("child_listens", &directory.path("echo.sock"), umask);
        assert_eq!(child.line("child listens"), "600", "{umask}");
    }
}

#[test]
fn what_a_killed_server_left_is_taken_over() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    let addr = directory.addr("echo.sock");
    let mut child = Process::start("child_listens", &directory.path("echo.sock"), "true");
    child.line("child listens");
    let error = listen(&mut system, &addr).unwrap_err();
    assert!(matches!(error, NetError::NameInUse { .. }), "{error}");
    child.signal("KILL");
    drop(child);
    assert!(directory.path("echo.sock").exists() && directory.path("echo.sock.lock").exists());
    let listener = listen(&mut system, &addr).unwrap();
    let _client = UnixStream::connect(directory.path("echo.sock")).unwrap();
    accept(&mut system, listener);
}

#[test]
fn a_live_server_keeps_its_path() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    let addr = directory.addr("echo.sock");
    let listener = listen(&mut system, &addr).unwrap();
    let before = fs::symlink_metadata(directory.path("echo.sock")).unwrap().ino();
    let error = listen(&mut system, &addr).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{addr} is in use by a running server: stop it, or take another name")
    );
    assert_eq!(fs::symlink_metadata(directory.path("echo.sock")).unwrap().ino(), before);
    let _client = UnixStream::connect(directory.path("echo.sock")).unwrap();
    accept(&mut system, listener);
}

#[test]
fn a_live_server_that_knows_no_lock_keeps_its_path_too() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    let _stream = UnixListener::bind(directory.path("stream.sock")).unwrap();
    let _datagram = UnixDatagram::bind(directory.path("datagram.sock")).unwrap();
    for name in ["stream.sock", "datagram.sock"] {
        let error = listen(&mut system, &directory.addr(name)).unwrap_err();
        assert!(matches!(error, NetError::NameInUse { .. }), "{error}");
        assert!(directory.path(name).exists());
        assert!(!directory.path(&format!("{name}.lock")).exists());
    }
}

#[test]
fn what_a_dead_server_that_knows_no_lock_left_is_taken_over() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    drop(UnixListener::bind(directory.path("echo.sock")).unwrap());
    listen(&mut system, &directory.addr("echo.sock")).unwrap();
}

#[test]
fn what_is_no_socket_is_not_touched() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    fs::write(directory.path("file"), "precious").unwrap();
    fs::create_dir(directory.path("directory")).unwrap();
    std::os::unix::fs::symlink(directory.path("file"), directory.path("link")).unwrap();
    for name in ["file", "directory", "link"] {
        let error = listen(&mut system, &directory.addr(name)).unwrap_err();
        assert!(matches!(error, NetError::PathNotSocket { .. }), "{error}");
        assert!(error.to_string().contains("move it away yourself"), "{error}");
        assert!(!directory.path(&format!("{name}.lock")).exists());
    }
    assert_eq!(fs::read_to_string(directory.path("file")).unwrap(), "precious");
}

/// Only the administrator can make another user's file; others prove nothing here.
#[test]
fn what_another_users_server_left_is_not_touched() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    let path = directory.path("echo.sock");
    drop(UnixListener::bind(&path).unwrap());
    if std::os::unix::fs::chown(&path, Some(65534), None).is_err() {
        return;
    }
    let error = listen(&mut system, &directory.addr("echo.sock")).unwrap_err();
    assert!(matches!(error, NetError::PathNotOurs { owner: 65534, user: 0, .. }), "{error}");
    assert!(error.to_string().contains("remove it yourself"), "{error}");
    assert!(path.exists());
}

#[test]
fn a_missing_directory_is_an_error_with_a_cure() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    let error = listen(&mut system, &directory.addr("missing/echo.sock")).unwrap_err();
    assert!(matches!(error, NetError::DirectoryMissing { .. }), "{error}");
    assert!(error.to_string().contains("create it first"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_without_the_right_is_an_error_with_a_cure() {
    let mut system = OsSystem::new().unwrap();
    let error = listen(&mut system, &"unix:/sys/echo.sock".parse().unwrap()).unwrap_err();
    assert!(matches!(error, NetError::NotPermitted { .. }), "{error}");
}

#[test]
fn closing_takes_the_files_away() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    let listener = listen(&mut system, &directory.addr("closed.sock")).unwrap();
    listen(&mut system, &directory.addr("dropped.sock")).unwrap();
    system.close(listener, CloseHow::Graceful);
    drop(system);
    for name in ["closed.sock", "closed.sock.lock", "dropped.sock", "dropped.sock.lock"] {
        assert!(fs::symlink_metadata(directory.path(name)).is_err(), "{name}");
    }
}

#[test]
fn closing_leaves_what_is_not_ours_any_more() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    let listener = listen(&mut system, &directory.addr("echo.sock")).unwrap();
    fs::remove_file(directory.path("echo.sock")).unwrap();
    let other = UnixListener::bind(directory.path("echo.sock")).unwrap();
    system.close(listener, CloseHow::Graceful);
    UnixStream::connect(directory.path("echo.sock")).unwrap();
    drop(other);
}

#[test]
fn of_many_that_want_a_path_one_has_it() {
    static HELD: AtomicBool = AtomicBool::new(false);
    let directory = Directory::new();
    let addr = directory.addr("echo.sock");
    let contend = || {
        let mut system = OsSystem::new().unwrap();
        (0..300).filter(|_| take_and_give_back(&mut system, &addr, &HELD)).count()
    };
    let taken: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(contend)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(taken > 0);
}

fn take_and_give_back(system: &mut OsSystem, addr: &Addr, held: &AtomicBool) -> bool {
    match listen(system, addr) {
        Ok(listener) => {
            assert!(!held.swap(true, Ordering::SeqCst), "two servers have the path");
            held.store(false, Ordering::SeqCst);
            system.close(listener, CloseHow::Graceful);
            true
        }
        Err(NetError::NameInUse { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_needs_no_file() {
    let mut system = OsSystem::new().unwrap();
    let addr: Addr = format!("unix:@gnezdo-test-{}", std::process::id()).parse().unwrap();
    let listener = listen(&mut system, &addr).unwrap();
    assert!(matches!(listen(&mut system, &addr), Err(NetError::NameInUse { .. })));
    let client = connect(&mut system, &addr);
    assert_eq!(system.peer(client).unwrap().to_string(), addr.to_string());
    accept(&mut system, listener);
    system.close(listener, CloseHow::Graceful);
    listen(&mut system, &addr).unwrap();
}

#[test]
fn a_full_backlog_is_busy_and_no_error() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    let addr = directory.addr("echo.sock");
    let options = ListenOptions { backlog: 1, ..ListenOptions::default() };
    let (listener, _) = system.listen(&addr, &options).unwrap();
    let mut connected = 0;
    while let Connecting::Established(_) = system.connect(&addr, &ConnectOptions::default()).unwrap() {
        connected += 1;
        assert!(connected < 10);
    }
    accept(&mut system, listener);
    let outcome = system.connect(&addr, &ConnectOptions::default()).unwrap();
    assert!(matches!(outcome, Connecting::Established(_)));
}

#[test]
fn a_full_backlog_is_a_live_server() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    let addr = directory.addr("echo.sock");
    let options = ListenOptions { backlog: 0, ..ListenOptions::default() };
    let (_listener, _) = system.listen(&addr, &options).unwrap();
    while let Connecting::Established(_) = system.connect(&addr, &ConnectOptions::default()).unwrap() {}
    // Without its lock it looks like a server that knows none.
    fs::remove_file(directory.path("echo.sock.lock")).unwrap();
    assert!(matches!(listen(&mut system, &addr), Err(NetError::NameInUse { .. })));
}

#[test]
fn connecting_to_nobody_is_an_error_with_a_cure() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    drop(UnixListener::bind(directory.path("stale.sock")).unwrap());
    let stale = system.connect(&directory.addr("stale.sock"), &ConnectOptions::default()).unwrap_err();
    assert!(matches!(stale, NetError::Refused { .. }), "{stale}");
    let missing = system.connect(&directory.addr("missing.sock"), &ConnectOptions::default()).unwrap_err();
    assert!(matches!(missing, NetError::SocketMissing { .. }), "{missing}");
}

#[test]
fn a_closed_peer_is_a_hangup_met_by_a_read() {
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    let listener = listen(&mut system, &directory.addr("echo.sock")).unwrap();
    let client = UnixStream::connect(directory.path("echo.sock")).unwrap();
    let (server, _) = accept(&mut system, listener);
    system.register(server, KEY).unwrap();
    drop(client);
    let seen = wait_for(&mut system, KEY, Readiness::HANGUP);
    assert!(seen.contains(Readiness::READABLE | Readiness::WRITABLE | Readiness::READ_CLOSED), "{seen:?}");
    assert_eq!(system.receive(server, &mut [0; 8]).unwrap(), 0);
    let error = system.send(server, b"hello?").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

/// Linux lets a client bind itself to a name of 108 bytes without a NUL and reports 109; whoever slices by that dies.
#[cfg(target_os = "linux")]
#[test]
fn a_client_with_the_longest_name_is_accepted() {
    const CLIENT: &str = "
import ctypes, os, socket, struct, sys
client = socket.socket(socket.AF_UNIX)
name = struct.pack('H', socket.AF_UNIX) + (sys.argv[1] + '/' + 'x' * 108)[:108].encode()
assert ctypes.CDLL(None).bind(client.fileno(), name, len(name)) == 0
client.connect(sys.argv[1] + '/echo.sock')
sys.stdin.read()";
    let (directory, mut system) = (Directory::new(), OsSystem::new().unwrap());
    let listener = listen(&mut system, &directory.addr("echo.sock")).unwrap();
    let python = std::process::Command::new("python3")
        .args(["-c", CLIENT])
        .arg(directory.root())
        .stdin(std::process::Stdio::piped())
        .spawn();
    let Ok(mut python) = python else { return };
    let (_, peer) = accept(&mut system, listener);
    let Peer::Unix(Some(name)) = peer else { panic!("{peer:?}") };
    assert_eq!(name.as_path().unwrap().as_os_str().len(), 108);
    drop(python.stdin.take());
    python.wait().unwrap();
}
