//! Counts the rows in the outbox for the gauges and the limit on new work, and notices a relay that makes no progress.

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

/// Counts until `stop`. Each instance counts for itself, whether or not it leads.
pub(super) async fn watch(outbox: Outbox, status: watch::Sender<RelayStatus>, stop: CancellationToken) {
    let mut oldest = Oldest::default();
    loop {
        // Counting is slow when many rows wait; it takes at most a tenth of the time.
        let started = Instant::now();
        match outbox.measure().await {
            Ok(id) => oldest.observe(id, started).report(&status),
            Err(error) => tracing::debug!(%error, "the outbox cannot be counted"),
        }
        let pause = EVERY.max(started.elapsed() * 10);
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// The oldest row, since when it has been the oldest, and for how long. Progress shows as another oldest row, or none.
#[derive(Debug, Clone, Copy, Default)]
struct Oldest(Option<(i64, Instant, Duration)>);

impl Oldest {
    fn observe(&mut self, id: Option<i64>, now: Instant) -> Self {
        self.0 = match (self.0, id) {
            (Some((before, since, _)), Some(id)) if before == id => Some((id, since, now - since)),
            (_, id) => id.map(|id| (id, now, Duration::ZERO)),
        };
        *self
    }

    /// Returns how long the oldest row has waited without progress, when that is too long.
    fn stalled_for(self) -> Option<Duration> {
        self.0.map(|(_, _, waited)| waited).filter(|waited| *waited >= STALLED)
    }

    /// Writes to the status whether the relay is stalled, and logs when that begins and ends.
    fn report(self, status: &watch::Sender<RelayStatus>) {
        let stalled = self.stalled_for().is_some();
        status.send_if_modified(|status| {
            let changed = status.stalled != stalled;
            // A refusal by Kafka is logged when it arrives, with its cause.
            match (changed, stalled, &status.refused) {
                (true, true, None) => tracing::error!(
                    "the oldest event of the outbox has not been published for {STALLED:?}, although Kafka refuses nothing"
                ),
                (true, false, _) => tracing::info!("the events of the outbox are published again"),
                _ => {}
            }
            status.stalled = stalled;
            changed
        });
    }
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
        assert_eq!(stalled(Some(2), 31), None, "a backlog that shrinks is not a stall, however old");
        assert_eq!(stalled(Some(2), 61), Some(30));
        assert_eq!(stalled(None, 62), None);
        assert_eq!(stalled(Some(2), 63), None);
    }
}
