//! The signals that stop a program.

use futures::future::select_all;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C and `kill`, which no longer end this process by themselves.
pub struct Stop(Vec<(&'static str, Signal)>);

impl Stop {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self(vec![
            ("Ctrl-C", signal(SignalKind::interrupt())?),
            ("SIGTERM", signal(SignalKind::terminate())?),
        ]))
    }

    /// Adds a closed terminal, also for a process that `nohup` started.
    pub fn or_hang_up(mut self) -> std::io::Result<Self> {
        self.0.push(("SIGHUP", signal(SignalKind::hangup())?));
        Ok(self)
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
