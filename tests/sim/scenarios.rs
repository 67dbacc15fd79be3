//! The named scenarios: each is one way through the reactor, played undisturbed and then with one call disturbed at a time.

use std::time::Duration;

use gnezdo::{Connect, Listen, Serve, WebSocketConfig};

use super::actor::{Pace, Part, Step, Until};
use super::draw::OVERFLOWS;
use super::plan::{Ending, Plan, Visitor, goodbye, hello, say, say_compressed, say_in, visit, wait};
use super::player::{Act, OnRequest, Verdict};
use super::wire;

/// All of them.
pub(crate) fn all() -> Vec<Plan> {
    [
        serving(),
        speaking(),
        leaving(),
        waiting(),
        calling(),
        raw(),
        crowding(),
        misbehaving(),
        publishing(),
        regressions(),
    ]
    .concat()
}

/// All of them, in a roomy world and in two narrow ones: where little fits into the kernel and into our queues, there are
/// more calls, and more of them do only a part.
pub(crate) fn in_all_sizes() -> Vec<Plan> {
    let sizes = |plan: Plan| [plan.clone(), narrow(plan.clone(), 1_000), narrow(plan, 300)];
    all().into_iter().flat_map(sizes).collect()
}

fn narrow(mut plan: Plan, room: usize) -> Plan {
    plan.name = format!("{}, {room} bytes", plan.name);
    plan.buffer = plan.buffer.min(room);
    let settings = &mut plan.config.settings;
    settings.high_water = settings.high_water.min(room / 2);
    settings.low_water = settings.low_water.min(room / 10);
    settings.landing_budget = settings.landing_budget.min(room);
    plan.all_is_heard = false;
    plan
}

/// One to many, with some that do not keep up, whatever is done for them.
fn publishing() -> Vec<Plan> {
    let slow = || [vec![Step::ReadAt(Pace::drip(900, 20))], hello(), vec![wait(2_500)], goodbye()].concat();
    let quick = || [hello(), vec![say(1, 30), wait(300), say(2, 40), wait(2_000)], goodbye()].concat();
    let all = |name: String, overflow| {
        let plan =
            Plan::serving(&name).visitor(slow()).unix_visitor(slow()).visitor(quick()).visitor(quick());
        plan.with(|plan| {
            plan.config.settings.max_queue = 6_000;
            plan.config.settings.high_water = 4_000;
            plan.config.settings.low_water = 1_000;
            plan.buffer = 3_000;
            plan.manner.overflow = overflow;
            plan.manner.open =
                vec![Act::Subscribe(0), Act::Subscribe(1), Act::Timer(Duration::from_millis(50))];
            plan.manner.message = vec![Act::Echo, Act::Publish(0, 9, 700), Act::PublishToOthers(1, 90)];
            plan.manner.drain = vec![Act::Share(50)];
            plan.manner.timer = vec![Act::Publish(0, 3, 400), Act::Say(1, 60), Act::Publish(1, 2, 20)];
            plan.manner.close = vec![Act::Publish(0, 1, 30), Act::Unsubscribe(0)];
        })
    };
    let as_they_are = OVERFLOWS.iter().map(|overflow| all(format!("published, {overflow:?}"), *overflow));
    let deflated = OVERFLOWS.iter().map(|overflow| {
        let plan = all(format!("published and compressed, {overflow:?}"), *overflow).deflating();
        plan.with(|plan| plan.manner.message.push(Act::AbortOthers))
    });
    as_they_are.chain(deflated).collect()
}

