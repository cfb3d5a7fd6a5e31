//! Periodic work, such as one transaction per interval.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Runs `tick` at once, then every `interval` and whenever `wake` is notified, until `stop`. A failed tick is logged
/// and retried with the next one; `stop` never interrupts a tick.
pub async fn every<T, E: Display, F: Future<Output = Result<T, E>>>(
    name: &'static str,
    interval: Duration,
    wake: &Notify,
    stop: CancellationToken,
    mut tick: impl FnMut() -> F,
) {
    let mut failing = false;
    while !stop.is_cancelled() {
        match tick().await {
            Ok(_) => failing = false,
            Err(error) if failing => tracing::debug!(work = name, %error, "still failing"),
            Err(error) => {
                failing = true;
                tracing::warn!(work = name, %error, "failed; trying again");
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = wake.notified() => {}
            () = tokio::time::sleep(interval) => {}
        }
    }
}
