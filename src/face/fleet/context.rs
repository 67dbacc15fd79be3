//! L4, what a handler may do to the other threads of its fleet.

use crate::face::fleet::crew::Notice;
use crate::face::{Context, FleetHandle, Handler, Published, Spread};
use crate::reactor::ConnId;
use crate::ws::Prepared;

impl<H: Handler> Context<'_, H> {
    /// The fleet that this thread is one of; `None` where the reactor is alone.
    #[must_use]
    pub fn fleet(&self) -> Option<&FleetHandle> {
        self.shared.member.as_ref().map(|member| member.fleet())
    }

    /// As [`Context::publish`], and to the subscribers on all other threads of the fleet as well. Never waits: answers what
    /// became of it here, and which of the others took it. Where the reactor is alone there are no others.
    pub fn publish_everywhere(&mut self, topic: &str, message: &mut Prepared) -> (Published, Spread) {
        let here = self.publish(topic, message);
        (here, self.publish_elsewhere(topic, message))
    }

    /// The same, but not to `sender`, a connection of this thread.
    pub fn publish_everywhere_from(
        &mut self,
        sender: ConnId,
        topic: &str,
        message: &mut Prepared,
    ) -> (Published, Spread) {
        let here = self.publish_from(sender, topic, message);
        (here, self.publish_elsewhere(topic, message))
    }

    fn publish_elsewhere(&self, topic: &str, message: &Prepared) -> Spread {
        self.shared.member.as_ref().map(|member| member.publish_elsewhere(topic, message)).unwrap_or_default()
    }

    /// Publishes what came from another thread.
    pub(in crate::face) fn publish_notice(&mut self, notice: &Notice) -> Published {
        self.publish(&notice.topic, &mut notice.message.clone())
    }
}
