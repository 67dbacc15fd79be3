//! Our client calls servers that others wrote, over TCP and Unix-domain sockets: one case is one function, named for the
//! rule it shows. What a server does is asked for by the path of the request.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};

use gnezdo::ws::{CloseCode, DeflateConfig};
use gnezdo::{Config, ConnId, Connect};
use libtest_mimic::Trial;

use super::caller::{Caller, Told};

const MIB: usize = 1 << 20;
/// One, two, three and four bytes in UTF-8.
const LETTERS: &str = "aé€𝄞";

type Case = (&'static str, fn(&Server<'_>));

macro_rules! cases {
    ($($case:ident),* $(,)?) => { &[$((stringify!($case), $case)),*] };
}

const CASES: &[Case] = cases![
    messages_come_back_as_they_were,
    every_length_at_the_borders_of_the_frame_head_comes_back,
    sixteen_mebibytes_come_back,
    a_thousand_messages_in_flight_keep_their_order,
    a_fragmented_message_arrives_whole,
    pings_are_answered_both_ways,
    compressed_messages_come_back_in_every_way,
    sixteen_mebibytes_of_compressed_text_come_back,
    the_server_chooses_a_subprotocol_that_was_offered,
    headers_of_ours_arrive,
    every_close_code_of_the_server_is_told,
    every_close_code_of_ours_is_answered,
    an_end_without_a_close_frame_is_told,
    a_refusal_is_told_with_its_status,
    messages_in_the_segment_of_the_answer_arrive,
    a_hundred_connections_at_once_are_served,
];

/// The trials of a server that this command starts.
pub(crate) fn trials(name: &str, command: &[std::ffi::OsString]) -> Vec<Trial> {
    let (command, process) = (command.to_vec(), Arc::<OnceLock<Process>>::default());
    let each = |kind: Kind| {
        let (command, process) = (command.clone(), Arc::clone(&process));
        CASES.iter().map(move |(case, run)| {
            let (command, process) = (command.clone(), Arc::clone(&process));
            Trial::test(format!("{name}_server::{}::{case}", kind.name()), move || {
                run(&Server { kind, process: process.get_or_init(|| Process::start(&command)) });
                Ok(())
            })
        })
    };
    each(Kind::Tcp).chain(each(Kind::Unix)).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Unix,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Tcp => "tcp",
            Kind::Unix => "unix",
        }
    }
}

/// The server's process, ended in the end.
struct Process {
    child: Child,
    tcp: String,
    unix: PathBuf,
    early: String,
}

impl Process {
    fn start(command: &[std::ffi::OsString]) -> Self {
        let name = PathBuf::from(&command[1]).file_stem().unwrap().to_string_lossy().into_owned();
        let unix = std::env::temp_dir().join(format!("gnezdo-{name}-{}.sock", std::process::id()));
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .arg("--unix")
            .arg(&unix)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut after = |word: &str| {
            let line = lines.next().unwrap().unwrap();
            line.strip_prefix(word).unwrap_or_else(|| unreachable!("{line:?}")).trim().to_owned()
        };
        let (tcp, _, early) = (after("tcp"), after("unix"), after("early"));
        Self { child, tcp, unix, early }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.unix);
    }
}

/// A server over one kind of socket.
struct Server<'a> {
    kind: Kind,
    process: &'a Process,
}

impl Server<'_> {
    /// A call that asks for this.
    fn connect(&self, resource: &str) -> Connect {
        let target = match self.kind {
            Kind::Tcp => format!("ws://{}/{resource}", self.process.tcp),
            Kind::Unix => format!("ws+unix:{}:/{resource}", self.process.unix.display()),
        };
        Connect::to(&target).unwrap()
    }

    /// A client with one open connection.
    fn open(&self, resource: &str) -> (Caller, ConnId) {
        open(config(), &self.connect(resource))
    }
}

fn open(config: Config, connect: &Connect) -> (Caller, ConnId) {
    let mut caller = Caller::new(config);
    let id = caller.connect(connect);
    caller.opened(id);
    (caller, id)
}

/// Takes and sends messages of 16 MiB.
fn config() -> Config {
    let mut config = Config::default();
    config.websocket.limits.max_message = 17 * MIB;
    config.websocket.limits.max_frame = 17 << 20;
    config.settings.max_queue = 18 * MIB;
    config
}

/// Sends a message and checks that the next one is the same, and of the same type.
fn echoed(caller: &mut Caller, id: ConnId, text: &str, bytes: &[u8]) {
    caller.send(id, text);
    assert!(caller.next(id) == Told::Text(text.to_owned()), "another text came for {} bytes", text.len());
    caller.send(id, bytes);
    assert!(caller.next(id) == Told::Binary(bytes.to_vec()), "other bytes came for {}", bytes.len());
}

