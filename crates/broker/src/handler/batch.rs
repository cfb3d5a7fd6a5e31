//! One batch of one topic through a fold: parse, load, decide each in log order, save.

use std::collections::{BTreeMap, BTreeSet};

use envelope::{Arrival, Cleanup, Event, Sequence};
use time::OffsetDateTime;

use super::parse::{Parsed, parse};
use super::{Handler, Incoming, Received};
use crate::failure::{Failure, Rejected};
use crate::record::Record;
use crate::tx::Tx;

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
    pub rejected: &'a BTreeMap<usize, String>,
    pub guard: Guard,
}

/// What became of each record of a batch, why the dead ones died, and after how many missing events others came.
#[derive(Debug, Default)]
pub(crate) struct Handled {
    pub outcomes: Vec<Outcome>,
    pub causes: BTreeMap<usize, String>,
    pub gaps: BTreeMap<usize, u64>,
    /// The applied ones that were published after their publisher's database was restored.
    pub regenerated: BTreeSet<usize>,
}

pub(super) async fn apply<H: Handler>(
    handler: &H,
    tx: &mut Tx,
    batch: Batch<'_>,
) -> Result<Handled, Failure> {
    let mut handled = Handled::default();
    let (mut indexes, mut events) = (Vec::new(), Vec::new());
    for (index, record) in batch.records.iter().enumerate() {
        let parsed = match batch.rejected.get(&index) {
            Some(cause) => Parsed::Dead(cause.clone()),
            None => parse(record),
        };
        handled.outcomes.push(match parsed {
            Parsed::Event(event) => {
                indexes.push(index);
                events.push(event);
                Outcome::Applied
            }
            Parsed::Unknown => Outcome::Skipped,
            Parsed::Dead(cause) => {
                handled.causes.insert(index, cause);
                Outcome::Dead
            }
        });
    }
    if events.is_empty() {
        return Ok(handled);
    }
    let mut state = handler.load(tx, &events).await?;
    // Behind the locks: what several writers note of one row is in the order of time; and no finer than Postgres keeps it.
    let now = OffsetDateTime::now_utc().truncate_to_microsecond();
    for (index, received) in indexes.into_iter().zip(&events) {
        match arrival(handler, &mut state, received, batch.guard) {
            Arrival::Repeated => {
                handled.outcomes[index] = Outcome::Repeated;
                continue;
            }
            Arrival::Gap(missing) => {
                handled.gaps.insert(index, missing);
            }
            Arrival::Regenerated => {
                handled.regenerated.insert(index);
            }
            Arrival::Next => {}
        }
        handler
            .handle(&mut state, Incoming::new(received, now, tx.appends()))
            .map_err(|Rejected(cause)| Failure::Record { index, cause })?;
    }
    handler.save(tx, state).await?;
    Ok(handled)
}

/// How the event stands to what its aggregate has seen, which it counts as seen from now on.
fn arrival<H: Handler>(
    handler: &H,
    state: &mut H::State,
    received: &Received<H::Event>,
    guard: Guard,
) -> Arrival {
    let cleanup = H::Event::TOPIC.cleanup;
    let Some(seen) = handler.last_sequence(state, &received.event) else {
        // Nothing is known of the key.
        return match received.sequence.arrival(Sequence::NONE, cleanup) {
            Arrival::Gap(missing) if H::FIRST_IS_FIRST => Arrival::Gap(missing),
            _ => Arrival::Next,
        };
    };
    let arrival = received.sequence.arrival(*seen, cleanup);
    // Never falls, also when a redrive applies an older event.
    *seen = received.sequence.max(*seen);
    match arrival {
        // An older state never comes over a newer one, whoever asks for it.
        Arrival::Repeated if guard == Guard::Off && cleanup == Cleanup::Delete => Arrival::Next,
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

    /// Knows the sequence that it has seen, or has no aggregate.
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
        seen: Option<i64>,
        sequence: i64,
    ) -> Arrival {
        let sequence = Sequence::from_i64(sequence).unwrap();
        let (id, time, event) = (Uuid::nil(), OffsetDateTime::UNIX_EPOCH, Deleted::Happened {});
        let received = Received { event, id, sequence, time, traceparent: None };
        let mut state = seen.map(|seen| Sequence::from_i64(seen).unwrap());
        arrival(handler, &mut state, &received, Guard::On)
    }

    #[test]
    fn a_key_of_which_nothing_is_known_begins_with_its_first_event() {
        let of_a_new_key = |sequence| arrives(&Things::<true>, None, sequence);
        assert_eq!(of_a_new_key(1), Arrival::Next);
        assert_eq!(of_a_new_key(2), Arrival::Gap(1));
        assert_eq!(of_a_new_key(3), Arrival::Gap(2));
        assert_eq!(arrives(&Things::<true>, Some(1), 3), Arrival::Gap(1), "as behind a later one");
        assert_eq!(arrives(&Things::<false>, None, 3), Arrival::Next, "it remembers no sequence");
    }
}
