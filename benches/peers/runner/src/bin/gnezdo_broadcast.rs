//! A topic over gnezdo: everyone who connects subscribes to it, and what one says all hear. Usage: `gnezdo_broadcast ADDR`.

use std::error::Error;

use gnezdo::ws::CloseCode;
use gnezdo::{Config, ConnId, Context, Handler, Message, Prepared, Reactor};

struct Hub;

impl Handler for Hub {
    type Conn = ();
    type Post = ();

    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        if cx.subscribe(id, TOPIC).is_err() {
            let _ = cx.close(id, CloseCode::TRY_AGAIN_LATER, "");
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, Self>, _id: ConnId, message: Message<'_>) {
        let _ = cx.publish(TOPIC, &mut Prepared::new(message));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let addr = std::env::args().nth(1).ok_or("usage: gnezdo_broadcast ADDR")?;
    let mut config = Config::default();
    // As with all others here, nobody is pinged for being silent.
    (config.timeouts.ping, config.timeouts.idle) = (None, None);
    let mut reactor = Reactor::new(Hub, config)?;
    reactor.listen(&addr.parse()?)?;
    Ok(reactor.run()?)
}

const TOPIC: &str = "all";
