//! One transaction, every so often, or sooner when woken.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Runs `turn` at once, then every `interval` and whenever `wake` is notified, until `stop`. A turn that fails is told
/// and tried again with the next one; a turn is never cut off by `stop`.
pub async fn every<E: Display, F: Future<Output = Result<(), E>>>(
    name: &'static str,
    interval: Duration,
    wake: &Notify,
    stop: CancellationToken,
    mut turn: impl FnMut() -> F,
) {
    let mut failing = false;
    while !stop.is_cancelled() {
        match turn().await {
            Ok(()) => failing = false,
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