/// The opening handshake, in every way it can go.
fn serving() -> Vec<Plan> {
    let echo = |name: &str| Plan::serving(name).with(|plan| plan.manner.message = vec![Act::Echo]);
    let plain_request = b"GET /page HTTP/1.1\r\nHost: server\r\n\r\n".to_vec();
    let wrong_version = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
        Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec();
    vec![
        echo("accept and echo").visitor(visit([say(0, 20), Step::Until(Until::Heard(1))])),
        echo("accept and echo over a unix socket")
            .unix_visitor(visit([say(0, 20), Step::Until(Until::Heard(1))])),
        echo("upgrade byte by byte").visitor(
            [vec![Step::WriteAt(Pace::drip(7, 5))], visit([say(0, 9), Step::Until(Until::Heard(1))])]
                .concat(),
        ),
        echo("upgrade with frames right behind it").visitor(vec![
            Step::Greet,
            say(0, 30),
            say(1, 200),
            Step::Until(Until::Heard(2)),
            Step::Close(1000),
            Step::Until(Until::Ended),
        ]),
        echo("a page instead of a socket")
            .visitor(vec![Step::Babble(plain_request), Step::Until(Until::Ended)]),
        echo("a request that is refused")
            .visitor(vec![Step::Babble(wrong_version), Step::Until(Until::Ended)]),
        echo("a request that is none").visitor(vec![
            Step::Babble(b"\x16\x03\x01 no HTTP at all\r\n\r\n".to_vec()),
            Step::Until(Until::Ended),
        ]),
        echo("an answer by http")
            .visitor(hello())
            .with(|plan| plan.manner.request = OnRequest::Respond(3_000)),
        echo("a held request is accepted").visitor(visit([say(0, 20), Step::Until(Until::Heard(1))])).with(
            |plan| {
                plan.manner.request = OnRequest::Hold(Duration::from_millis(200), Verdict::Accept);
            },
        ),
        echo("a held request with frames behind it")
            .visitor(vec![
                Step::Greet,
                say(0, 30),
                Step::Until(Until::Heard(1)),
                Step::Close(1000),
                Step::Until(Until::Ended),
            ])
            .with(|plan| plan.manner.request = OnRequest::Hold(Duration::from_millis(100), Verdict::Accept)),
        echo("a held request is refused").visitor(hello()).with(|plan| {
            plan.manner.request = OnRequest::Hold(Duration::from_millis(200), Verdict::Respond);
        }),
        echo("a held request is forgotten")
            .visitor(hello())
            .with(|plan| plan.manner.request = OnRequest::Forget)
            .ends("opening handshake took too long"),
        echo("a held request is given up").visitor(vec![Step::Greet, wait(50), Step::Reset]).with(|plan| {
            plan.manner.request = OnRequest::Hold(Duration::from_millis(200), Verdict::Accept);
        }),
        echo("a request aborted in its callback").visitor(hello()).with(|plan| {
            plan.manner.request = OnRequest::AbortAndAccept;
        }),
    ]
}

/// Messages and control frames.
fn speaking() -> Vec<Plan> {
    let echo = |name: &str| Plan::serving(name).with(|plan| plan.manner.message = vec![Act::Echo]);
    let heard = |count| Step::Until(Until::Heard(count));
    vec![
        echo("several messages in one segment").visitor(visit([
            say(0, 5),
            say(1, 6),
            say(2, 0),
            say(3, 125),
            heard(4),
        ])),
        echo("a fragmented message with a ping inside").visitor(visit([
            say_in(0, 900, 5),
            Step::Ping(10),
            say_in(1, 40, 40),
            heard(2),
        ])),
        echo("a large message that lands directly").visitor(visit([say(1, 60_000), heard(1)])),
        echo("a large message from a dripper").visitor(
            [vec![Step::WriteAt(Pace::drip(1_500, 10))], visit([say(1, 20_000), say(2, 10), heard(2)])]
                .concat(),
        ),
        echo("compressed both ways").deflating().visitor(visit([
            say_compressed(0, 500, 1),
            say_compressed(1, 9_000, 3),
            say(2, 40),
            heard(3),
        ])),
        echo("compressed and large").deflating().visitor(visit([say_compressed(0, 120_000, 2), heard(1)])),
        echo("pings of a peer that does not read yet")
            .visitor(
                [
                    hello(),
                    vec![Step::ReadAt(Pace::NEVER), say(0, 9_000), wait(20), Step::Ping(5), wait(20)],
                    vec![Step::Ping(6), wait(20), Step::ReadAt(Pace::FULL), heard(1)],
                ]
                .concat(),
            )
            .with(|plan| plan.buffer = 3_000),
        echo("ping and pong from both").visitor(visit([Step::Ping(0), Step::Ping(125), wait(20)])).with(
            |plan| {
                plan.manner.open = vec![Act::Ping];
                plan.manner.pong = vec![Act::Say(1, 10)];
            },
        ),
        echo("sends from every callback").visitor(visit([say(0, 5), Step::Ping(3), heard(3)])).with(|plan| {
            plan.manner.open = vec![Act::Say(2, 100), Act::Timer(Duration::from_millis(30)), Act::Ping];
            plan.manner.timer = vec![Act::Say(1, 3_000)];
            plan.manner.pong = vec![Act::Say(1, 9)];
        }),
        echo("timers set and cancelled").visitor(visit([say(0, 5), heard(1), wait(100)])).with(|plan| {
            plan.manner.open =
                vec![Act::Timer(Duration::from_millis(10)), Act::Timer(Duration::from_millis(60))];
            plan.manner.timer = vec![Act::CancelTimers, Act::Say(1, 4), Act::Timer(Duration::ZERO)];
        }),
        echo("posts from another thread").visitor(visit([wait(100), heard(2)])).with(|plan| {
            plan.manner.post = vec![Act::Say(1, 30)];
            plan.posts =
                vec![Duration::from_millis(20), Duration::from_millis(20), Duration::from_millis(70)];
        }),
        echo("paused and resumed").visitor(visit([say(0, 50), say(1, 5_000), say(2, 9_000), heard(3)])).with(
            |plan| {
                plan.manner.message.push(Act::Pause(Duration::from_millis(40)));
            },
        ),
    ]
}

