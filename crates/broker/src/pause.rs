//! Named points where a test can hold a process, to kill or freeze it at exactly that moment. They exist only in debug
//! builds.
//!
//! `PAUSE_AT` names the point. The process logs that it has reached the point, and waits there until the file that
//! `PAUSE_UNTIL` names exists, or for ever when it is not set.

/// Waits when `PAUSE_AT` names this point.
#[cfg(debug_assertions)]
pub(crate) async fn at(point: &'static str) {
    if std::env::var("PAUSE_AT").is_ok_and(|wanted| wanted == point) {
        tracing::warn!(point, "paused at test point {point}; create the file in PAUSE_UNTIL to continue");
        let Some(until) = std::env::var_os("PAUSE_UNTIL").map(std::path::PathBuf::from) else {
            return std::future::pending().await;
        };
        while !until.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

/// Does nothing in a release build.
#[cfg(not(debug_assertions))]
pub(crate) async fn at(_point: &'static str) {}
