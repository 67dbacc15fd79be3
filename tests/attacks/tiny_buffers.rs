//! R20, R36: where the kernel has room for a few bytes only, every send is short, and every byte still arrives.

use crate::kit::{Attack, Dice, Field, Frame};

pub(crate) const ATTACK: Attack = Attack {
    name: "tiny_buffers",
    rules: "R20 R36",
    growth: 320 * 1024,
    kept: 320 * 1024,
    run,
    ..Attack::DEFAULT
};

fn run(field: &Field) {
    let mut dice = Dice::new(20);
    let mut peer = field.narrow(2_048).opened();
    let messages: Vec<Frame> = (0..60)
        .map(|number| Frame::binary(dice.bytes(if number % 10 == 0 { 40_000 } else { 1 + 37 * number })))
        .collect();
    let mut writer = peer.twin();
    let bytes: Vec<u8> = messages.iter().flat_map(Frame::masked).collect();
    let sender = std::thread::spawn(move || writer.send(&bytes));
    for message in &messages {
        peer.expect(message);
    }
    assert!(sender.join().unwrap());
}
