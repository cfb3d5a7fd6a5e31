//! Named points where a test can hold a process, to kill or freeze it at exactly that moment. They exist in debug builds
//! alone.
//!
//! `PAUSE_AT` names the point: the process says so in its log and stays there, for ever or until the file that
//! `PAUSE_UNTIL` names exists.

/// Holds here when this point was asked for.
#[cfg(debug_assertions)]
pub async fn at(point: &'static str) {
    if std::env::var("PAUSE_AT").is_ok_and(|wanted| wanted == point) {
        tracing::warn!(point, "paused at {point}");
        let Some(until) = std::env::var_os("PAUSE_UNTIL").map(std::path::PathBuf::from) else {
            return std::future::pending().await;
        };
        while !until.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

/// In a release build it does nothing.
#[cfg(not(debug_assertions))]
pub async fn at(_point: &'static str) {}