/// Ends, from each side and in each order.
fn leaving() -> Vec<Plan> {
    let echo = |name: &str| Plan::serving(name).with(|plan| plan.manner.message = vec![Act::Echo]);
    let heard = |count| Step::Until(Until::Heard(count));
    let ended = || Step::Until(Until::Ended);
    vec![
        echo("the peer closes").visitor(visit([say(0, 5), heard(1)])),
        echo("we close").visitor([hello(), vec![say(0, 5), ended()]].concat()).with(|plan| {
            plan.manner.message = vec![Act::Echo, Act::Close];
        }),
        echo("we close from on_open").visitor([hello(), vec![ended()]].concat()).with(|plan| {
            plan.manner.open = vec![Act::Say(1, 70), Act::Close];
        }),
        echo("we finish").visitor([hello(), vec![say(0, 5), ended()]].concat()).with(|plan| {
            plan.manner.message = vec![Act::Say(3, 2_000), Act::Finish];
        }),
        echo("we abort").visitor([hello(), vec![say(0, 5), ended()]].concat()).with(|plan| {
            plan.manner.message = vec![Act::Say(1, 20), Act::Abort];
        }),
        echo("both close at once")
            .visitor([hello(), vec![say(0, 5), Step::Close(1000), ended()]].concat())
            .with(|plan| plan.manner.message = vec![Act::Close]),
        echo("we close and nobody answers")
            .visitor([hello(), vec![Step::DropManners, say(0, 5), wait(5_000)]].concat())
            .with(|plan| plan.manner.message = vec![Act::Close])
            .ends("did not answer our close in time"),
        echo("the peer half-closes without a word")
            .visitor([hello(), vec![say(0, 5), heard(1), Step::ShutWrite, ended()]].concat()),
        echo("the peer half-closes right behind a message")
            .visitor([hello(), vec![say(0, 5), Step::ShutWrite, ended()]].concat())
            .ends("the peer ended the stream"),
        echo("the peer vanishes").visitor([hello(), vec![say(0, 5), heard(1), Step::Leave]].concat()),
        echo("the peer resets in the middle of a message")
            .visitor([hello(), vec![say(0, 5), heard(1), say(1, 900), Step::CutAt(400)]].concat()),
        echo("the peer resets in the middle of its request").visitor(vec![Step::Greet, Step::CutAt(60)]),
        echo("a slow reader hears all, though it goes on sending")
            .visitor(
                [
                    vec![Step::ReadAt(Pace::drip(500, 20))],
                    hello(),
                    vec![say(0, 5), Step::Babble(vec![b'x'; 9_000]), ended()],
                ]
                .concat(),
            )
            .with(|plan| {
                plan.manner.message = vec![Act::Say(4, 1_000), Act::Finish];
                plan.all_is_heard = true;
            }),
        echo("the peer sends more after our close")
            .visitor(
                [
                    hello(),
                    vec![say(0, 5), Step::Until(Until::Closed), Step::Babble(vec![b'x'; 9_000]), ended()],
                ]
                .concat(),
            )
            .with(|plan| plan.manner.message = vec![Act::Close]),
        echo("closing others from callbacks")
            .visitor([hello(), vec![say(0, 5), ended()]].concat())
            .visitor([hello(), vec![wait(30), say(0, 5), ended()]].concat())
            .unix_visitor([hello(), vec![ended()]].concat())
            .with(|plan| {
                plan.manner.message = vec![Act::CloseOthers];
                plan.manner.close = vec![Act::AbortOthers];
            }),
        echo("a shutdown from a callback")
            .visitor([hello(), vec![say(0, 5), ended()]].concat())
            .raw_visitor(vec![Step::Greet, Step::Until(Until::Ended)])
            .with(|plan| plan.manner.message = vec![Act::Shutdown(Duration::from_secs(1))]),
        echo("a shutdown that nobody heeds")
            .visitor([hello(), vec![Step::DropManners, wait(9_000)]].concat())
            .with(|plan| {
                plan.ending = Ending::Shutdown(Duration::from_millis(300));
                plan.config.timeouts.close = Duration::from_secs(60);
            }),
        echo("the listener closes")
            .visitor(visit([say(0, 5), heard(1)]))
            .visitor(vec![wait(40), Step::Greet, wait(20)])
            .with(|plan| plan.manner.open = vec![Act::CloseListeners]),
    ]
}

