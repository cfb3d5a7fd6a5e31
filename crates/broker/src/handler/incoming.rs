//! The event that a handler applies.

use std::ops::Deref;

use envelope::{Event, Sequence};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::outbox::{AppendError, Appends, Cause};

/// An event as it was read from Kafka.
#[derive(Debug, Clone)]
pub struct Received<E> {
    /// The event.
    pub event: E,
    /// The event's id.
    pub id: Uuid,
    /// The event's number among the events of its topic and key.
    pub sequence: Sequence,
    /// The time of the append, by the publisher's clock.
    pub time: OffsetDateTime,
    /// The W3C trace context of the event.
    pub traceparent: Option<String>,
}

impl<E> Received<E> {
    /// Returns this event as the cause of others.
    pub fn cause(&self) -> Cause {
        Cause { event_id: Some(self.id), traceparent: self.traceparent.clone() }
    }
}

/// One event to handle, and the events that follow from it.
///
/// Dereferences to the [`Received`] event.
#[derive(Debug)]
pub struct Incoming<'a, E> {
    /// The event and its headers.
    pub received: &'a Received<E>,
    /// The time of the transaction, by the clock of this process, read after the aggregates were locked. The same for all
    /// events of a batch.
    pub now: OffsetDateTime,
    appends: &'a mut Appends,
}

impl<'a, E> Incoming<'a, E> {
    pub(crate) fn new(received: &'a Received<E>, now: OffsetDateTime, appends: &'a mut Appends) -> Self {
        appends.caused_by(received.cause());
        Self { received, now, appends }
    }

    /// Appends `event` to the outbox, caused by the one that is handled. `sequence` is the number of `event` among the events of
    /// its own topic and key: from 1 without gaps, or only rising on a compacted topic. Where each version of an aggregate
    /// publishes one event, it is the version.
    pub fn append<A: Event>(&mut self, sequence: Sequence, event: &A) -> Result<Uuid, AppendError> {
        self.appends.append(sequence, event)
    }
}

impl<E> Deref for Incoming<'_, E> {
    type Target = Received<E>;

    fn deref(&self) -> &Received<E> {
        self.received
    }
}
