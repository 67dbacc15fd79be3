//! Peers in a process of their own, which can be stopped and killed: this program once more, in another role.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::{Field, Frame, Peer, head};

/// A process that holds connections until it is killed, stopped, or dropped.
pub(crate) struct Regiment(Child);

const ROLE: &str = "GNEZDO_ATTACKS_PEERS";

/// What the connections do once they are open.
#[derive(Clone, Copy)]
pub(crate) enum Duty {
    /// Half of them are in the middle of a message.
    HalfSent,
    /// Each has asked for more than the server can get rid of while nobody reads.
    Unread,
}

impl Regiment {
    /// Raises it, and waits until all of its connections stand.
    pub(crate) fn raise(field: &Field, count: usize, duty: Duty) -> Self {
        let role = format!("{} {count} {}", field.tcp, duty as u8);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready");
        Self(child)
    }

    /// Kills it as by `kill -9`; when this returns, all of its connections are closed on its side.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Regiment {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves in a regiment, where this process was started for that; answers whether it was.
pub(crate) fn serve() -> bool {
    let Ok(role) = std::env::var(ROLE) else { return false };
    let mut words = role.split(' ');
    let addr: SocketAddr = words.next().unwrap().parse().unwrap();
    let count: usize = words.next().unwrap().parse().unwrap();
    let half_sent = words.next() == Some("0");
    let field = Field::foreign(addr, None);
    let peers: Vec<Peer> = (0..count).map(|number| begin(&field, number, half_sent)).collect();
    println!("ready");
    std::io::stdout().flush().unwrap();
    // Until whoever raised us is gone.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    drop(peers);
    true
}

fn begin(field: &Field, number: usize, half_sent: bool) -> Peer {
    let mut peer = field.connect_as(number).opened();
    if !half_sent {
        let message = Frame::binary(vec![1; 256 * 1024]).masked();
        peer.push(&message.repeat(32), std::time::Duration::from_millis(100));
    } else if number.is_multiple_of(2) {
        let mut part = head(0x82, true, 5_000);
        part.extend([0; 1_004]);
        peer.send(&part);
    }
    peer
}
