//! Timers of the loop: one that repeats, one that is cancelled, one that ends the program.
//!
//!     cargo run --release --example timers

use std::time::Duration;

use gnezdo::time::Time;
use gnezdo::time::wheel::TimerKey;
use gnezdo::{Config, Context, Handler, Reactor};

const BEAT: u64 = 1;
const NEVER: u64 = 2;
const END: u64 = 3;

#[derive(Default)]
struct Timers {
    began: Time,
    beats: u32,
    never: Option<TimerKey>,
}

impl Handler for Timers {
    type Conn = ();
    type Post = ();

    fn on_timer(&mut self, cx: &mut Context<'_, Self>, token: u64) {
        let after = cx.now().since(self.began);
        match token {
            BEAT => {
                self.beats += 1;
                println!("{after:>10.1?}  beat {}", self.beats);
                cx.set_timer(Duration::from_millis(100), BEAT);
                if let Some(never) = self.never.take() {
                    println!("{after:>10.1?}  cancelled: {}", cx.cancel_timer(never));
                }
            }
            NEVER => println!("{after:>10.1?}  this is never printed"),
            _ => {
                println!("{after:>10.1?}  the end, after {} beats", self.beats);
                cx.stop();
            }
        }
    }
}

fn main() -> gnezdo::Result<()> {
    let mut reactor = Reactor::new(Timers::default(), Config::default())?;
    reactor.with(|timers, cx| {
        timers.began = cx.now();
        cx.set_timer(Duration::from_millis(100), BEAT);
        timers.never = cx.set_timer(Duration::from_millis(350), NEVER);
        cx.set_timer(Duration::from_millis(450), END);
    });
    reactor.run()
}
