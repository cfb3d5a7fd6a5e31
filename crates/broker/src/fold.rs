//! A topic folded into aggregates: what every handler would otherwise write for itself.
//!
//! [`Fold`] is what a service supplies: load, decide, save. The rest is here: parse, skip unknown types by their header
//! before any SQL, load all aggregates of a batch at once, apply the records in log order through a pure decision,
//! recognise repetitions by their sequence, save all, append all, count outcomes.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use envelope::{Arrival, Event, Headers, ParseError, Sequence, Topic};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::failure::{Failure, Rejected};
use crate::outbox::{Appends, Cause};
use crate::record::Record;
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

    /// Loads what `batch` needs in one go, and locks it in key order.
    fn load(
        &self,
        tx: &mut Tx,
        batch: &[Received<Self::Event>],
    ) -> impl Future<Output = Result<Self::State, Failure>> + Send;

    /// Where the event's aggregate remembers the last sequence seen of this topic; `None`: there is no aggregate, and
    /// `decide` says what that means.
    fn seen<'s>(&self, state: &'s mut Self::State, event: &Self::Event) -> Option<&'s mut Sequence>;

    /// Applies one event that was not applied before. Pure: changes `state`, and appends what follows to `out`.
    fn decide(
        &self,
        state: &mut Self::State,
        received: &Received<Self::Event>,
        now: OffsetDateTime,
        out: &mut Appends,
    ) -> Result<(), Rejected>;

    /// Writes what `decide` changed, in one go; may append what sums up the batch.
    fn save(&self, tx: &mut Tx, state: Self::State) -> impl Future<Output = Result<(), Failure>> + Send;

    /// What to do once the batch is committed: wake a worker. It may be lost in a crash.
    fn committed(&self) {}
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied,
    Repeated,
    Skipped,
    Dead,
}

impl Outcome {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Repeated => "repeated",
            Self::Skipped => "skipped",
            Self::Dead => "dead",
        }
    }
}

/// Whether repetitions are told by the sequence. A redrive applies what is out of order, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    On,
    Off,
}

/// A batch of one topic, and the records of it that are known to be at fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub records: &'a [Record],
    pub condemned: &'a BTreeMap<usize, String>,
    pub guard: Guard,
}

/// What became of each record of a batch, and why the dead ones died.
pub(crate) struct Handled {
    pub outcomes: Vec<Outcome>,
    pub causes: BTreeMap<usize, String>,
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

    pub(crate) fn committed(&self) {
        self.0.committed();
    }
}

trait Handler: Send + Sync {
    fn topic(&self) -> Topic;
    fn handle<'a>(
        &'a self,
        tx: &'a mut Tx,
        batch: Batch<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Handled, Failure>> + Send + 'a>>;
    fn committed(&self);
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
        Box::pin(fold(self, tx, batch))
    }

    fn committed(&self) {
        Fold::committed(self);
    }
}

async fn fold<F: Fold>(fold: &F, tx: &mut Tx, batch: Batch<'_>) -> Result<Handled, Failure> {
    let mut handled = Handled { outcomes: Vec::with_capacity(batch.records.len()), causes: BTreeMap::new() };
    let (mut indexes, mut events) = (Vec::new(), Vec::new());
    for (index, record) in batch.records.iter().enumerate() {
        let parsed = match batch.condemned.get(&index) {
            Some(cause) => Parsed::Dead(cause.clone()),
            None => parse(record),
        };
        handled.outcomes.push(match parsed {
            Parsed::Event(event) => {
                indexes.push(index);
                events.push(event);
                Outcome::Applied
            }
            Parsed::Unknown => {
                tracing::debug!(
                    topic = record.topic,
                    offset = record.offset,
                    "skipped an event of an unknown type"
                );
                Outcome::Skipped
            }
            Parsed::Dead(cause) => {
                handled.causes.insert(index, cause);
                Outcome::Dead
            }
        });
    }
    if events.is_empty() {
        return Ok(handled);
    }
    let now = OffsetDateTime::now_utc();
    let mut state = fold.load(tx, &events).await?;
    for (index, received) in indexes.into_iter().zip(&events) {
        if apply(fold, &mut state, received, now, tx, batch.guard)
            .map_err(|Rejected(cause)| Failure::Record { index, cause })?
            == Arrival::Repeated
        {
            handled.outcomes[index] = Outcome::Repeated;
        }
    }
    fold.save(tx, state).await?;
    Ok(handled)
}

/// Applies one event unless it was applied before.
fn apply<F: Fold>(
    fold: &F,
    state: &mut F::State,
    received: &Received<F::Event>,
    now: OffsetDateTime,
    tx: &mut Tx,
    guard: Guard,
) -> Result<Arrival, Rejected> {
    let topic = F::Event::TOPIC;
    let mut arrival = Arrival::Next;
    if let Some(seen) = fold.seen(state, &received.event) {
        arrival = received.sequence.arrival(*seen, topic.cleanup);
        let guarded = guard == Guard::On || topic.cleanup == envelope::Cleanup::Compact;
        match arrival {
            Arrival::Repeated if guarded => return Ok(arrival),
            Arrival::Gap(missing) => {
                metrics::counter!("consumer_gaps_total", "topic" => topic.name).increment(1);
                tracing::error!(
                    topic = topic.name,
                    key = received.event.key(),
                    missing,
                    "events of a key are missing"
                );
            }
            _ => {}
        }
        // Never falls, also when a redrive applies an older event.
        *seen = received.sequence.max(*seen);
        arrival = Arrival::Next;
    }
    tx.appends().caused_by(received.cause());
    fold.decide(state, received, now, tx.appends())?;
    Ok(arrival)
}

enum Parsed<E> {
    Event(Received<E>),
    /// A type of a newer producer.
    Unknown,
    Dead(String),
}

fn parse<E: Event>(record: &Record) -> Parsed<E> {
    if record.headers.is_none() {
        return Parsed::Dead("the headers are not readable: a name is no UTF-8".to_owned());
    }
    let Some(ce_type) = record.ce_type() else {
        return Parsed::Dead("header ce_type is missing or not readable".to_owned());
    };
    if !E::knows(ce_type) {
        return Parsed::Unknown;
    }
    let headers = match Headers::read(|name| record.header(name)) {
        Ok(headers) => headers,
        Err(error) => return Parsed::Dead(error.to_string()),
    };
    let Some(key) = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()) else {
        return Parsed::Dead("the key is missing or no UTF-8".to_owned());
    };
    match E::parse(ce_type, key, record.value.as_deref()) {
        // Order and sequence are per key: an event under another key than its own has neither.
        Ok(event) if event.key() != key => Parsed::Dead("the key is not that of the event".to_owned()),
        Ok(event) => Parsed::Event(Received {
            event,
            id: headers.id,
            sequence: headers.sequence,
            time: headers.time,
            traceparent: headers.traceparent,
        }),
        // What serde quotes of a personal value must not travel on in the cause.
        Err(ParseError::Data(_)) if E::TOPIC.personal => Parsed::Dead("the value does not parse".to_owned()),
        Err(error) => Parsed::Dead(error.to_string()),
    }
}