/// Timeouts and bounds.
fn waiting() -> Vec<Plan> {
    let echo = |name: &str| Plan::serving(name).with(|plan| plan.manner.message = vec![Act::Echo]);
    vec![
        echo("the opening takes too long").visitor(vec![
            Step::WriteAt(Pace::drip(1, 500)),
            Step::Greet,
            Step::Until(Until::Ended),
            Step::Until(Until::Ended),
        ]),
        echo("a silent peer is pinged and cut")
            .visitor([hello(), vec![Step::DropManners, wait(9_000)]].concat())
            .ends("silent for too long"),
        echo("a silent peer that lives").visitor([hello(), vec![wait(9_000)], goodbye()].concat()),
        echo("a lifetime ends").visitor([hello(), vec![wait(4_000)]].concat()).with(|plan| {
            plan.config.timeouts.lifetime = Some(Duration::from_secs(3));
        }),
        echo("a peer that never reads")
            .visitor([hello(), vec![Step::ReadAt(Pace::NEVER), wait(6_000)]].concat())
            .with(|plan| plan.manner.open = vec![Act::Pour(40, 4_000)])
            .ends("took nothing for too long"),
        echo("a slow reader gets all of it")
            .visitor(
                [vec![Step::ReadAt(Pace::drip(3_000, 20))], visit([Step::Until(Until::Heard(40))])].concat(),
            )
            .with(|plan| {
                plan.manner.open = vec![Act::Pour(40, 4_000)];
                (plan.config.settings.high_water, plan.config.settings.low_water) = (16_000, 4_000);
                plan.config.settings.max_queue = 24_000;
            }),
        echo("an echo flood that is not read")
            .visitor(
                [
                    hello(),
                    vec![Step::ReadAt(Pace::NEVER)],
                    (0..30).map(|at| say(at, 4_000)).collect(),
                    vec![wait(6_000)],
                ]
                .concat(),
            )
            .with(|plan| (plan.config.settings.high_water, plan.config.settings.low_water) = (8_000, 2_000)),
        echo("pings that are not read")
            .visitor(
                [
                    hello(),
                    vec![Step::ReadAt(Pace::NEVER)],
                    (0..40).map(|_| Step::Ping(120)).collect(),
                    vec![wait(500), Step::ReadAt(Pace::FULL), wait(200)],
                    goodbye(),
                ]
                .concat(),
            )
            .with(|plan| {
                plan.manner.open = vec![Act::Say(12, 4_000)];
            }),
        echo("messages that are never whole")
            .with(|plan| {
                let half = |size| Step::Babble(wire::frame(2, &vec![b'h'; size], Some([0; 4])));
                let script = |size| [hello(), vec![half(size), wait(2_000)]].concat();
                let visitor = |size| Visitor::to(0, Part::Client, script(size));
                plan.visitors = [9_000, 12_000, 8_000].map(visitor).into();
                plan.config.max_partial = 25_000;
            })
            .ends("most was of this connection"),
        echo("too many openings")
            .visitor(vec![wait(3_000)])
            .visitor(vec![wait(3_000)])
            .visitor([vec![wait(100)], visit([say(0, 5), Step::Until(Until::Heard(1))])].concat())
            .with(|plan| plan.config.max_opening = Some(1)),
        echo("too many connections")
            .visitor([hello(), vec![wait(300)], goodbye()].concat())
            .visitor([vec![wait(10)], visit([say(0, 5), Step::Until(Until::Heard(1))])].concat())
            .with(|plan| plan.config.settings.max_connections = 1),
        echo("no descriptor is free")
            .visitor([hello(), vec![wait(300)], goodbye()].concat())
            .visitor([hello(), vec![wait(600)], goodbye()].concat())
            .visitor([vec![wait(10)], visit([say(0, 5), Step::Until(Until::Heard(1))])].concat())
            .with(|plan| plan.descriptors = 5),
        echo("budgets of one")
            .visitor(visit([say(0, 9_000), say(1, 70_000), Step::Until(Until::Heard(2))]))
            .visitor(visit([]))
            .with(|plan| {
                plan.config.settings.accept_budget = 1;
                plan.config.settings.timer_budget = 1;
                plan.config.settings.landing_budget = 1_000;
                plan.config.post_budget = 1;
                plan.manner.open =
                    vec![Act::Timer(Duration::from_millis(5)), Act::Timer(Duration::from_millis(5))];
            }),
    ]
}