/// Bytes that do not compress, the same in every run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// The closing handshake, and nothing left of it.
fn good_bye(caller: &mut Caller, id: ConnId) {
    leave(caller, id);
    caller.settle();
}

fn leave(caller: &mut Caller, id: ConnId) {
    let ended = caller.close(id, CloseCode::NORMAL, "");
    assert!(ended.reason.starts_with("Handshake { by: Local"), "{ended:?}");
}

fn messages_come_back_as_they_were(server: &Server<'_>) {
    let (mut caller, id) = server.open("echo");
    echoed(&mut caller, id, "Rock it with gnezdo", &(0..=255).collect::<Vec<u8>>());
    echoed(&mut caller, id, "", b"");
    for repeat in 1..200 {
        echoed(&mut caller, id, &LETTERS.repeat(repeat), &noise(repeat));
    }
    good_bye(&mut caller, id);
}

fn every_length_at_the_borders_of_the_frame_head_comes_back(server: &Server<'_>) {
    let (mut caller, id) = server.open("echo");
    for length in [1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537] {
        echoed(&mut caller, id, &"x".repeat(length), &noise(length));
    }
    good_bye(&mut caller, id);
}

fn sixteen_mebibytes_come_back(server: &Server<'_>) {
    let (mut caller, id) = server.open("echo");
    echoed(&mut caller, id, &LETTERS.repeat(16 * MIB / LETTERS.len()), &noise(16 * MIB));
    good_bye(&mut caller, id);
}

fn a_thousand_messages_in_flight_keep_their_order(server: &Server<'_>) {
    let (mut caller, id) = server.open("echo");
    let texts: Vec<String> =
        (0..1_000).map(|number| format!("{number}:{}", "x".repeat(number % 700))).collect();
    for text in &texts {
        caller.send(id, text);
    }
    for text in texts {
        assert_eq!(caller.next(id), Told::Text(text));
    }
    good_bye(&mut caller, id);
}

fn a_fragmented_message_arrives_whole(server: &Server<'_>) {
    let (mut caller, id) = server.open("fragments");
    assert_eq!(caller.next(id), Told::Text("fragments €𝄞".to_owned()));
    assert_eq!(caller.next(id), Told::Binary((0..200).collect()));
    assert_eq!(caller.next(id), Told::Text("€".to_owned()), "a letter cut by a fragment and a ping");
    good_bye(&mut caller, id);
}

fn pings_are_answered_both_ways(server: &Server<'_>) {
    let (mut caller, id) = server.open("ping");
    assert_eq!(caller.next(id), Told::Text("all pongs came".to_owned()));
    good_bye(&mut caller, id);
    let (mut caller, id) = server.open("echo");
    for payload in [&b""[..], b"x", &[7; 125]] {
        caller.ping(id, payload);
        assert_eq!(caller.next(id), Told::Pong(payload.to_vec()));
    }
    good_bye(&mut caller, id);
}

/// What the client may ask for: each side's window, and whether it is kept from message to message.
fn deflate_configs() -> Vec<DeflateConfig> {
    let all = DeflateConfig { threshold: 0, ..DeflateConfig::default() };
    let keeps = DeflateConfig { server_no_context_takeover: false, client_no_context_takeover: false, ..all };
    let mut configs = vec![
        all,
        keeps,
        DeflateConfig { server_no_context_takeover: false, ..all },
        DeflateConfig { client_no_context_takeover: false, ..all },
    ];
    configs.extend((9..15).map(|bits| DeflateConfig {
        server_max_window_bits: bits,
        client_max_window_bits: bits,
        ..keeps
    }));
    configs
}

/// A client whose offer of compression was accepted.
fn open_compressed(server: &Server<'_>, deflate: DeflateConfig) -> (Caller, ConnId) {
    let mut config = config();
    config.websocket.deflate = Some(deflate);
    let mut caller = Caller::new(config);
    let id = caller.connect(&server.connect("echo"));
    assert!(caller.opened(id).deflate.is_some(), "{deflate:?} was not agreed to");
    (caller, id)
}

fn compressed_messages_come_back_in_every_way(server: &Server<'_>) {
    for deflate in deflate_configs() {
        let (mut caller, id) = open_compressed(server, deflate);
        for repeat in [0, 1, 1_000, 20_000] {
            for _ in 0..3 {
                echoed(&mut caller, id, &LETTERS.repeat(repeat), &noise(repeat));
            }
        }
        good_bye(&mut caller, id);
    }
}

