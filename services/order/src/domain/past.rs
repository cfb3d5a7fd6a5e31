//! What was published of an order, rebuilt from where it stands.

use envelope::Sequence;
use events::OrderEvent;
use time::OffsetDateTime;

use super::{Order, Status};

impl Order {
    /// The events that were published of this order, each with its sequence and its time. The order's `news` have to be its
    /// whole history.
    ///
    /// Placed, at most once confirmed, at most once and for ever cancelled: so the status and the version tell which ones.
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

    /// When an event of this order was published, by its history.
    fn time_of(&self, event: &OrderEvent) -> OffsetDateTime {
        let event_type = match event {
            OrderEvent::Placed(_) => "order.placed.v1",
            OrderEvent::Confirmed(_) => "order.confirmed.v1",
            OrderEvent::Cancelled(_) => "order.cancelled.v1",
        };
        let noted = self.news.iter().find(|entry| entry.event_type == event_type);
        noted.map_or(self.updated_at, |entry| entry.at)
    }
}
