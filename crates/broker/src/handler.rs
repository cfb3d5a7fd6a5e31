//! Handlers: how the events of one topic change a service's aggregates.
//!
//! A service implements [`Handler`]: load, handle, save. This module does the rest: it parses records, skips unknown event
//! types by their header before any SQL, loads all aggregates of a batch at once, handles the events in log order, and
//! recognises repetitions by their sequence.

mod batch;
mod incoming;
#[cfg(test)]
mod property;

use std::sync::Arc;

use envelope::{Event, Sequence, Topic};
use futures::future::BoxFuture;

pub use self::batch::{Batch, Guard, Handled, Outcome};
pub use self::incoming::{Incoming, Received};
use crate::failure::{Failure, Rejected};
use crate::policy::Policy;
use crate::tx::Tx;

/// Applies the events of one topic to the aggregates of a service.
///
/// An aggregate is one row and one key of the topic that the service publishes; its version is the sequence of its last
/// event. A handler never commits, calls Kafka, sleeps or reads a clock.
pub trait Handler: Send + Sync + 'static {
    /// The events of the topic.
    type Event: Event;
    /// The aggregates that a batch needs, and everything else that `handle` reads.
    type State: Send;

    /// Whether the first event that arrives for a key must be the key's first event. `false` for a handler that stores no
    /// sequences.
    const FIRST_IS_FIRST: bool = true;

    /// Loads everything that `batch` needs, and locks it in key order.
    fn load(
        &self,
        tx: &mut Tx,
        batch: &[Received<Self::Event>],
    ) -> impl Future<Output = Result<Self::State, Failure>> + Send;

    /// Returns the sequence of the last event of this topic that the event's aggregate has applied. `None`: there is no
    /// such aggregate yet. Then any event other than the key's first counts as a gap (see
    /// [`FIRST_IS_FIRST`](Self::FIRST_IS_FIRST)), and `handle` decides what to do with the event.
    fn last_sequence<'s>(&self, state: &'s mut Self::State, event: &Self::Event) -> Option<&'s mut Sequence>;

    /// Applies one event that was not applied before. Pure: changes `state` and appends events, and does no I/O.
    fn handle(&self, state: &mut Self::State, incoming: Incoming<'_, Self::Event>) -> Result<(), Rejected>;

    /// Writes the changed `state` in as few statements as possible. May append events that summarize the batch, and
    /// register work for after the commit ([`Tx::on_commit`]).
    fn save(&self, tx: &mut Tx, state: Self::State) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// A topic that a service consumes, its handler, and what happens when a batch fails.
#[derive(Clone)]
pub struct Subscription {
    topic: Topic,
    knows: fn(&str) -> bool,
    handler: Arc<dyn AnyHandler>,
    policy: Policy,
}

impl Subscription {
    /// Subscribes to the topic of the handler's events, with the default policy.
    pub fn new<H: Handler>(handler: H) -> Self {
        let (topic, handler) = (H::Event::TOPIC, Arc::new(handler));
        Self { topic, knows: H::Event::knows, handler, policy: Policy::default() }
    }

    /// Sets the retry and dead-letter policy.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Returns the topic.
    pub fn topic(&self) -> Topic {
        self.topic
    }

    /// Returns the retry and dead-letter policy.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Applies a batch of the topic's records within `tx`. On a failure the transaction must be rolled back.
    pub async fn apply(&self, tx: &mut Tx, batch: Batch<'_>) -> Result<Handled, Failure> {
        self.handler.apply(tx, batch).await
    }

    pub(crate) fn knows(&self, ce_type: &str) -> bool {
        (self.knows)(ce_type)
    }
}

trait AnyHandler: Send + Sync {
    fn apply<'a>(&'a self, tx: &'a mut Tx, batch: Batch<'a>) -> BoxFuture<'a, Result<Handled, Failure>>;
}

impl<H: Handler> AnyHandler for H {
    fn apply<'a>(&'a self, tx: &'a mut Tx, batch: Batch<'a>) -> BoxFuture<'a, Result<Handled, Failure>> {
        Box::pin(batch::apply(self, tx, batch))
    }
}
