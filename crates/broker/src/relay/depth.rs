//! Counts what waits in the outbox, for the gauges, the limit on new work, and a relay that makes no progress.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::RelayStatus;
use crate::tx::Outbox;

const EVERY: Duration = Duration::from_secs(1);
/// How long one row may be the oldest of the outbox before the relay counts as stalled. Kafka's own refusals are reported
/// after the producer's `message.timeout.ms` of 10 s.
const STALLED: Duration = Duration::from_secs(30);

/// Keeps the count until `stop`. Each instance counts for itself, whether or not it leads.
pub(super) async fn keep(outbox: Outbox, status: watch::Sender<RelayStatus>, stop: CancellationToken) {
    let mut oldest = Oldest::default();
    loop {
        // A count has its price when much waits; it never takes more than a tenth of the time.
        let started = Instant::now();
        match count(&outbox).await {
            Ok(id) => oldest.observe(id, started).report(&status),
            Err(error) => tracing::debug!(%error, "the outbox cannot be counted"),
        }
        let pause = EVERY.max(started.elapsed() * 10);
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// The oldest row, and since when it has been that: progress shows in another row, or in none.
#[derive(Debug, Clone, Copy, Default)]
struct Oldest(Option<(i64, Instant, Duration)>);

impl Oldest {
    /// Notes which row is the oldest `now`.
    fn observe(&mut self, id: Option<i64>, now: Instant) -> Self {
        self.0 = match (self.0, id) {
            (Some((before, since, _)), Some(id)) if before == id => Some((id, since, now - since)),
            (_, id) => id.map(|id| (id, now, Duration::ZERO)),
        };
        *self
    }

    /// How long the oldest row has waited without progress, where that is too long.
    fn stalled_for(self) -> Option<Duration> {
        self.0.map(|(_, _, waited)| waited).filter(|waited| *waited >= STALLED)
    }

    /// Shows in the status whether the relay is stalled; logs when that begins and ends.
    fn report(self, status: &watch::Sender<RelayStatus>) {
        let stalled = self.stalled_for().is_some();
        status.send_if_modified(|status| {
            let changed = status.stalled != stalled;
            // Kafka's refusal is logged where it comes in, with its cause.
            match (changed, stalled, &status.refused) {
                (true, true, None) => tracing::error!(
                    "the oldest event of the outbox has not been published for {STALLED:?}, though Kafka refuses nothing"
                ),
                (true, false, _) => tracing::info!("the outbox is published again"),
                _ => {}
            }
            status.stalled = stalled;
            changed
        });
    }
}

/// Counts once, and returns the id of the oldest row.
#[expect(clippy::cast_precision_loss, reason = "a gauge")]
pub(crate) async fn count(outbox: &Outbox) -> sqlx::Result<Option<i64>> {
    let row = sqlx::query!(
        r#"
        SELECT (SELECT count(*) FROM (SELECT FROM broker.outbox LIMIT $1) AS waiting) AS "depth!",
               coalesce(extract(epoch FROM clock_timestamp() - oldest.created_at)::double precision, 0) AS "age!",
               oldest.id AS "oldest?"
        FROM (VALUES (1)) AS one
        LEFT JOIN (SELECT id, created_at FROM broker.outbox ORDER BY id LIMIT 1) AS oldest ON true
        "#,
        outbox.limit() + 1,
    )
    .fetch_one(outbox.pool())
    .await?;
    outbox.set_depth(row.depth);
    metrics::gauge!("outbox_depth").set(row.depth as f64);
    metrics::gauge!("outbox_age_seconds").set(row.age.max(0.0));
    Ok(row.oldest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_row_that_stays_the_oldest_is_a_stall() {
        let (start, mut oldest) = (Instant::now(), Oldest::default());
        let mut stalled = |id, seconds| {
            oldest
                .observe(id, start + Duration::from_secs(seconds))
                .stalled_for()
                .map(|waited| waited.as_secs())
        };
        assert_eq!(stalled(Some(1), 0), None);
        assert_eq!(stalled(Some(1), 29), None);
        assert_eq!(stalled(Some(2), 31), None, "a backlog that is drained is no stall, however old");
        assert_eq!(stalled(Some(2), 61), Some(30));
        assert_eq!(stalled(None, 62), None);
        assert_eq!(stalled(Some(2), 63), None);
    }
}