/// Our side as a client.
#[expect(clippy::too_many_lines, reason = "a table")]
fn calling() -> Vec<Plan> {
    let echo = |name: &str| Plan::new(name).with(|plan| plan.manner.message = vec![Act::Echo]);
    let serve = || {
        vec![
            Step::Greet,
            say(0, 20),
            say(1, 4_000),
            Step::Until(Until::Heard(2)),
            Step::Close(1000),
            Step::Until(Until::Ended),
        ]
    };
    let text = |text: &str| text.as_bytes().to_vec();
    let names = |plan: &mut Plan| {
        let addrs = ["10.9.9.9", "10.0.0.2"].map(|addr| addr.parse().expect("an address"));
        plan.names = vec![("host.example".to_owned(), addrs.to_vec())];
    };
    vec![
        echo("a client over tcp").calling("ws://10.0.0.2:80/", "10.0.0.2:80", Part::Server, serve()),
        echo("a client over a unix socket").calling("ws+unix:@host:/", "unix:@host", Part::Server, serve()),
        echo("a client by name, the first address dead")
            .calling("ws://host.example:80/", "10.0.0.2:80", Part::Server, serve())
            .with(names)
            .ends("closed by the peer (1000)"),
        echo("a client of a host that has no address").calling(
            "ws://nowhere.example:80/",
            "10.0.0.2:80",
            Part::Server,
            serve(),
        ),
        echo("a client that nobody answers").calling(
            "ws://10.0.0.3:80/",
            "10.0.0.2:80",
            Part::Server,
            serve(),
        ),
        echo("a client that closes at once, while the server speaks")
            .calling(
                "ws://10.0.0.2:80/",
                "10.0.0.2:80",
                Part::Server,
                vec![Step::Greet, say(0, 20), say(1, 20), Step::Until(Until::Ended)],
            )
            .with(|plan| plan.manner.open = vec![Act::Close]),
        echo("a client with compression").deflating().calling(
            "ws://10.0.0.2:80/",
            "10.0.0.2:80",
            Part::Server,
            vec![
                Step::Greet,
                say_compressed(0, 3_000, 2),
                Step::Until(Until::Heard(1)),
                Step::Close(1000),
                Step::Until(Until::Ended),
            ],
        ),
        echo("a client that is refused").calling(
            "ws://10.0.0.2:80/",
            "10.0.0.2:80",
            Part::Server,
            vec![Step::Answer(text("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")), Step::Leave],
        ),
        echo("a client that is answered nonsense").calling(
            "ws://10.0.0.2:80/",
            "10.0.0.2:80",
            Part::Server,
            vec![
                Step::Answer(text(
                    "HTTP/1.1 101 Sure\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
                Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
                )),
                wait(100),
            ],
        ),
        echo("a client whose server is silent").calling(
            "ws://10.0.0.2:80/",
            "10.0.0.2:80",
            Part::Server,
            vec![wait(4_000)],
        ),
        echo("a client whose server drips").calling(
            "ws://10.0.0.2:80/",
            "10.0.0.2:80",
            Part::Server,
            [vec![Step::WriteAt(Pace::drip(11, 5))], serve()].concat(),
        ),
        echo("a client that closes first")
            .calling(
                "ws://10.0.0.2:80/",
                "10.0.0.2:80",
                Part::Server,
                vec![Step::Greet, say(0, 20), Step::Until(Until::Closed)],
            )
            .with(|plan| plan.manner.message = vec![Act::Say(1, 100), Act::Close]),
        echo("a client whose server lingers").calling(
            "ws://10.0.0.2:80/",
            "10.0.0.2:80",
            Part::Server,
            vec![Step::Greet, Step::DropManners, Step::Close(1001), wait(3_000)],
        ),
        echo("clients that call again in their callbacks")
            .calling(
                "ws://10.0.0.2:80/",
                "10.0.0.2:80",
                Part::Server,
                vec![Step::Greet, say(0, 5), Step::Close(1001), Step::Until(Until::Ended)],
            )
            .with(|plan| {
                plan.manner.message = vec![Act::Call(0)];
                plan.manner.close = vec![Act::Call(0)];
            }),
        echo("a call given up at once")
            .calling("ws://10.0.0.2:80/", "10.0.0.2:80", Part::Server, serve())
            .with(|plan| plan.posts = vec![Duration::ZERO])
            .with(|plan| plan.manner.post = vec![Act::AbortOthers, Act::Abort]),
    ]
}

