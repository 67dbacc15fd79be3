//! L4, the listeners of a fleet: each thread has its own of a port that the kernel spreads connections over, and thread 0
//! that of all others.

use crate::face::fleet::seat::Seat;
use crate::face::{Context, FleetError, Handler, Listen, Result, Serve};
use crate::net::{Addr, CloseHow, ListenOptions, NetError, SocketId, System};
use crate::reactor::{ListenerId, Source};

/// A listener of one thread, before that runs.
#[derive(Clone, Debug)]
pub(super) struct Door {
    source: Source,
    addr: Addr,
    listen: Listen,
}

impl Door {
    /// Puts it into the loop of its thread.
    pub(super) fn enter<H: Handler>(self, cx: &mut Context<'_, H>) -> Result<ListenerId> {
        let Self { source, addr, listen } = self;
        let listening = cx.serve(&listen, |io| io.listen_on(source, &addr).map(|id| (id, addr.clone())))?;
        Ok(listening.id)
    }
}

/// Opens a listener on all threads, or on none.
pub(super) fn open<P, S: System>(seats: &mut [Seat<P, S>], addr: &Addr, listen: &Listen) -> Result<Addr> {
    listen.check(addr)?;
    if let Serve::WebSocketWith(config) = &listen.serve {
        config.check()?;
    }
    if matches!(listen.serve, Serve::Takeover(_)) && seats.len() > 1 {
        return Err(FleetError::Takeover.into());
    }
    let shares = KERNEL_BALANCES && seats.len() > 1;
    let bound = match addr {
        Addr::Tcp(_) if shares => open_on_each(seats, addr, listen)?,
        Addr::Tcp(_) | Addr::Unix(_) => open_on_first(seats, addr, listen)?,
    };
    Ok(bound)
}

/// The first thread listens, and deals out what comes where it is not alone.
fn open_on_first<P, S: System>(
    seats: &mut [Seat<P, S>],
    addr: &Addr,
    listen: &Listen,
) -> std::result::Result<Addr, NetError> {
    let is_alone = seats.len() == 1;
    let mut bound = addr.clone();
    for (thread, seat) in seats.iter_mut().enumerate() {
        let source = if thread == 0 {
            let (socket, taken) = seat.system.listen(addr, &listen.options)?;
            bound = taken;
            if is_alone { Source::Own(socket) } else { Source::Dealt(socket) }
        } else {
            Source::Elsewhere
        };
        seat.doors.push(Door { source, addr: bound.clone(), listen: listen.clone() });
    }
    Ok(bound)
}

/// Each thread listens on the same port.
fn open_on_each<P, S: System>(
    seats: &mut [Seat<P, S>],
    addr: &Addr,
    listen: &Listen,
) -> std::result::Result<Addr, NetError> {
    refuse_strangers(seats, addr, &listen.options)?;
    let options = ListenOptions { reuse_port: true, ..listen.options.clone() };
    let (mut bound, mut sockets): (Addr, Vec<SocketId>) = (addr.clone(), Vec::new());
    for seat in &mut *seats {
        match seat.system.listen(&bound, &options) {
            Ok((socket, taken)) => {
                bound = taken;
                sockets.push(socket);
            }
            Err(error) => {
                let opened = seats.iter_mut().zip(sockets);
                opened.for_each(|(seat, socket)| seat.system.close(socket, CloseHow::Graceful));
                return Err(error);
            }
        }
    }
    for (seat, socket) in seats.iter_mut().zip(sockets) {
        seat.doors.push(Door { source: Source::Own(socket), addr: bound.clone(), listen: listen.clone() });
    }
    Ok(bound)
}

/// Whoever shares a port shares it with everybody of the same user who does: so first sees whether it is free.
fn refuse_strangers<P, S: System>(
    seats: &mut [Seat<P, S>],
    addr: &Addr,
    options: &ListenOptions,
) -> std::result::Result<(), NetError> {
    let chooses = addr.as_tcp().is_some_and(|tcp| tcp.port() == 0);
    let Some(seat) = seats.first_mut().filter(|_| !options.reuse_port && !chooses) else { return Ok(()) };
    let (socket, _) = seat.system.listen(addr, options)?;
    seat.system.close(socket, CloseHow::Graceful);
    Ok(())
}

/// Whether the kernel spreads the connections of a port over all who listen on it. Elsewhere the last one gets them all, or
/// another option is needed.
const KERNEL_BALANCES: bool = cfg!(any(target_os = "linux", target_os = "android"));
