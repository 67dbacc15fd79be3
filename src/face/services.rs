//! L4, what the listeners of a reactor serve: each [`WebSocketConfig`] is kept once, for as long as somebody uses it.

use crate::face::config::{ConfigError, Drain, Listen, Serve, WebSocketConfig};
use crate::face::session::ServiceIndex;
use crate::reactor::ListenerId;
use crate::ws::{DeflateParams, Upgrade};

/// What listeners serve, by index, and which listener serves what.
#[derive(Debug)]
pub(super) struct Services {
    /// [`Config::websocket`](crate::Config::websocket), at index 0.
    first: WebSocketConfig,
    /// Those of [`Serve::WebSocketWith`], from index 1; a place is taken again once nobody uses it.
    others: Vec<Option<Shared>>,
    bound: Vec<(ListenerId, Service)>,
}

/// A configuration and how many use it: its listener, and the connections that came by it.
#[derive(Debug)]
struct Shared {
    config: WebSocketConfig,
    users: usize,
}

/// What the connections of a listener speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    WebSocket(ServiceIndex),
    Raw,
    /// Bytes, once what comes before them is over: a proxy's header, a TLS handshake.
    RawLater,
    /// The listeners, to a successor.
    Takeover(Drain),
}

impl Services {
    pub(super) fn new(first: WebSocketConfig) -> Self {
        Self { first, others: Vec::new(), bound: Vec::new() }
    }

    #[inline]
    pub(super) fn of(&self, index: ServiceIndex) -> &WebSocketConfig {
        let other = place(index).and_then(|place| self.others.get(place)?.as_ref());
        other.map_or(&self.first, |other| &other.config)
    }

    /// What of the compression a request offers is agreed to.
    pub(super) fn deflate(&self, index: ServiceIndex, upgrade: &Upgrade) -> Option<DeflateParams> {
        let config = self.of(index).deflate.as_ref().filter(|_| cfg!(feature = "deflate"))?;
        upgrade.deflate(config)
    }

    /// What the connections of `listener` speak.
    pub(super) fn at(&self, listener: ListenerId) -> Service {
        let found = self.bound.iter().find(|(id, _)| *id == listener);
        found.map_or(Service::WebSocket(ServiceIndex(0)), |(_, service)| *service)
    }

    /// Whether a listener is there for those who take this process's place.
    pub(super) fn is_for_successors(&self, listener: ListenerId) -> bool {
        matches!(self.at(listener), Service::Takeover(_))
    }

    /// Takes in the service of a listener to be opened: then [`Services::bind`] follows, or [`Services::leave`].
    pub(super) fn enter(&mut self, listen: &Listen) -> Result<Service, ConfigError> {
        match &listen.serve {
            Serve::WebSocket => Ok(Service::WebSocket(ServiceIndex(0))),
            Serve::Raw if listen.tls.is_some() || listen.proxy.is_some() => Ok(Service::RawLater),
            Serve::Raw => Ok(Service::Raw),
            Serve::Takeover(drain) => Ok(Service::Takeover(*drain)),
            Serve::WebSocketWith(config) => {
                config.check()?;
                self.keep(WebSocketConfig::clone(config)).map(Service::WebSocket)
            }
        }
    }

    /// Puts a configuration at the first free place.
    fn keep(&mut self, config: WebSocketConfig) -> Result<ServiceIndex, ConfigError> {
        let free = self.others.iter().position(Option::is_none).unwrap_or(self.others.len());
        let index = u16::try_from(free.saturating_add(1)).map_err(|_| ConfigError::TooManyServices)?;
        let shared = Some(Shared { config, users: 1 });
        match self.others.get_mut(free) {
            Some(place) => *place = shared,
            None => self.others.push(shared),
        }
        Ok(ServiceIndex(index))
    }

    pub(super) fn bind(&mut self, listener: ListenerId, service: Service) {
        self.bound.push((listener, service));
    }

    pub(super) fn unbind(&mut self, listener: ListenerId) {
        if let Some(at) = self.bound.iter().position(|(id, _)| *id == listener) {
            let (_, service) = self.bound.swap_remove(at);
            self.leave(service);
        }
    }

    /// A listener serves it no more, or could not be opened.
    pub(super) fn leave(&mut self, service: Service) {
        if let Service::WebSocket(index) = service {
            self.release(index);
        }
    }

    /// A connection uses it, until [`Services::release`].
    #[inline]
    pub(super) fn share(&mut self, index: ServiceIndex) {
        if let Some(shared) = place(index).and_then(|place| self.others.get_mut(place)?.as_mut()) {
            shared.users = shared.users.saturating_add(1);
        }
    }

    /// A connection, or a listener, uses it no more. It goes with the last of them.
    #[inline]
    pub(super) fn release(&mut self, index: ServiceIndex) {
        let Some(place) = place(index).and_then(|place| self.others.get_mut(place)) else { return };
        if let Some(shared) = place {
            shared.users = shared.users.saturating_sub(1);
            if shared.users == 0 {
                *place = None;
            }
        }
    }
}

/// The place of one of the others.
#[inline]
fn place(index: ServiceIndex) -> Option<usize> {
    usize::from(index.0).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(max_headers: usize) -> Serve {
        let mut config = WebSocketConfig::default();
        config.head.max_headers = max_headers;
        Serve::WebSocketWith(Box::new(config))
    }

    fn entered(services: &mut Services, serve: &Serve) -> ServiceIndex {
        let listen = Listen { serve: serve.clone(), ..Listen::default() };
        let Ok(Service::WebSocket(index)) = services.enter(&listen) else { panic!("it was not taken in") };
        index
    }

    #[test]
    fn a_configuration_goes_with_the_last_that_uses_it_and_its_place_is_taken_again() {
        let mut services = Services::new(WebSocketConfig::default());
        let (first, second) = (entered(&mut services, &with(7)), entered(&mut services, &with(8)));
        services.share(first);
        services.leave(Service::WebSocket(first));
        assert_eq!(services.of(first).head.max_headers, 7, "a connection still uses it");
        services.release(first);
        assert_eq!(entered(&mut services, &with(9)), first);
        assert_eq!(services.of(first).head.max_headers, 9);
        assert_eq!(services.of(second).head.max_headers, 8);
    }

    #[test]
    fn more_listeners_than_can_be_counted_may_come_one_after_the_other() {
        let mut services = Services::new(WebSocketConfig::default());
        for _ in 0..70_000 {
            let index = entered(&mut services, &with(7));
            services.leave(Service::WebSocket(index));
        }
        assert_eq!(services.others.len(), 1);
    }

    #[test]
    fn the_configuration_of_all_others_stays() {
        let mut services = Services::new(WebSocketConfig::default());
        let index = entered(&mut services, &Serve::WebSocket);
        services.share(index);
        services.release(index);
        services.leave(Service::WebSocket(index));
        assert_eq!(services.of(index).head, WebSocketConfig::default().head);
    }
}