/// Bytes without a protocol.
fn raw() -> Vec<Plan> {
    let heard = |count| Step::Until(Until::Heard(count));
    let echo = |name: &str| Plan::serving(name).with(|plan| plan.manner.message = vec![Act::Echo]);
    vec![
        echo("raw echo").raw_visitor(vec![
            Step::Greet,
            say(0, 500),
            heard(504),
            Step::ShutWrite,
            Step::Until(Until::Ended),
        ]),
        echo("raw and large, to a slow reader")
            .raw_visitor(vec![
                Step::ReadAt(Pace::drip(2_000, 10)),
                Step::Greet,
                say(0, 60_000),
                heard(60_004),
                Step::ShutWrite,
                Step::Until(Until::Ended),
            ])
            .with(|plan| (plan.config.settings.high_water, plan.config.settings.low_water) = (8_000, 2_000)),
        echo("raw, we end our stream first")
            .raw_visitor(vec![
                Step::Greet,
                say(0, 50),
                wait(50),
                say(1, 50),
                Step::ShutWrite,
                Step::Until(Until::Ended),
            ])
            .with(|plan| plan.manner.message = vec![Act::Echo, Act::FinishWriting]),
        echo("a raw client").calling(
            "tcp://10.0.0.2:7",
            "10.0.0.2:7",
            Part::Raw,
            vec![say(0, 300), heard(304), Step::ShutWrite, Step::Until(Until::Ended)],
        ),
        echo("a raw client over a unix socket").calling(
            "unix:@raw",
            "unix:@raw",
            Part::Raw,
            vec![say(0, 300), heard(304), Step::Leave],
        ),
        proxied(
            "a proxy",
            vec![Step::Greet, say(0, 700), heard(20), Step::ShutWrite, Step::Until(Until::Ended)],
            vec![heard(708), say(0, 20), Step::Until(Until::Ended)],
        ),
        proxied(
            "a proxy before a slow reader",
            vec![Step::Greet, say(0, 60_000), Step::ShutWrite, Step::Until(Until::Ended)],
            vec![Step::ReadAt(Pace::drip(2_000, 10)), heard(60_008), Step::Until(Until::Ended)],
        ),
        proxied(
            "a proxy whose server resets",
            vec![Step::Greet, say(0, 700), Step::Until(Until::Ended)],
            vec![heard(100), Step::Reset],
        ),
    ]
}

fn proxied(name: &str, visitor: Vec<Step>, host: Vec<Step>) -> Plan {
    Plan::serving(name).raw_visitor(visitor).calling("tcp://10.0.0.2:7", "10.0.0.2:7", Part::Raw, host).with(
        |plan| {
            plan.calls.clear();
            plan.manner.through = Some(0);
            (plan.config.settings.high_water, plan.config.settings.low_water) = (8_000, 2_000);
        },
    )
}

