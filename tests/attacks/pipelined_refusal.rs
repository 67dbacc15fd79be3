//! R6: after a refused upgrade nothing of the connection is served any more, so that nobody in front can be fooled.

use crate::kit::{Attack, End, Field, GOOD, SOON};

pub(crate) const ATTACK: Attack =
    Attack { name: "pipelined_refusal", rules: "R6 R41", run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let second = "GET /second HTTP/1.1\r\nHost: server.example.com\r\n\r\n";
    let good = GOOD.join("\r\n");
    for (wrong, statuses) in [
        (good.replace("Version: 13", "Version: 12"), vec![426]),
        (good.replace("GET /chat", "POST /chat"), vec![400, 405, 411]),
        (good.replace("Upgrade: websocket", "Upgrade: h2c"), vec![400, 426]),
    ] {
        let mut peer = field.connect();
        peer.send(format!("{wrong}\r\n\r\n{}", second.repeat(50)).as_bytes());
        let head = peer.head().unwrap();
        let status: u16 = head[9..12].parse().unwrap();
        assert!(statuses.contains(&status), "{head:?}");
        assert!(head.to_ascii_lowercase().contains("connection: close"), "{head:?}");
        let (rest, end) = peer.rest(SOON);
        assert!(!String::from_utf8_lossy(&rest).contains("HTTP/1."), "a second answer");
        // The answer was read whole, with its FIN: unread input has not turned it into a reset.
        assert_eq!(end, End::Fin);
    }
}
