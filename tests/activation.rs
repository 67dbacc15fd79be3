//! Socket activation as `sd_listen_fds(3)` has it: a shell stands in for systemd, and a child process of this test for the
//! service.
#![cfg(all(target_os = "linux", feature = "net"))]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use gnezdo::net::{ActivationError, Inherited};

/// Runs the service with this socket as descriptor 3, and these variables; answers with the lines it said.
fn service(socket: impl Into<OwnedFd>, variables: &str) -> Vec<String> {
    let script = format!("{variables} exec \"$0\" \"$@\" 3<&0 </dev/null");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).arg(std::env::current_exe().unwrap());
    shell.args(["--exact", "what_the_service_does", "--nocapture"]).env(SERVICE, "yes");
    let output = shell.stdin(Stdio::from(socket.into())).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    said.lines().filter_map(|line| Some(line.split_once("> ")?.1.to_owned())).collect()
}

/// Tells a child of this test that it is the service.
const SERVICE: &str = "GNEZDO_ACTIVATED";

/// The service: says what it was given, and what a child of its own would be.
#[test]
fn what_the_service_does() {
    if std::env::var_os(SERVICE).is_none() {
        return;
    }
    match Inherited::from_systemd() {
        Ok(given) => {
            for inherited in given {
                println!("> {} {}", inherited.addr(), inherited.name().unwrap_or("unnamed"));
            }
        }
        Err(ActivationError::Count { text }) => println!("> no number: {text}"),
        Err(ActivationError::NotListening { index, .. }) => println!("> {index} does not listen"),
        Err(error) => println!("> {error}"),
    }
    println!("> again {}", Inherited::from_systemd().map_or(0, |given| given.len()));
    let child =
        Command::new("sh").args(["-c", "echo ${LISTEN_PID-none} ${LISTEN_FDS-none}"]).output().unwrap();
    println!("> child {}", String::from_utf8(child.stdout).unwrap().trim());
}

fn tcp() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    (listener, addr)
}

#[test]
fn listeners_come_with_their_names_once_and_not_to_children() {
    let (listener, addr) = tcp();
    let said = service(listener, "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web");
    assert_eq!(said, [&format!("{addr} web"), "again 0", "child none none"]);
    let path = std::env::temp_dir().join(format!("gnezdo-activation-{}.sock", std::process::id()));
    let said = service(UnixListener::bind(&path).unwrap(), "LISTEN_PID=$$ LISTEN_FDS=1");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(said, [&format!("unix:{} unnamed", path.display()), "again 0", "child none none"]);
}

#[test]
fn who_was_not_started_so_has_none() {
    for variables in ["", "LISTEN_FDS=1", "LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_PID=$$ LISTEN_FDS=0"] {
        let said = service(tcp().0, variables);
        assert_eq!(said[0], "again 0", "{variables}");
    }
}

#[test]
fn what_cannot_be_served_is_named() {
    for count in ["", "-1", "one", "1025", "99999999999999999999"] {
        let said = service(tcp().0, &format!("LISTEN_PID=$$ LISTEN_FDS='{count}'"));
        assert_eq!(said[0], format!("no number: {count}"));
    }
    let (listener, addr) = tcp();
    let stream = TcpStream::connect(addr).unwrap();
    assert_eq!(service(stream, "LISTEN_PID=$$ LISTEN_FDS=1")[0], "0 does not listen");
    drop(listener);
    let (one, _other) = UnixStream::pair().unwrap();
    assert_eq!(service(one, "LISTEN_PID=$$ LISTEN_FDS=1")[0], "0 does not listen");
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(service(file, "LISTEN_PID=$$ LISTEN_FDS=1")[0], "0 does not listen");
}
