//! A WebSocket echo server over TLS on one thread; or of raw bytes.
//!
//!     cargo run --release --features tls --example tls_echo -- [OPTIONS] [ADDR…]

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use gnezdo::tls::{Identity, TlsError, TlsServer};
use gnezdo::ws::{CloseCode, DeflateConfig};
use gnezdo::{Addr, Config, ConnId, Context, Handler, Listen, Message, Reactor, Remote};
use lexopt::prelude::{Long, Short, Value, ValueExt};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const HELP: &str = "\
A WebSocket echo server over TLS: text as text, binary as binary.

usage: tls_echo [OPTIONS] [ADDR…]

  ADDR           127.0.0.1:9443 (default), [::1]:9443, 0.0.0.0:0, unix:/run/echo.sock
  --cert PEM     the certificate, and those of its issuers
  --key PEM      its private key
                 Without both a certificate for localhost is made, and written
                 to a file whose path is printed: give it to clients to trust.
  --client-ca PEM
                 ask clients for a certificate issued by this one
  --max-message BYTES
                 largest message taken and echoed (default 67108864)
  --raw          echo bytes instead of messages
  --help         this text

SIGHUP reads the certificate and the key again, for connections to come.
SIGINT and SIGTERM close every connection; a second one ends at once.";

/// How long connections may take to close after a signal.
const GRACE: Duration = Duration::from_secs(5);

struct Echo;

impl Handler for Echo {
    type Conn = ();
    type Post = ();

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        if cx.send(id, message).is_err() {
            let _ = cx.close(id, CloseCode::TRY_AGAIN_LATER, "the queue is full");
        }
    }

    fn on_bytes(&mut self, cx: &mut Context<'_, Self>, id: ConnId, bytes: &[u8]) {
        // Nothing is read while the queue is above its high-water mark, so it always has room for what was.
        if cx.send(id, bytes).is_err() {
            cx.abort(id);
        }
    }

    fn on_tls_error(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, error: &TlsError) {
        eprintln!("tls_echo: {error}");
    }
}

struct Options {
    addrs: Vec<Addr>,
    /// Certificate and key.
    files: Option<(PathBuf, PathBuf)>,
    client_ca: Option<PathBuf>,
    max_message: usize,
    listen: Listen,
}

fn main() {
    if let Err(error) = run() {
        eprintln!("tls_echo: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let Some(mut options) = parse(lexopt::Parser::from_env())? else {
        println!("{HELP}");
        return Ok(());
    };
    let identity = match &options.files {
        Some((chain, key)) => Identity::from_files(chain, key)?,
        None => self_signed()?,
    };
    let mut tls = TlsServer::new(vec![identity])?;
    if let Some(issuer) = &options.client_ca {
        tls = tls.require_clients_of(&std::fs::read(issuer)?)?;
    }
    let scheme = if matches!(options.listen.serve, gnezdo::Serve::Raw) { "tls" } else { "wss" };
    options.listen.tls = Some(tls.clone());
    let mut reactor = Reactor::new(Echo, config(options.max_message))?;
    for addr in &options.addrs {
        println!("listening on {scheme}://{}", reactor.listen_with(addr, &options.listen)?.addr);
    }
    std::io::stdout().flush()?;
    heed_signals(reactor.remote(), tls, options.files)?;
    Ok(reactor.run()?)
}

fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, Box<dyn Error>> {
    let (mut addrs, mut chain, mut key, mut client_ca) = (Vec::new(), None, None, None);
    let (mut max_message, mut listen) = (64 << 20, Listen::default());
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Long("cert") => chain = Some(parser.value()?.into()),
            Long("key") => key = Some(parser.value()?.into()),
            Long("client-ca") => client_ca = Some(parser.value()?.into()),
            Long("max-message") => max_message = parser.value()?.parse()?,
            Long("raw") => listen = Listen::raw(),
            Value(addr) => addrs.push(addr.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if addrs.is_empty() {
        addrs.push("127.0.0.1:9443".parse()?);
    }
    let files = match (chain, key) {
        (Some(chain), Some(key)) => Some((chain, key)),
        (None, None) => None,
        _ => return Err("--cert and --key go together".into()),
    };
    Ok(Some(Options { addrs, files, client_ca, max_message, listen }))
}

/// Messages as large as asked for, and a queue that takes the largest above its high-water mark.
fn config(max_message: usize) -> Config {
    let mut config = Config::default();
    config.websocket.deflate = Some(DeflateConfig::default());
    config.websocket.limits.max_message = max_message;
    config.websocket.limits.max_frame = max_message as u64;
    config.websocket.limits.max_fragments = 1 << 17;
    config.settings.max_queue = max_message.saturating_add(2 * config.settings.high_water);
    config
}

/// A certificate for this machine, which nobody trusts who was not given it.
fn self_signed() -> Result<Identity, Box<dyn Error>> {
    let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names)?;
    let path = std::env::temp_dir().join(format!("tls_echo-{}.pem", std::process::id()));
    // Others may write to that directory: what stands there already, or leads elsewhere, is not written to.
    std::fs::File::create_new(&path)?.write_all(cert.pem().as_bytes())?;
    println!("certificate {}", path.display());
    Ok(Identity::from_pem(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes())?)
}

fn heed_signals(
    remote: Remote<()>,
    tls: TlsServer,
    files: Option<(PathBuf, PathBuf)>,
) -> Result<(), Box<dyn Error>> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        let mut is_ending = false;
        for signal in signals.forever() {
            match (signal, &files) {
                (SIGHUP, None) => {}
                (SIGHUP, Some((chain, key))) => {
                    let reloaded = Identity::from_files(chain, key).and_then(|it| tls.reload(vec![it]));
                    match reloaded {
                        Ok(()) => eprintln!("tls_echo: read the certificate again"),
                        Err(error) => eprintln!("tls_echo: the old certificate stays: {error}"),
                    }
                }
                _ if std::mem::replace(&mut is_ending, true) => drop(remote.stop()),
                _ => drop(remote.shutdown(GRACE)),
            }
        }
    });
    Ok(())
}
