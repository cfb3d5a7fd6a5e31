//! Applies one batch of one topic with a handler: parse, load, handle each event in log order, save.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use envelope::{Arrival, Cleanup, Event, Headers, ParseError, Sequence};
use time::OffsetDateTime;

use super::Handler;
use super::incoming::{Incoming, Received};
use crate::failure::{Failure, Rejected};
use crate::record::Record;
use crate::tx::Tx;

/// The outcome of a record.
#[derive(Debug, Clone, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// The handler applied the event.
    Applied,
    /// The event was applied before.
    Repeated,
    /// The event's type is unknown.
    Skipped,
    /// The record can never be applied, for this reason.
    Dead(String),
}

impl Outcome {
    /// The value of the metric's label `outcome`.
    pub(crate) fn label(&self) -> &'static str {
        self.into()
    }
}

/// Whether an event whose sequence is not higher than the last one counts as a repetition. A redrive applies dead letters
/// out of order on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Repetitions are recognised.
    On,
    /// On topics with cleanup by deletion every event is applied.
    Off,
}

/// A batch of records of one topic.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The records in log order.
    pub records: &'a [Record],
    /// The records that become dead letters without being handled, by their index, with the causes.
    pub rejected: &'a BTreeMap<usize, String>,
    /// Whether repetitions are recognised.
    pub guard: Guard,
}

/// The outcomes of a batch.
#[derive(Debug, Default)]
pub struct Handled {
    /// The outcome of each record.
    pub outcomes: Vec<Outcome>,
    /// The number of missing events before a record, by the record's index.
    pub(crate) gaps: BTreeMap<usize, u64>,
    /// The applied records that were published after their publisher's database was restored.
    pub(crate) regenerated: BTreeSet<usize>,
}

/// The cause of a dead letter whose handler panicked. The panic's own message may quote personal data.
const PANICKED: &str = "the handler panicked; the service's log has the message";

pub(super) async fn apply<H: Handler>(
    handler: &H,
    tx: &mut Tx,
    batch: Batch<'_>,
) -> Result<Handled, Failure> {
    let mut result = Handled::default();
    let (mut indexes, mut events) = (Vec::new(), Vec::new());
    for (index, record) in batch.records.iter().enumerate() {
        let parsed = match batch.rejected.get(&index) {
            Some(cause) => Err(Outcome::Dead(cause.clone())),
            None => parse(record),
        };
        result.outcomes.push(match parsed {
            Ok(event) => {
                indexes.push(index);
                events.push(event);
                Outcome::Applied
            }
            Err(outcome) => outcome,
        });
    }
    if events.is_empty() {
        return Ok(result);
    }
    let mut state = handler.load(tx, &events).await?;
    // Read after the rows are locked, so that the times that several writers store in one row are in order. Truncated to the
    // resolution of Postgres.
    let now = OffsetDateTime::now_utc().truncate_to_microsecond();
    for (index, received) in indexes.into_iter().zip(&events) {
        match arrival(handler, &mut state, received, batch.guard) {
            Arrival::Repeated => {
                result.outcomes[index] = Outcome::Repeated;
                continue;
            }
            Arrival::Gap(missing) => {
                result.gaps.insert(index, missing);
            }
            Arrival::Regenerated => {
                result.regenerated.insert(index);
            }
            Arrival::Next => {}
        }
        let incoming = Incoming::new(received, now, tx.appends());
        // The state that a panic leaves behind is dropped.
        let answer = catch_unwind(AssertUnwindSafe(|| handler.handle(&mut state, incoming)));
        let answer = answer.unwrap_or_else(|_| Err(Rejected(PANICKED.to_owned())));
        answer.map_err(|Rejected(cause)| Failure::Record { index, cause })?;
    }
    handler.save(tx, state).await?;
    Ok(result)
}

