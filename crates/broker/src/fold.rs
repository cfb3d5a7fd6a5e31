//! A topic folded into aggregates: what every handler would otherwise write for itself.
//!
//! [`Fold`] is what a service supplies: load, decide, save. The rest is here: parse, skip unknown types by their header
//! before any SQL, load all aggregates of a batch at once, apply the records in log order through a pure decision,
//! recognise repetitions by their sequence, save all, append all, count outcomes.

mod batch;
mod parse;
#[cfg(test)]
mod property;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use envelope::{Event, Sequence, Topic};
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) use self::batch::{Batch, Guard, Handled, Outcome};
use crate::failure::{Failure, Rejected};
use crate::outbox::{Appends, Cause};
use crate::tx::Tx;

/// An event that arrived, and what its headers say.
#[derive(Debug, Clone)]
pub struct Received<E> {
    /// The event.
    pub event: E,
    /// Its id.
    pub id: Uuid,
    /// Its number among the events of its topic and key.
    pub sequence: Sequence,
    /// When it was appended, by its publisher's clock.
    pub time: OffsetDateTime,
    /// The trace that it is part of.
    pub traceparent: Option<String>,
}

impl<E> Received<E> {
    /// This event as the cause of others.
    pub fn cause(&self) -> Cause {
        Cause { event_id: Some(self.id), traceparent: self.traceparent.clone() }
    }
}

/// How one topic changes one kind of aggregate.
///
/// One aggregate is one row and one key of the topic that it publishes; its version is the sequence of what it
/// publishes. A fold never commits, touches Kafka, sleeps or reads a clock.
pub trait Fold: Send + Sync + 'static {
    /// What is read.
    type Event: Event;
    /// The aggregates that a batch needs, and whatever else it is decided by.
    type State: Send;

    /// Whether an event without an aggregate must be the first of its key. `false` for a fold that remembers no sequence
    /// at all.
    const FIRST_IS_FIRST: bool = true;

    /// Loads what `batch` needs in one go, and locks it in key order.
    fn load(
        &self,
        tx: &mut Tx,
        batch: &[Received<Self::Event>],
    ) -> impl Future<Output = Result<Self::State, Failure>> + Send;

    /// Where the event's aggregate remembers the last sequence seen of this topic; `None`: there is no aggregate, and
    /// `decide` says what that means. Then any event but the key's first counts as a gap (see
    /// [`FIRST_IS_FIRST`](Self::FIRST_IS_FIRST)): the events before it are lost.
    fn seen<'s>(&self, state: &'s mut Self::State, event: &Self::Event) -> Option<&'s mut Sequence>;

    /// Applies one event that was not applied before. Pure: changes `state`, and appends what follows to `out`.
    fn decide(
        &self,
        state: &mut Self::State,
        received: &Received<Self::Event>,
        now: OffsetDateTime,
        out: &mut Appends,
    ) -> Result<(), Rejected>;

    /// Writes what `decide` changed, in one go; may append what sums up the batch, and say what follows its commit.
    fn save(&self, tx: &mut Tx, state: Self::State) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// A topic that a service follows, and its fold.
#[derive(Clone)]
pub struct Subscription(Arc<dyn Handler>);

impl Subscription {
    /// Follows the topic of the fold's events.
    pub fn new(fold: impl Fold) -> Self {
        Self(Arc::new(fold))
    }

    /// The topic.
    pub fn topic(&self) -> Topic {
        self.0.topic()
    }

    pub(crate) async fn handle(&self, tx: &mut Tx, batch: Batch<'_>) -> Result<Handled, Failure> {
        self.0.handle(tx, batch).await
    }

    /// Whether `ce_type` is a type of the topic that is known here.
    pub(crate) fn knows(&self, ce_type: &str) -> bool {
        self.0.knows(ce_type)
    }
}

trait Handler: Send + Sync {
    fn topic(&self) -> Topic;
    fn knows(&self, ce_type: &str) -> bool;
    fn handle<'a>(
        &'a self,
        tx: &'a mut Tx,
        batch: Batch<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Handled, Failure>> + Send + 'a>>;
}

impl<F: Fold> Handler for F {
    fn topic(&self) -> Topic {
        F::Event::TOPIC
    }

    fn handle<'a>(
        &'a self,
        tx: &'a mut Tx,
        batch: Batch<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Handled, Failure>> + Send + 'a>> {
        Box::pin(batch::fold(self, tx, batch))
    }

    fn knows(&self, ce_type: &str) -> bool {
        F::Event::knows(ce_type)
    }
}