fn sixteen_mebibytes_of_compressed_text_come_back(server: &Server<'_>) {
    let (mut caller, id) = open_compressed(server, DeflateConfig::default());
    echoed(&mut caller, id, &LETTERS.repeat(16 * MIB / LETTERS.len()), &vec![0; 16 * MIB]);
    good_bye(&mut caller, id);
}

fn the_server_chooses_a_subprotocol_that_was_offered(server: &Server<'_>) {
    for (offered, chosen) in [
        (&["chat", "news"][..], Some("chat")),
        (&["other", "news"][..], Some("news")),
        (&["other"][..], None),
        (&[][..], None),
    ] {
        let mut connect = server.connect("echo");
        connect.subprotocols = offered.iter().map(ToString::to_string).collect();
        let mut caller = Caller::new(config());
        let id = caller.connect(&connect);
        assert_eq!(caller.opened(id).subprotocol.as_deref(), chosen, "of {offered:?}");
        good_bye(&mut caller, id);
    }
}

fn headers_of_ours_arrive(server: &Server<'_>) {
    let mut connect = server.connect("headers?a=b");
    connect.headers.add("Authorization", "Bearer 123").unwrap();
    connect.headers.add("X-Letters", "\u{e9}".as_bytes()).unwrap();
    connect.headers.add("X-Twice", "one").unwrap();
    connect.headers.add("X-Twice", "two").unwrap();
    let (mut caller, id) = open(config(), &connect);
    let Told::Text(lines) = caller.next(id) else { unreachable!("no text came") };
    for line in ["Authorization: Bearer 123", "X-Twice: one", "X-Twice: two", "Upgrade: websocket"] {
        assert_eq!(lines.lines().filter(|other| *other == line).count(), 1, "{line} in {lines}");
    }
    assert!(lines.contains("X-Letters: "), "{lines}");
    good_bye(&mut caller, id);
}

fn every_close_code_of_the_server_is_told(server: &Server<'_>) {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 3000, 3999, 4000, 4999] {
        let (mut caller, id) = server.open(&format!("close?code={code}&reason=for%20a%20reason"));
        let ended = caller.ended(id);
        let frame = ended.frame.unwrap_or_else(|| unreachable!("{ended:?}"));
        assert!(ended.reason.starts_with("Handshake { by: Peer"), "{ended:?}");
        assert_eq!((frame.code().to_string(), frame.reason()), (code.to_string(), "for a reason"));
        caller.settle();
    }
}

fn every_close_code_of_ours_is_answered(server: &Server<'_>) {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 3000, 3999, 4000, 4999] {
        let (mut caller, id) = server.open("closed");
        let ended = caller.close(id, CloseCode::new(code).unwrap(), "for a reason");
        assert!(ended.reason.starts_with("Handshake { by: Local"), "{ended:?}");
        assert_eq!(ended.frame.unwrap().code().to_string(), code.to_string());
        caller.settle();
    }
}

fn an_end_without_a_close_frame_is_told(server: &Server<'_>) {
    let (mut caller, id) = server.open("leave");
    assert_eq!(caller.ended(id).reason, "EndOfStream");
    caller.settle();
}

fn a_refusal_is_told_with_its_status(server: &Server<'_>) {
    let mut caller = Caller::new(config());
    let id = caller.connect(&server.connect("refuse"));
    let ended = caller.ended(id);
    assert_eq!(ended.reason, "Refused(Status(403))");
    assert!(ended.said.contains("/refuse") && ended.said.contains("403"), "{ended:?}");
    caller.settle();
}

/// R7: no event comes for them.
fn messages_in_the_segment_of_the_answer_arrive(server: &Server<'_>) {
    for _ in 0..20 {
        let connect = Connect::to(&format!("ws://{}/early", server.process.early)).unwrap();
        let (mut caller, id) = open(config(), &connect);
        for text in ["first", "second"] {
            assert_eq!(caller.next(id), Told::Text(text.to_owned()));
        }
        good_bye(&mut caller, id);
    }
}

fn a_hundred_connections_at_once_are_served(server: &Server<'_>) {
    let mut caller = Caller::new(config());
    let ids: Vec<ConnId> = (0..100).map(|_| caller.connect(&server.connect("echo"))).collect();
    for id in &ids {
        caller.opened(*id);
    }
    for turn in 0..10 {
        for (number, id) in ids.iter().enumerate() {
            caller.send(*id, &format!("{number} {turn}{}", "x".repeat(number * 50)));
        }
        for (number, id) in ids.iter().enumerate() {
            let text = format!("{number} {turn}{}", "x".repeat(number * 50));
            assert_eq!(caller.next(*id), Told::Text(text));
        }
    }
    for id in ids {
        leave(&mut caller, id);
    }
    caller.settle();
}
