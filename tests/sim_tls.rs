//! TLS in simulated worlds: an echo over it, whose client is a session of this crate's, with a fault at every call and
//! whatever a tape says; and spans that would be long on a real clock.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use gnezdo::sim::{CallKind, Calls, FaultPlan, Faults, Outcome, Peer, SimSystem, Tape, World, WorldConfig};
use gnezdo::time::Time;
use gnezdo::tls::{Identity, Seal, Session, TlsClient, TlsError, TlsServer};
use gnezdo::{Closed, Config, ConnId, Context, Handler, Listen, Prepared, Reactor};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Sends back what comes, one half of it as a message that others could be sent too.
#[derive(Default)]
struct Echo {
    opened: Vec<ConnId>,
    ended: Vec<String>,
    unsent: usize,
    refused: usize,
}

impl Handler for Echo {
    type Conn = ();
    type Post = ();

    fn on_open(&mut self, _cx: &mut Context<'_, Self>, id: ConnId) {
        self.opened.push(id);
    }

    fn on_bytes(&mut self, cx: &mut Context<'_, Self>, id: ConnId, bytes: &[u8]) {
        let (own, shared) = bytes.split_at(bytes.len() / 2);
        let _ = cx.send(id, own);
        let _ = cx.send_prepared(id, &mut Prepared::new(shared));
    }

    fn on_end(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        cx.finish(id);
    }

    fn on_close(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, closed: &Closed) {
        self.ended.push(closed.reason.to_string());
        self.unsent += closed.unsent;
    }

    fn on_tls_error(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, _error: &TlsError) {
        self.refused += 1;
    }
}

/// Whom the server is, and whom the client trusts: made once, since keys take time.
fn both_sides() -> &'static (TlsServer, TlsClient) {
    static SIDES: OnceLock<(TlsServer, TlsClient)> = OnceLock::new();
    SIDES.get_or_init(|| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        let identity = Identity::from_pem(certificate.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let client = TlsClient::with_roots(issuer.pem().as_bytes()).unwrap();
        (TlsServer::new(vec![identity]).unwrap(), client)
    })
}

/// The client: says its payload, reads until all came back, and closes.
struct Client {
    peer: Peer,
    session: Box<Session>,
    seal: Seal,
    /// Sealed, and not taken by the kernel.
    out: Vec<u8>,
    heard: Vec<u8>,
    has_spoken: bool,
    has_closed: bool,
    end: Option<End>,
}

/// How the server's stream ended, as the client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// By `close_notify`.
    Told,
    /// Without, or by a reset.
    Cut,
    /// By an alert, or by something that is no TLS.
    Failed,
}

impl Client {
    fn new(peer: Peer) -> Self {
        let (mut session, mut seal) = (both_sides().1.session("localhost", None).unwrap(), Seal::default());
        session.start(&mut seal).unwrap();
        let mut client = Self {
            peer,
            session,
            seal,
            out: Vec::new(),
            heard: Vec::new(),
            has_spoken: false,
            has_closed: false,
            end: None,
        };
        client.take_sealed();
        client
    }

    /// Does at once what it can.
    fn act(&mut self) {
        while self.end.is_none() && self.receives() {}
        if self.session.is_ready() && !self.has_spoken {
            self.has_spoken = true;
            self.say(&payload());
        }
        if self.heard.len() == SIZE && !self.has_closed {
            self.has_closed = true;
            self.session.close(&mut self.seal);
            self.take_sealed();
        }
        while !self.out.is_empty()
            && let Ok(count) = self.peer.send(&self.out)
        {
            self.out.drain(..count);
        }
    }

    fn say(&mut self, mut bytes: &[u8]) {
        let next = |most: usize| {
            let now = bytes.split_off(..most.min(bytes.len()))?;
            (!now.is_empty()).then_some(now)
        };
        self.session.seal(next, usize::MAX, &mut self.seal).unwrap();
        self.take_sealed();
    }

