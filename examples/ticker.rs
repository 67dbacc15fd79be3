//! Ten thousand prices that never rest: whoever reads slowly misses the old ones, and always sees the latest of each.
//!
//!     cargo run --release --example ticker -- [--rounds COUNT] [ADDR…]

use std::error::Error;
use std::time::Duration;

use gnezdo::ws::CloseCode;
use gnezdo::{Addr, Closed, Config, ConnId, Context, Handler, Overflow, Prepared, Reactor};
use lexopt::prelude::{Long, Short, Value, ValueExt};

const HELP: &str = "\
A ticker: messages like `S0042 17.31 @5`, the symbol, its price and how often it changed.

usage: ticker [OPTIONS] [ADDR…]

  ADDR            127.0.0.1:9001 (default), [::1]:9001, unix:/run/ticker.sock, unix:@abstract-name
  --rounds COUNT  rest after so many changes of each price
  --help          this text

The prices begin to move when the first client comes.";

const SYMBOLS: usize = 10_000;
const PACE: Duration = Duration::from_millis(20);
const TOPIC: &str = "prices";

/// What somebody pays for something.
struct Price {
    cents: u64,
    /// The latest word about it.
    quote: Prepared,
}

struct Ticker {
    prices: Vec<Price>,
    round: u64,
    rounds: u64,
    is_moving: bool,
}

/// A message that makes all earlier ones about this symbol worthless.
fn quote(symbol: usize, cents: u64, round: u64) -> Prepared {
    let text = format!("S{symbol:04} {}.{:02} @{round}", cents / 100, cents % 100);
    Prepared::new(&text).keyed(symbol as u64)
}

impl Ticker {
    fn new(rounds: u64) -> Self {
        let price = |symbol| Price { cents: 10_000, quote: quote(symbol, 10_000, 0) };
        Self { prices: (0..SYMBOLS).map(price).collect(), round: 0, rounds, is_moving: false }
    }
}

impl Handler for Ticker {
    type Conn = ();
    type Post = ();

    /// Who comes is told where all prices stand, and then how they change.
    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        cx.set_overflow(id, Overflow::Coalesce);
        if let Err(error) = cx.subscribe(id, TOPIC) {
            let _ = cx.close(id, CloseCode::TRY_AGAIN_LATER, &error.to_string());
            return;
        }
        for price in &mut self.prices {
            let _ = cx.send_prepared(id, &mut price.quote);
        }
        if !std::mem::replace(&mut self.is_moving, true) {
            cx.set_timer(PACE, 0);
        }
    }

    fn on_timer(&mut self, cx: &mut Context<'_, Self>, _token: u64) {
        if self.round == self.rounds {
            return;
        }
        self.round += 1;
        for (symbol, price) in self.prices.iter_mut().enumerate() {
            let step = self.round.wrapping_mul(symbol as u64 + 7) % 21;
            price.cents = (price.cents + step).saturating_sub(10).max(1);
            price.quote = quote(symbol, price.cents, self.round);
            let _ = cx.publish(TOPIC, &mut price.quote);
        }
        cx.set_timer(PACE, 0);
    }

    fn on_close(&mut self, cx: &mut Context<'_, Self>, id: ConnId, closed: &Closed) {
        let shed = cx.shed(id);
        println!("{closed}; {} prices were replaced by later ones, {} dropped", shed.replaced, shed.dropped);
    }
}

fn main() {
    if let Err(error) = run() {
        eprintln!("ticker: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (mut addrs, mut rounds, mut parser) = (Vec::<Addr>::new(), u64::MAX, lexopt::Parser::from_env());
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            Long("rounds") => rounds = parser.value()?.parse()?,
            Value(addr) => addrs.push(addr.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if addrs.is_empty() {
        addrs.push("127.0.0.1:9001".parse()?);
    }
    let mut reactor = Reactor::new(Ticker::new(rounds), Config::default())?;
    for addr in &addrs {
        match reactor.listen(addr)?.addr {
            Addr::Tcp(addr) => println!("listening on ws://{addr}"),
            Addr::Unix(addr) => println!("listening on ws+{addr}"),
        }
    }
    Ok(reactor.run()?)
}
