//! The published events of an order, rebuilt from its row.

use envelope::{Event as _, Sequence};
use events::OrderEvent;
use time::OffsetDateTime;

use super::{Order, Status};

impl Order {
    /// Returns the published events, each with its sequence and its time; the order must have its whole history.
    ///
    /// An order is placed, at most once confirmed, and at most once and finally cancelled. So status and version determine
    /// the events.
    pub(crate) fn published(&self) -> Vec<(Sequence, OffsetDateTime, OrderEvent)> {
        let first = Sequence::NONE.next();
        let mut events = vec![(first, OrderEvent::Placed(self.placed.clone()))];
        match self.state.status {
            Status::Placed => {}
            Status::Confirmed => events.push((self.version, OrderEvent::Confirmed(self.confirmed()))),
            Status::Cancelled(reason) => {
                if self.version > first.next() {
                    events.push((first.next(), OrderEvent::Confirmed(self.confirmed())));
                }
                events.push((self.version, OrderEvent::Cancelled(self.cancelled(reason))));
            }
        }
        let timed = |(sequence, event)| (sequence, self.time_of(&event), event);
        events.into_iter().map(timed).collect()
    }

    /// Returns the time at which an event was published, from the history.
    fn time_of(&self, event: &OrderEvent) -> OffsetDateTime {
        let entry = self.entries.iter().find(|entry| entry.event_type == event.ce_type());
        entry.map_or(self.updated_at, |entry| entry.at)
    }
}
