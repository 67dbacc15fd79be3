//! One topic that every connection subscribes to and may speak to, over the channel of tokio that is made for it.

use std::error::Error;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::sync::broadcast::{Receiver, Sender};

use crate::Outcome;

/// Where a message goes in; its bytes are there once, whatever the number of subscribers.
pub type Topic = Sender<Bytes>;

pub(crate) fn topic() -> Topic {
    Topic::new(UNHEARD)
}

/// Sends all that is said on the topic, and says there what `payload` finds in each message that comes in, for libraries that
/// are a stream and a sink. Each half has a task of its own: one for both would look for input after everything it sends.
pub async fn subscribe<W, M, E>(
    socket: W,
    topic: Topic,
    payload: fn(M) -> Option<Bytes>,
    message: fn(Bytes) -> M,
) -> Outcome
where
    W: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Send + 'static,
    M: Send + 'static,
    E: Error + Send + Sync + 'static,
{
    let (output, mut input) = socket.split();
    let writer = tokio::spawn(tokio::task::unconstrained(hear(output, topic.subscribe(), message)));
    while let Some(Ok(said)) = input.next().await {
        let _ = payload(said).map(|bytes| topic.send(bytes));
    }
    writer.abort();
    Ok(())
}

async fn hear<W, M>(mut output: W, mut heard: Receiver<Bytes>, message: fn(Bytes) -> M) -> Outcome
where
    W: Sink<M> + Unpin,
    W::Error: Error + Send + Sync + 'static,
{
    loop {
        output.send(message(heard.recv().await?)).await?;
    }
}

/// How far a subscriber may fall behind.
const UNHEARD: usize = 16;
