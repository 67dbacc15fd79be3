//! L4, the end of a reactor in good order (R49): no new connections, 1001 to the old ones, a bound on the wait.

use std::time::Duration;

use crate::face::session::Stage;
use crate::face::{Context, Handler};
use crate::reactor::ConnId;
use crate::ws::CloseCode;

/// Starts it; a second start shortens the grace to what is asked then.
pub(super) fn begin<H: Handler>(cx: &mut Context<'_, H>, grace: Duration) {
    let listeners: Vec<_> = cx.io.listeners().map(|(id, _)| id).collect();
    for id in listeners {
        cx.close_listener(id);
    }
    for index in 0..cx.io.connections_end() {
        if let Some(id) = cx.io.connection_at(index) {
            dismiss(cx, id);
        }
    }
    if let Some(earlier) = cx.shared.grace.take() {
        cx.io.cancel_timer(earlier);
    }
    let at = cx.io.now().saturating_add(grace);
    cx.shared.grace = cx.io.set_timer(at, 0);
    cx.io.stop_when_empty();
}

/// Asks one connection to leave.
fn dismiss<H: Handler>(cx: &mut Context<'_, H>, id: ConnId) {
    let Some(session) = cx.io.session(id) else { return };
    match session.stage {
        // Where it is closing already, its own bound holds.
        Stage::Socket(_) => drop(cx.close(id, CloseCode::GOING_AWAY, "")),
        Stage::Raw => cx.finish(id),
        Stage::Opening(_) | Stage::Held(_) | Stage::Dialling(_) | Stage::Calling(_) => cx.abort(id),
        Stage::Ended(_) => {}
    }
}

/// The grace is over: cuts whatever is left.
pub(super) fn end<H: Handler>(cx: &mut Context<'_, H>) {
    cx.shared.grace = None;
    for index in 0..cx.io.connections_end() {
        if let Some(id) = cx.io.connection_at(index) {
            cx.abort(id);
        }
    }
}
