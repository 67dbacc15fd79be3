//! The same libraries, and `openssl s_client`, as clients of a server with TLS that runs in a thread of this process.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use gnezdo::tls::{Identity, TlsServer};
use gnezdo::ws::DeflateConfig;
use gnezdo::{Addr, Config, ConnId, Context, Handler, Listen, Message, Reactor};
use libtest_mimic::{Failed, Trial};

use super::output;

/// What the programs are asked to do; each case is described where it is done, in `tls.py` and `tls.mjs`.
const CASES: [&str; 4] =
    ["messages_come_back", "a_large_message_comes_back", "it_closes_in_order", "a_stranger_is_not_trusted"];

/// The cases of a library, whose program is `command`.
pub(crate) fn trials(name: &str, command: &[OsString]) -> Vec<Trial> {
    let trial = |case: &'static str| {
        let command = command.to_vec();
        Trial::test(format!("{name}::tls::{case}"), move || {
            let server = server();
            let mut program = Command::new(&command[0]);
            program.args(&command[1..]).arg("--address").arg(server.websocket.to_string());
            output(program.arg("--ca").arg(&server.certificate).args(["--case", case]))?;
            Ok(())
        })
    };
    CASES.into_iter().map(trial).collect()
}

/// Those of `openssl s_client`; `None` where it is missing.
pub(crate) fn openssl() -> Option<Vec<Trial>> {
    system_openssl()?;
    let versions = ["-tls1_2", "-tls1_3"];
    let trial = |version: &'static str| {
        Trial::test(format!("openssl::bytes_come_back{}", version.replace('-', "_")), move || echo(version))
    };
    Some(versions.into_iter().map(trial).collect())
}

fn system_openssl() -> Option<()> {
    output(Command::new("openssl").arg("version")).ok().map(drop)
}

/// Sends a line and reads it again; then a stream that is ended by `close_notify`, which the program checks.
fn echo(version: &str) -> Result<(), Failed> {
    let server = server();
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-servername", "localhost"])
        .args([version, "-connect", &server.raw.to_string(), "-CAfile"])
        .arg(&server.certificate)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut input = client.stdin.take().unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    for line in ["one", "two", &"x".repeat(100_000)] {
        writeln!(input, "{line}")?;
        let echoed = lines.next().ok_or("the client ended")??;
        if echoed != line {
            return Err("another line came back".into());
        }
    }
    writeln!(input, "bye")?;
    let after = lines.collect::<Result<Vec<_>, _>>()?;
    let status = client.wait()?;
    if after == ["bye"] && status.success() { Ok(()) } else { Err(format!("{after:?}, {status}").into()) }
}

/// Where the server listens, and whom to trust.
struct Server {
    websocket: SocketAddr,
    raw: SocketAddr,
    certificate: PathBuf,
}

/// One server for all, which ends with the process.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
        let certificate = super::build_directory().join(format!("interop-{}.pem", std::process::id()));
        std::fs::write(&certificate, cert.pem()).unwrap();
        let key = signing_key.serialize_pem();
        let identity = Identity::from_pem(cert.pem().as_bytes(), key.as_bytes()).unwrap();
        let tls = Some(TlsServer::new(vec![identity]).unwrap());
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut config = Config::default();
            config.websocket.deflate = Some(DeflateConfig::default());
            let mut reactor = Reactor::new(Echo, config).unwrap();
            let mut listen = |listen: &Listen| match reactor
                .listen_with(&"127.0.0.1:0".parse().unwrap(), listen)
                .unwrap()
                .addr
            {
                Addr::Tcp(addr) => addr,
                Addr::Unix(_) => unreachable!("a TCP address was asked for"),
            };
            let websocket = listen(&Listen { tls: tls.clone(), ..Listen::default() });
            tell.send((websocket, listen(&Listen { tls, ..Listen::raw() }))).unwrap();
            reactor.run().unwrap();
        });
        let (websocket, raw) = told.recv().unwrap();
        Server { websocket, raw, certificate }
    })
}

/// Takes the certificate's file away again.
pub(crate) fn clean() {
    let _ =
        std::fs::remove_file(super::build_directory().join(format!("interop-{}.pem", std::process::id())));
}

struct Echo;

impl Handler for Echo {
    type Conn = ();
    type Post = ();

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        let _ = cx.send(id, message);
    }

    fn on_bytes(&mut self, cx: &mut Context<'_, Self>, id: ConnId, bytes: &[u8]) {
        let _ = cx.send(id, bytes);
        if bytes.ends_with(b"bye\n") {
            cx.finish(id);
        }
    }
}
