//! A chat with rooms: who connects to `/ROOM` hears what the others there say, and what was said last.
//!
//!     cargo run --release --example chat -- [ADDR…]
//!     cargo run --release --example client -- 'ws://127.0.0.1:9001/attic?name=anna'

use std::collections::{HashMap, VecDeque};
use std::error::Error;

use gnezdo::http::{Response, Status};
use gnezdo::ws::CloseCode;
use gnezdo::{
    Accept, Addr, Answer, Closed, Config, ConnId, Context, Handler, Message, Overflow, Prepared, Reactor,
    Request,
};

const HELP: &str = "\
A chat: the path is the room, the name is that of the cookie or of the query `name`.

usage: chat [ADDR…]

  ADDR  127.0.0.1:9001 (default), [::1]:9001, unix:/run/chat.sock, unix:@abstract-name

Who does not read fast enough to keep up with a room is cut off.";

/// What is said to those who come later: so many messages of each room.
const HISTORY: usize = 50;
/// The longest name, in letters.
const NAME: usize = 32;

/// A person in a room.
#[derive(Default)]
struct Guest {
    name: String,
    room: String,
}

#[derive(Default)]
struct Chat {
    /// What was said last, in each room with somebody in it.
    rooms: HashMap<String, VecDeque<Prepared>>,
}

impl Chat {
    /// Says something to all in a room but the one who says it, and remembers it for who comes later.
    fn say(&mut self, cx: &mut Context<'_, Self>, from: ConnId, text: &str) {
        let Some(Guest { name, room }) = cx.get(from) else { return };
        let (room, mut line) = (room.clone(), Prepared::new(&format!("{name}: {text}")));
        let _ = cx.publish_from(from, &room, &mut line);
        let history = self.rooms.entry(room).or_default();
        history.truncate(HISTORY - 1);
        history.push_front(line);
    }
}

impl Handler for Chat {
    type Conn = Guest;
    type Post = ();

    fn on_request(&mut self, cx: &mut Context<'_, Self>, id: ConnId, request: &Request<'_>) -> Answer {
        let mut query = request.query().into_iter().flat_map(|query| query.split('&'));
        let asked = query.find_map(|pair| pair.strip_prefix("name="));
        let name: String = request.cookie("name").or(asked).unwrap_or_default().to_owned();
        if name.is_empty() || name.len() > NAME || !name.chars().all(|letter| letter.is_ascii_alphanumeric())
        {
            return Response::new(Status::BAD_REQUEST).text("say who you are: ?name=anna\n").into();
        }
        if let Some(guest) = cx.get_mut(id) {
            *guest = Guest { name, room: request.path().to_owned() };
        }
        Accept::new().into()
    }

    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        let room = cx.get(id).map(|guest| guest.room.clone()).unwrap_or_default();
        if let Err(error) = cx.subscribe(id, &room) {
            let _ = cx.close(id, CloseCode::POLICY, &error.to_string());
            return;
        }
        cx.set_overflow(id, Overflow::Close);
        for line in self.rooms.entry(room).or_default().iter_mut().rev() {
            let _ = cx.send_prepared(id, line);
        }
        self.say(cx, id, "is here");
    }

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        match message {
            Message::Text(text) => self.say(cx, id, text.as_str()),
            Message::Binary(_) => drop(cx.close(id, CloseCode::UNSUPPORTED, "say it in words")),
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_, Self>, id: ConnId, closed: &Closed) {
        if closed.reason.is_failure() {
            eprintln!("chat: {closed}");
        }
        self.say(cx, id, "has left");
        self.rooms.retain(|room, _| cx.subscribers(room) > 0);
    }
}

fn main() {
    if let Err(error) = run() {
        eprintln!("chat: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut addrs: Vec<String> = std::env::args().skip(1).collect();
    if addrs.iter().any(|addr| addr == "--help") {
        println!("{HELP}");
        return Ok(());
    }
    if addrs.is_empty() {
        addrs.push("127.0.0.1:9001".to_owned());
    }
    let mut config = Config::default();
    // History and all: who is this far behind will not catch up.
    config.settings.max_queue = 256 * 1024;
    config.websocket.limits.max_message = 4 * 1024;
    let mut reactor = Reactor::new(Chat::default(), config)?;
    for addr in addrs {
        match reactor.listen(&addr.parse()?)?.addr {
            Addr::Tcp(addr) => println!("listening on ws://{addr}"),
            Addr::Unix(addr) => println!("listening on ws+{addr}"),
        }
    }
    Ok(reactor.run()?)
}
