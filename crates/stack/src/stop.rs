//! The signals that stop a program.

use futures::future::select_all;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C, `kill` and a closed terminal, which no longer end this process by themselves.
pub struct Stop([(&'static str, Signal); 3]);

impl Stop {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self([
            ("Ctrl-C", signal(SignalKind::interrupt())?),
            ("SIGTERM", signal(SignalKind::terminate())?),
            ("SIGHUP", signal(SignalKind::hangup())?),
        ]))
    }

    /// Waits for one of the signals, and returns its name.
    pub async fn asked(&mut self) -> &'static str {
        let asked = self.0.iter_mut().map(|(name, signal)| {
            Box::pin(async move {
                signal.recv().await;
                *name
            })
        });
        select_all(asked).await.0
    }
}
