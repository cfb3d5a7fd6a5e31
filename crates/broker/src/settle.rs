//! Brings one topic's records of a batch into the database, whatever stands in the way.
//!
//! A batch is one transaction: positions, effects, events, dead letters. When some record is at fault the batch is halved
//! down to it, and it alone goes to the dead letters; when the world is at fault, the same batch is tried again for ever.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::consumer::ConsumerStatus;
use crate::dead_letter;
use crate::failure::Failure;
use crate::fold::{Batch, Guard, Handled, Outcome, Subscription};
use crate::pause;
use crate::positions::{self, Advance, Partition, Positions};
use crate::record::Record;
use crate::settings::Settings;
use crate::tx::Outbox;

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// All of it is in the database.
    Done,
    /// Someone else was here meanwhile: read the positions again. What was settled before that counts.
    Stale,
    /// The process is to stop.
    Stopped,
}

pub(crate) struct Settler {
    settings: Settings,
    outbox: Outbox,
    status: watch::Sender<ConsumerStatus>,
    stop: CancellationToken,
    /// Dead letters since the last success.
    deaths_in_a_row: u64,
}

enum Attempt {
    Stale,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Attempt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Settler {
    pub(crate) fn new(
        settings: Settings,
        outbox: Outbox,
        status: watch::Sender<ConsumerStatus>,
        stop: CancellationToken,
    ) -> Self {
        Self { settings, outbox, status, stop, deaths_in_a_row: 0 }
    }

    /// Settles `records`, all of one topic and in log order, and moves `positions` on.
    pub(crate) async fn settle(
        &mut self,
        subscription: &Subscription,
        records: &[Record],
        positions: &mut Positions,
    ) -> Settled {
        let mut condemned = BTreeMap::new();
        let mut patience = patience();
        // The parts that are not settled yet, the next one last.
        let mut open = Vec::from([Range { start: 0, end: records.len() }]);
        while let Some(range) = open.pop() {
            let failure = match self
                .attempt(subscription, &records[range.clone()], &range, &condemned, positions)
                .await
            {
                Ok(()) => {
                    patience = self::patience();
                    continue;
                }
                Err(Attempt::Stale) => return Settled::Stale,
                Err(Attempt::Failed(failure)) => failure,
            };
            let mut wait = false;
            match failure {
                Failure::Record { index, cause } => {
                    // Condemned already, and at fault again: not the record's fault alone.
                    wait = condemned.insert(range.start + index, cause).is_some();
                    open.push(range);
                }
                Failure::SomeRecord(cause) if range.len() == 1 => {
                    wait = condemned.insert(range.start, cause).is_some();
                    open.push(range);
                }
                Failure::SomeRecord(_) => open.extend(halves(&range)),
                Failure::Busy(_) if range.len() > 1 => {
                    wait = true;
                    open.extend(halves(&range));
                }
                Failure::Busy(_) | Failure::Retry(_) => {
                    wait = true;
                    open.push(range);
                }
            }
            if wait && !self.wait_out(subscription, patience.next().unwrap_or(LONGEST_PAUSE)).await {
                return Settled::Stopped;
            }
        }
        Settled::Done
    }

    /// One transaction over a part of the batch.
    async fn attempt(
        &mut self,
        subscription: &Subscription,
        records: &[Record],
        range: &Range<usize>,
        condemned: &BTreeMap<usize, String>,
        positions: &mut Positions,
    ) -> Result<(), Attempt> {
        let started = Instant::now();
        let condemned =
            condemned.range(range.clone()).map(|(index, cause)| (index - range.start, cause.clone()));
        let condemned = condemned.collect();
        let advances = advances(records, positions);
        let result = self.transact(
            subscription,
            Batch { records, condemned: &condemned, guard: Guard::On },
            &advances,
        );
        let handled = result.await.inspect_err(|attempt| {
            if let Attempt::Failed(failure) = attempt {
                self.tell(subscription, failure);
            }
        })?;
        for advance in advances {
            positions.insert(advance.partition, advance.next);
        }
        self.deaths_in_a_row = deaths_in_a_row(self.deaths_in_a_row, &handled.outcomes);
        self.status.send_if_modified(|status| status.stuck.take().is_some());
        subscription.committed();
        count(subscription, records, &handled.outcomes, started.elapsed());
        Ok(())
    }

    async fn transact(
        &self,
        subscription: &Subscription,
        batch: Batch<'_>,
        advances: &[Advance],
    ) -> Result<Handled, Attempt> {
        let mut tx = self.outbox.begin().await?;
        if !positions::advance(&mut tx, advances).await? {
            return Err(Attempt::Stale);
        }
        let handled = subscription.handle(&mut tx, batch).await?;
        if deaths_in_a_row(self.deaths_in_a_row, &handled.outcomes) > self.settings.dead_letter_limit {
            return Err(Attempt::Failed(Failure::Retry(TOO_MANY_DEATHS.into())));
        }
        let dead: Vec<_> =
            handled.causes.iter().map(|(index, cause)| (&batch.records[*index], cause.clone())).collect();
        dead_letter::bury(&mut tx, &self.settings, subscription.topic(), &dead).await?;
        pause::at("consumer.applied").await;
        tx.commit().await?;
        pause::at("consumer.committed").await;
        Ok(handled)
    }

    /// Says, once per kind of trouble, why a batch does not go on.
    fn tell(&self, subscription: &Subscription, failure: &Failure) {
        let topic = subscription.topic().name;
        match failure {
            Failure::Busy(_) | Failure::Retry(_) => {
                metrics::counter!("consumer_retries_total").increment(1);
                let stuck = format!("{topic}: {failure}");
                if self.status.send_if_modified(|status| {
                    let news = status.stuck.as_ref() != Some(&stuck);
                    status.stuck = Some(stuck);
                    news
                }) {
                    tracing::error!(topic, error = %failure, "a batch cannot be applied; trying until it can");
                }
            }
            Failure::Record { .. } | Failure::SomeRecord(_) => {
                tracing::debug!(topic, error = %failure, "a record of a batch is at fault");
            }
        }
    }

    /// Waits without polling Kafka; `false`: the process is to stop.
    async fn wait_out(&self, subscription: &Subscription, pause: Duration) -> bool {
        tracing::debug!(topic = subscription.topic().name, ?pause, "waiting before the batch is tried again");
        self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
    }
}

const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const TOO_MANY_DEATHS: &str = "too many dead letters in a row without one success: this looks like a bad deployment. \
     Fix it, or raise DEAD_LETTER_LIMIT, and start the service again";

fn patience() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}

