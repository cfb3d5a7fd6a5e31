//! Compares the topics of a running service with their wanted settings, again and again: somebody may change them.

use std::time::Duration;

use broker::Settings;
use envelope::Topic;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Difference, differences};

/// The interval of the comparison, and of its retries while Kafka does not answer.
const EVERY: Duration = Duration::from_mins(5);
const AGAIN: Duration = Duration::from_secs(10);

/// Sends what the cluster does not apply to `found`, and logs each difference once, until `stop`.
pub async fn watch(
    settings: Settings,
    topics: &[Topic],
    found: watch::Sender<Vec<Difference>>,
    stop: CancellationToken,
) {
    loop {
        let compared = stop.run_until_cancelled(differences(&settings, topics)).await;
        let Some(compared) = compared else { return };
        let pause = match compared {
            Ok(now) => {
                let known = found.send_replace(now.clone());
                for difference in now.iter().filter(|difference| !known.contains(difference)) {
                    tracing::warn!("{difference}");
                }
                EVERY
            }
            // The consumer reports a Kafka that does not answer, and a topic that is missing.
            Err(error) => {
                tracing::debug!(%error, "the topics' settings cannot be compared");
                AGAIN
            }
        };
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}
