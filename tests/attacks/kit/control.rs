//! The control of the experiment: a server that nobody attacks, with a healthy client of its own. How that one is
//! served tells what the machine itself does to a client at the same time.

use super::{Bystander, Field, Schedule};
use crate::support::Echo;

pub(crate) struct Control {
    _server: Echo,
    field: Field,
}

impl Control {
    pub(crate) fn start() -> Self {
        let (server, field) = Field::start(&[], &[]);
        Self { _server: server, field }
    }

    /// Healthy clients of the server that nobody attacks.
    pub(crate) fn bystander(&self, schedule: Schedule) -> Bystander {
        Bystander::start(&self.field.target(), schedule)
    }
}