/// The second half, then the first: the one on top of the stack is next.
fn halves(range: &Range<usize>) -> [Range<usize>; 2] {
    let middle = range.start + range.len() / 2;
    [middle..range.end, range.start..middle]
}

/// How far the records carry each of their partitions.
fn advances(records: &[Record], positions: &Positions) -> Vec<Advance> {
    let mut next = Positions::new();
    for record in records {
        next.insert((record.topic.clone(), record.partition), record.offset + 1);
    }
    let expected = |partition: &Partition| positions.get(partition).copied().unwrap_or(positions::BEGINNING);
    let advance = |(partition, next)| Advance { expected: expected(&partition), partition, next };
    next.into_iter().map(advance).collect()
}

fn deaths_in_a_row(before: u64, outcomes: &[Outcome]) -> u64 {
    outcomes.iter().fold(before, |deaths, outcome| match outcome {
        Outcome::Dead => deaths + 1,
        Outcome::Skipped => deaths,
        Outcome::Applied | Outcome::Repeated => 0,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a histogram")]
fn count(subscription: &Subscription, records: &[Record], outcomes: &[Outcome], took: Duration) {
    let topic = subscription.topic().name;
    metrics::histogram!("consumer_batch_size").record(records.len() as f64);
    metrics::histogram!("consumer_handle_seconds", "topic" => topic).record(took.as_secs_f64());
    let mut counts: BTreeMap<(&str, &'static str), u64> = BTreeMap::new();
    for (record, outcome) in records.iter().zip(outcomes) {
        // The type of what was not understood comes from outside: any text, as many as one likes.
        let understood = matches!(outcome, Outcome::Applied | Outcome::Repeated);
        let ce_type = record.ce_type().filter(|_| understood).unwrap_or("unknown");
        *counts.entry((ce_type, outcome.label())).or_default() += 1;
        if *outcome == Outcome::Dead {
            metrics::counter!("dead_letters_total", "topic" => topic).increment(1);
        }
        tracing::debug!(
            topic,
            partition = record.partition,
            offset = record.offset,
            ce_type,
            outcome = outcome.label()
        );
    }
    for ((ce_type, outcome), n) in counts {
        metrics::counter!(
            "consumer_records_total", "topic" => topic, "type" => ce_type.to_owned(), "outcome" => outcome
        )
        .increment(n);
    }
}
