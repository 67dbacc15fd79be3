//! R22: every close code there is: those that may be sent are answered, all others are a protocol error.

use crate::kit::{Attack, CLOSE, End, Field, Frame, Peer};

pub(crate) const ATTACK: Attack =
    Attack { name: "close_codes", rules: "R22", quick: false, growth: 512 * 1024, run, ..Attack::DEFAULT };

/// All of them where the server has a Unix-domain socket; else as many as ports allow: all up to 5,000, and samples.
fn run(field: &Field) {
    let target = field.targets().pop().unwrap();
    let is_local = field.targets().len() > 1 && field.process.is_some();
    let codes: Vec<u16> =
        (0..=u16::MAX).filter(|code| is_local || *code <= 5_000 || code % 97 == 0).collect();
    let sample = codes.iter().step_by(if field.up_to(10) == 1 { 10 } else { 1 });
    for code in sample.clone().copied() {
        let mut peer = Peer::new(target.connect().unwrap()).opened();
        peer.frame(&Frame::close(code, ""));
        let (frames, end) = peer.farewell();
        let answer = frames.first().filter(|frame| frame.opcode == CLOSE).and_then(Frame::close_code);
        let expected = if may_be_sent(code) { code } else { 1002 };
        assert_eq!((answer, frames.len(), end), (Some(expected), 1, End::Fin), "for the code {code}");
        peer.reset();
    }
    field.note(format!("{} codes", sample.count()));
}

/// RFC 6455 §7.4 and the registry of IANA.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