/// Parses the event of a record. An unknown type is skipped: a newer version of the publisher wrote the record.
fn parse<E: Event>(record: &Record) -> Result<Received<E>, Outcome> {
    let dead = |cause: &str| Outcome::Dead(cause.to_owned());
    if record.headers.is_none() {
        return Err(dead("the headers are not readable: a name is not UTF-8"));
    }
    let ce_type = record.ce_type().ok_or_else(|| dead("header ce_type is missing or not readable"))?;
    if !E::knows(ce_type) {
        return Err(Outcome::Skipped);
    }
    let headers =
        Headers::read(|name| record.header(name)).map_err(|error| Outcome::Dead(error.to_string()))?;
    if !E::TOPIC.is_published_by(&headers.source) {
        // The cause does not quote the header, which may be any text; the dead letter has it.
        let owner = envelope::source(E::TOPIC.owner);
        return Err(dead(&format!("header ce_source is not {owner}, which alone publishes on this topic")));
    }
    let key = record.key_text().ok_or_else(|| dead("the key is missing or not UTF-8"))?;
    let event = E::parse(ce_type, key, record.value.as_deref()).map_err(|error| match error {
        // The error of serde quotes parts of the value, which must not get into the cause on a personal topic.
        ParseError::Data(_) if E::TOPIC.personal => dead("the value does not parse"),
        error => Outcome::Dead(error.to_string()),
    })?;
    // Order and sequence are per key: an event under a wrong key has neither.
    if event.key() != key {
        return Err(dead("the key is not that of the event"));
    }
    let Headers { id, sequence, time, traceparent, .. } = headers;
    Ok(Received { event, id, sequence, time, traceparent })
}

/// Compares the event's sequence with the last one of its aggregate, and stores it as the last one.
fn arrival<H: Handler>(
    handler: &H,
    state: &mut H::State,
    received: &Received<H::Event>,
    guard: Guard,
) -> Arrival {
    let cleanup = H::Event::TOPIC.cleanup;
    let Some(last) = handler.last_sequence(state, &received.event) else {
        // The key is unknown.
        return match received.sequence.arrival(Sequence::NONE, cleanup) {
            Arrival::Gap(missing) if H::FIRST_IS_FIRST => Arrival::Gap(missing),
            _ => Arrival::Next,
        };
    };
    let arrival = received.sequence.arrival(*last, cleanup);
    let is_last = received.sequence == *last;
    // It never falls, even when a redrive applies an older event.
    *last = received.sequence.max(*last);
    match arrival {
        // An older state never replaces a newer one, not even by a redrive. The last event was applied: it never becomes the last
        // one otherwise.
        Arrival::Repeated if guard == Guard::Off && cleanup == Cleanup::Delete && !is_last => Arrival::Next,
        arrival => arrival,
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use uuid::Uuid;

    use super::*;

    #[derive(Serialize, Deserialize)]
    enum Deleted {
        #[serde(rename = "thing.happened.v1")]
        Happened {},
    }

    impl Event for Deleted {
        const TOPIC: envelope::Topic = envelope::Topic {
            name: "things",
            owner: "maker",
            key: "id",
            cleanup: Cleanup::Delete,
            personal: false,
        };

        fn key(&self) -> String {
            "thing".to_owned()
        }
    }

    /// A handler whose state is the last sequence, or no aggregate.
    struct Things<const FIRST_IS_FIRST: bool>;

    impl<const FIRST_IS_FIRST: bool> Handler for Things<FIRST_IS_FIRST> {
        type Event = Deleted;
        type State = Option<Sequence>;

        const FIRST_IS_FIRST: bool = FIRST_IS_FIRST;

        async fn load(&self, _: &mut Tx, _: &[Received<Deleted>]) -> Result<Self::State, Failure> {
            Ok(None)
        }

        fn last_sequence<'s>(&self, state: &'s mut Self::State, _: &Deleted) -> Option<&'s mut Sequence> {
            state.as_mut()
        }

        fn handle(&self, _: &mut Self::State, _: Incoming<'_, Deleted>) -> Result<(), Rejected> {
            Ok(())
        }

        async fn save(&self, _: &mut Tx, _: Self::State) -> Result<(), Failure> {
            Ok(())
        }
    }

    fn arrives<H: Handler<Event = Deleted, State = Option<Sequence>>>(
        handler: &H,
        last: Option<i64>,
        sequence: i64,
    ) -> Arrival {
        let sequence = Sequence::from_i64(sequence).unwrap();
        let (id, time, event) = (Uuid::nil(), OffsetDateTime::UNIX_EPOCH, Deleted::Happened {});
        let received = Received { event, id, sequence, time, traceparent: None };
        let mut state = last.map(|last| Sequence::from_i64(last).unwrap());
        arrival(handler, &mut state, &received, Guard::On)
    }

    #[test]
    fn an_unknown_key_must_begin_with_its_first_event() {
        let of_a_new_key = |sequence| arrives(&Things::<true>, None, sequence);
        assert_eq!(of_a_new_key(1), Arrival::Next);
        assert_eq!(of_a_new_key(2), Arrival::Gap(1));
        assert_eq!(of_a_new_key(3), Arrival::Gap(2));
        assert_eq!(arrives(&Things::<true>, Some(1), 3), Arrival::Gap(1), "as after a known event");
        assert_eq!(arrives(&Things::<false>, None, 3), Arrival::Next, "the handler stores no sequences");
    }
}