    /// One receive; answers whether there may be more.
    fn receives(&mut self) -> bool {
        let mut input = vec![0; self.session.carried()];
        match self.peer.receive_into(&mut input, 64 * 1024) {
            Ok(0) => self.end = Some(End::Cut),
            Ok(_) => self.open(&mut input),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(_) => self.end = Some(End::Cut),
        }
        true
    }

    fn open(&mut self, input: &mut [u8]) {
        let outcome = self.session.open(input, &mut self.heard, &mut self.seal);
        self.take_sealed();
        if outcome.is_err() {
            self.end = Some(End::Failed);
        } else if self.session.is_peer_closed() {
            self.end = Some(End::Told);
        }
    }

    fn take_sealed(&mut self) {
        self.out.extend_from_slice(self.seal.written());
        self.seal.clear();
    }
}

/// More than two records.
const SIZE: usize = 40_000;

fn payload() -> Vec<u8> {
    (0..SIZE).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// A world with a server.
fn world_of(config: WorldConfig, tape: Tape) -> (World, Reactor<Echo, SimSystem>) {
    let world = World::new(config, tape);
    let mut config = Config::default();
    config.timeouts.opening = Duration::from_secs(5);
    config.timeouts.idle = Some(IDLE);
    config.settings.receive_budget = 16 * 1024;
    config.settings.stall_timeout = Duration::from_secs(5);
    let mut reactor = Reactor::with_system(Echo::default(), config, world.system()).unwrap();
    let listen = Listen { tls: Some(both_sides().0.clone()), ..Listen::raw() };
    // A fault may prevent it: then nobody is served.
    let _ = reactor.listen_with(&"10.0.0.1:443".parse().unwrap(), &listen);
    (world, reactor)
}

const IDLE: Duration = Duration::from_secs(20);

/// Plays a visit, and judges it; answers how often which call was made.
fn play(config: WorldConfig, tape: Tape) -> Calls {
    let is_calm = config.plan.is_none() && config.faults == Faults::NONE;
    let (world, mut reactor) = world_of(config, tape);
    let mut client = world.connect(&"10.0.0.1:443".parse().unwrap()).ok().map(Client::new);
    let is_over = |reactor: &mut Reactor<Echo, SimSystem>, client: &Option<Client>| {
        reactor.with(|_, cx| cx.connections()) == 0
            && client.as_ref().is_none_or(|client| client.end.is_some())
    };
    let until = Time::ZERO.saturating_add(Duration::from_secs(120));
    let (mut turns, mut is_broken) = (0, false);
    while !is_broken && world.now() < until && (turns < 3 || !is_over(&mut reactor, &client)) {
        client.iter_mut().for_each(Client::act);
        // Where the loop cannot be polled any more, nothing more can be asked of it.
        is_broken = reactor.turn(Some(Duration::from_millis(100))).is_err();
        turns += 1;
        assert!(turns < 20_000, "the world does not come to rest");
    }
    let calls = world.stats().calls;
    if is_broken {
        return calls;
    }
    let echo = reactor.handler();
    assert_eq!(echo.opened.len(), echo.ended.len(), "{:?}", echo.ended);
    assert_eq!(world.stats().bad_descriptors, 0);
    if let Some(client) = client {
        judge(&client, echo, is_calm);
    }
    assert_eq!(reactor.with(|_, cx| (cx.connections(), cx.queued())), (0, 0));
    calls
}

fn judge(client: &Client, echo: &Echo, is_calm: bool) {
    assert!(payload().starts_with(&client.heard), "{} bytes came", client.heard.len());
    if is_calm {
        assert_eq!((client.end, client.heard.len()), (Some(End::Told), SIZE));
        assert_eq!((&echo.ended[..], echo.refused), (&["finished".to_owned()][..], 0));
    }
    if client.end == Some(End::Told) {
        assert_eq!(client.heard.len(), SIZE, "the end came before all that was sent; {:?}", echo.ended);
    }
}

/// Worlds in which streams hold more, and less, than a record.
fn worlds() -> impl Iterator<Item = WorldConfig> {
    [64 * 1024, 5_000].into_iter().map(|capacity| WorldConfig { capacity, ..WorldConfig::default() })
}

#[test]
fn an_echo_over_tls_bears_a_fault_at_every_call() {
    let mut points = 0;
    for config in worlds() {
        let calls = play(config, Tape::calm());
        for call in CallKind::ALL {
            let more = [1, 4, 5, 6, 300, 3_000].map(Outcome::Short);
            let outcomes = call.outcomes().iter().chain(&more).filter(|outcome| call.allows(**outcome));
            for (nth, outcome) in
                (1..=calls.of(call).min(40)).flat_map(|nth| outcomes.clone().map(move |it| (nth, it)))
            {
                let plan = Some(FaultPlan::at(Some(call), nth, *outcome));
                play(WorldConfig { plan, ..config }, Tape::calm());
                points += 1;
            }
        }
    }
    assert!(points > 500, "{points}");
}

#[test]
fn an_echo_over_tls_bears_whatever_a_tape_says() {
    for (seed, config) in (0..60).flat_map(|seed| worlds().map(move |config| (seed, config))) {
        for faults in [Faults::GENTLE, Faults::HARSH] {
            play(WorldConfig { faults, ..config }, Tape::seed(seed));
        }
    }
}

/// A world with a client that has nothing to say, and is served.
fn opened(config: WorldConfig) -> (World, Reactor<Echo, SimSystem>, Client) {
    let (world, mut reactor) = world_of(config, Tape::calm());
    let mut client = Client::new(world.connect(&"10.0.0.1:443".parse().unwrap()).unwrap());
    client.has_spoken = true;
    while reactor.handler().opened.is_empty() {
        client.act();
        reactor.turn(Some(Duration::from_millis(10))).unwrap();
    }
    (world, reactor, client)
}

/// R53: what was not sent is counted, however far its encryption got.
#[test]
fn the_end_tells_of_all_that_was_not_sent() {
    const LARGE: usize = 1_000_000;
    let (world, ..) = opened(WorldConfig::default());
    let nth = world.stats().calls.of(CallKind::Send) + 1;
    for outcome in [Outcome::Reset, Outcome::BrokenPipe, Outcome::NoBuffers] {
        let plan = Some(FaultPlan::at(Some(CallKind::Send), nth, outcome));
        let (_world, mut reactor, _client) = opened(WorldConfig { plan, ..WorldConfig::default() });
        reactor.with(|echo, cx| cx.send(echo.opened[0], &vec![0; LARGE]).map(drop).unwrap());
        reactor.turn(Some(Duration::ZERO)).unwrap();
        assert_eq!((reactor.handler().ended.len(), reactor.handler().unsent), (1, LARGE), "{outcome:?}");
    }
}

/// R42: a peer on a slow line is not silent while its record is on the way, but one that says nothing at all is.
#[test]
fn a_record_that_takes_longer_than_the_idle_timeout_is_no_silence() {
    let (world, mut reactor, mut client) = opened(WorldConfig::default());
    client.say(b"hello");
    let mut run_for = |client: &mut Client, span: Duration| {
        let until = world.now().saturating_add(span);
        while world.now() < until {
            reactor.turn(Some(until.since(world.now()))).unwrap();
            while client.end.is_none() && client.receives() {}
        }
        reactor.handler().ended.clone()
    };
    for byte in std::mem::take(&mut client.out) {
        client.peer.send(&[byte]).unwrap();
        assert!(run_for(&mut client, IDLE / 4).is_empty(), "it was cut while it was sending");
    }
    assert_eq!(client.heard, b"hello");
    assert!(run_for(&mut client, IDLE / 2).is_empty());
    assert_eq!(run_for(&mut client, IDLE), ["the peer was silent for too long"]);
}
