//! Named points where a test can hold a process to kill it at exactly that moment. They exist in debug builds alone.

/// Stops here for ever when the environment variable `PAUSE_AT` names this point; says so in the log first.
#[cfg(debug_assertions)]
pub async fn at(point: &'static str) {
    if std::env::var("PAUSE_AT").is_ok_and(|wanted| wanted == point) {
        tracing::warn!(point, "paused at {point}");
        std::future::pending::<()>().await;
    }
}

/// In a release build it does nothing.
#[cfg(not(debug_assertions))]
pub async fn at(_point: &'static str) {}
