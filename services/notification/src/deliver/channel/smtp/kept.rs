//! Connections that are kept for the next mail. There are never more of them than mails were under way at the same time: a
//! new one is made only while none is kept.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::session::Session;

/// How long one is kept: less than servers wait for a command.
const IDLE: Duration = Duration::from_secs(30);

/// The kept connections, the one used last at the end.
#[derive(Default)]
pub(super) struct Kept(Mutex<Vec<(Session, Instant)>>);

impl Kept {
    /// Takes the connection that was used last.
    pub(super) fn take(&self) -> Option<Session> {
        self.close_idle();
        self.lock().pop().map(|(session, _)| session)
    }

    /// Keeps a connection whose mail has been answered.
    pub(super) fn keep(&self, session: Session) {
        self.lock().push((session, Instant::now()));
    }

    /// Closes those that were not used for a while.
    pub(super) fn close_idle(&self) {
        self.lock().retain(|(_, since)| since.elapsed() < IDLE);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Session, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