/// What once went wrong.
fn regressions() -> Vec<Plan> {
    let echo = |name: &str| Plan::serving(name).with(|plan| plan.manner.message = vec![Act::Echo]);
    let heard = |count| Step::Until(Until::Heard(count));
    vec![
        // The first message behind the request was delivered all the same.
        echo("paused in on_open, with frames right behind the request")
            .visitor([vec![Step::Greet, say(0, 30), say(1, 30), heard(2)], goodbye()].concat())
            .with(|plan| plan.manner.open = vec![Act::Pause(Duration::from_millis(50))]),
        // on_drain came before on_open.
        echo("a call whose request does not fit into the kernel")
            .calling("ws://10.0.0.2:80/", "10.0.0.2:80", Part::Server, [hello(), goodbye()].concat())
            .with(|plan| {
                plan.buffer = 50;
                (plan.config.settings.high_water, plan.config.settings.low_water) = (20, 0);
            }),
        // on_message came before on_open.
        echo("accepted where a raw connection opens, with frames right behind the request")
            .visitor([vec![Step::Greet, say(0, 30), heard(1)], goodbye()].concat())
            .raw_visitor(vec![wait(50), Step::Greet, wait(50), Step::Leave])
            .with(|plan| {
                plan.visitors[1].at = Duration::from_millis(100);
                plan.manner.request = OnRequest::Forget;
                plan.manner.open = vec![Act::Decide(Verdict::Accept)];
            }),
        // The echo that a failed send lost was not counted as unsent; only a Unix-domain peer cannot tell.
        echo("a message and a close at once over a unix socket")
            .unix_visitor([hello(), vec![say(0, 112)], goodbye()].concat()),
        // The close frame of the first went to the second, in front of its ping.
        echo("aborted, then closed, and another is pinged")
            .visitor([hello(), vec![wait(20), say(0, 5), Step::Until(Until::Ended)]].concat())
            .visitor(visit([wait(200)]))
            .with(|plan| {
                plan.manner.open = vec![Act::Timer(Duration::from_millis(100))];
                plan.manner.timer = vec![Act::Ping];
                plan.manner.message = vec![Act::Abort, Act::Close];
            }),
    ]
}

/// Several at once.
fn crowding() -> Vec<Plan> {
    let heard = |count| Step::Until(Until::Heard(count));
    vec![
        Plan::serving("a broadcast")
            .visitor(visit([wait(20), say(0, 5), heard(2)]))
            .visitor(visit([wait(20), heard(1)]))
            .unix_visitor(visit([Step::ReadAt(Pace::drip(50, 5)), wait(20), heard(1)]))
            .with(|plan| plan.manner.message = vec![Act::Tell(300)]),
        Plan::serving("reconnecting, so that slots are used again")
            .visitor(visit([say(0, 5), heard(1)]))
            .with(|plan| {
                plan.visitors[0].again = 4;
                plan.manner.message = vec![Act::Echo, Act::Tell(10)];
            }),
        Plan::serving("a storm of visitors").with(|plan| {
            plan.visitors =
                (0..8).map(|_| Visitor::to(0, Part::Client, visit([say(0, 5), heard(1)]))).collect();
            plan.manner.message = vec![Act::Echo];
            plan.config.settings.accept_budget = 3;
        }),
        Plan::serving("two listeners with limits of their own")
            .visitor(visit([say(0, 300), heard(1)]))
            .with(|plan| {
                let mut strict = WebSocketConfig::default();
                strict.limits.max_message = 100;
                strict.limits.max_frame = 100;
                let serve = Serve::WebSocketWith(Box::new(strict));
                plan.places.listeners[1].1 = Listen { serve, ..Listen::default() };
                plan.manner.message = vec![Act::Echo];
            })
            .unix_visitor([hello(), vec![say(0, 300), Step::Until(Until::Ended)]].concat()),
    ]
}

/// Peers that break the rules.
fn misbehaving() -> Vec<Plan> {
    let echo = |name: &str| Plan::serving(name).with(|plan| plan.manner.message = vec![Act::Echo]);
    let babbled = |name: &str, bytes: &[u8]| {
        let script = vec![
            say(0, 5),
            Step::Until(Until::Heard(1)),
            Step::Babble(bytes.to_vec()),
            Step::Until(Until::Ended),
        ];
        echo(name).visitor([hello(), script].concat())
    };
    vec![
        babbled("a frame without a mask", b"\x81\x02hi"),
        babbled("a frame of a reserved kind", b"\x83\x80\0\0\0\0"),
        babbled("a frame that announces too much", b"\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0"),
        babbled("text that is none", b"\x81\x82\0\0\0\0\xC3\x28"),
        babbled("a close with half a code", b"\x88\x81\0\0\0\0\x03"),
    ]
}

/// That the text of a target is one: a plan with a wrong one would test nothing.
#[test]
fn every_target_of_a_scenario_is_one() {
    for plan in all() {
        for target in &plan.places.targets {
            assert!(Connect::to(target).is_ok(), "{}: {target}", plan.name);
        }
    }
}
