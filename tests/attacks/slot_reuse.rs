//! R23: while connections come and go, no byte of one ever reaches another that has taken its place.

use crate::kit::{Attack, Dice, Field, Frame, Peer};

pub(crate) const ATTACK: Attack =
    Attack { name: "slot_reuse", rules: "R23", growth: 192 * 1024, kept: 192 * 1024, run, ..Attack::DEFAULT };

fn run(field: &Field) {
    let rounds = field.up_to(1_500);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || churn(field, thread, rounds));
        }
    });
    field.note(format!("{} connections", 4 * rounds));
}

/// Keeps forty connections, each of which says its own name alone; one leaves in each round, with its echo unread.
fn churn(field: &Field, thread: u64, rounds: usize) {
    let mut dice = Dice::new(thread + 1);
    let mut peers: Vec<(String, Peer)> = Vec::new();
    for round in 0..rounds {
        let name = format!("thread {thread} connection {round} {}", "-".repeat(dice.below(200)));
        let mut peer = field.connect_as(round).opened();
        peer.text(&name);
        peers.push((name, peer));
        if peers.len() < 40 {
            continue;
        }
        let (_, mut leaver) = peers.swap_remove(dice.below(40));
        leaver.frame(&Frame::binary(vec![b'x'; 3_000]));
        if dice.below(2) == 0 {
            leaver.reset();
        }
        let at = dice.below(39);
        let (name, peer) = &mut peers[at];
        peer.expect(&Frame::text(name));
        peer.text(name);
    }
    for (name, peer) in &mut peers {
        peer.expect(&Frame::text(name));
        peer.expect_echo(name);
    }
}
