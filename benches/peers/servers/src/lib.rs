//! What the servers of all peers on tokio share: one thread, `TCP_NODELAY`, TCP or Unix-domain sockets.

mod topic;

pub use topic::{Topic, subscribe};

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use lexopt::ValueExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

/// Whatever goes wrong ends the connection, and the load generator tells.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// A stream of a peer.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Socket for S {}

/// A library under measurement.
pub trait Peer: 'static {
    /// Whether it knows [`Load::topic`].
    const BROADCASTS: bool = false;

    /// Serves one connection until its end.
    fn serve<S: Socket>(socket: S, load: Load) -> impl Future<Output = Outcome> + Send + 'static;
}

/// What is to come, so that each library can be set up for it.
#[derive(Clone, Debug)]
pub struct Load {
    pub flush: Flush,
    /// The bytes of a message.
    pub message: usize,
    /// What all connections subscribe to, where they are not echoed to.
    pub topic: Option<Topic>,
}

/// When answers are flushed, for libraries that leave that to their user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// After each message: best where a client waits for every answer.
    Each,
    /// When no further message is there: best where clients have several messages in flight.
    Batch,
}

/// Serves `P` as the arguments of the process say: `[--batch | --broadcast] [--message BYTES] ADDR`, with an `ADDR` like
/// `127.0.0.1:9001` or `unix:/path`.
pub fn run<P: Peer>() -> Outcome {
    let (mut load, mut addr) = (Load { flush: Flush::Each, message: 1 << 16, topic: None }, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("batch") => load.flush = Flush::Batch,
            lexopt::Arg::Long("broadcast") if P::BROADCASTS => load.topic = Some(topic::topic()),
            lexopt::Arg::Long("message") => load.message = parser.value()?.parse()?,
            lexopt::Arg::Value(value) => addr = value.into_string().ok(),
            other => return Err(other.unexpected().into()),
        }
    }
    let addr = addr.ok_or("usage: [--batch | --broadcast] [--message BYTES] ADDR")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(accept::<P>(&addr, load))
}

async fn accept<P: Peer>(addr: &str, load: Load) -> Outcome {
    if let Some(path) = addr.strip_prefix("unix:") {
        let listener = UnixListener::bind(path)?;
        loop {
            spawn::<P, _>(listener.accept().await?.0, load.clone());
        }
    }
    let listener = TcpListener::bind(addr).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        spawn::<P, _>(socket, load.clone());
    }
}

fn spawn<P: Peer, S: Socket>(socket: S, load: Load) {
    // tokio's own budget would make a busy connection yield; none of the servers has one.
    tokio::spawn(tokio::task::unconstrained(P::serve(socket, load)));
}

/// Sends every message that `is_data` back, for libraries that are a stream and a sink.
pub async fn echo<W, M, E>(mut socket: W, flush: Flush, is_data: fn(&M) -> bool) -> Outcome
where
    W: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    E: Error + Send + Sync + 'static,
{
    let mut messages = Vec::new();
    while let Some(message) = socket.next().await {
        messages.push(message?);
        // All reads before all writes: some libraries flush before they read.
        while flush == Flush::Batch
            && let Some(message) = at_hand(&mut socket)?
        {
            messages.push(message);
        }
        for message in messages.drain(..).filter(is_data) {
            socket.feed(message).await?;
        }
        socket.flush().await?;
    }
    Ok(())
}

/// The next message, if it is there already.
fn at_hand<W, M, E>(socket: &mut W) -> Result<Option<M>, E>
where
    W: Stream<Item = Result<M, E>> + Unpin,
{
    match pin!(socket.next()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(message) => message.transpose(),
        Poll::Pending => Ok(None),
    }
}

/// Serves the opening handshake by hyper, for libraries that leave it to hyper: `upgrade` answers the request and takes the
/// connection over.
pub async fn over_hyper<S, F>(socket: S, upgrade: F) -> Outcome
where
    S: Socket,
    F: Fn(Request<Incoming>) -> io::Result<Response<Empty<Bytes>>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = upgrade(request).unwrap_or_else(|_| Response::new(Empty::new()));
        async move { Ok::<_, Infallible>(answer) }
    });
    Ok(http1::Builder::new().serve_connection(TokioIo::new(socket), service).with_upgrades().await?)
}
