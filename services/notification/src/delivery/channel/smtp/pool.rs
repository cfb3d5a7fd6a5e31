//! Idle connections for the next mails. The pool never holds more connections than mails were in flight at the same time: a new one
//! is opened only while the pool is empty.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::session::Session;

/// How long an idle connection stays open: less than servers wait for a command.
const MAX_IDLE: Duration = Duration::from_secs(30);

/// The idle connections; the one used last is at the end.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<(Session, Instant)>>);

impl Pool {
    /// Takes the connection that was used last.
    pub(super) fn take(&self) -> Option<Session> {
        self.close_idle();
        self.lock().pop().map(|(session, _)| session)
    }

    /// Adds a connection on which no answer is pending.
    pub(super) fn put(&self, session: Session) {
        self.lock().push((session, Instant::now()));
    }

    /// Closes the connections that have been idle for too long.
    pub(super) fn close_idle(&self) {
        self.lock().retain(|(_, since)| since.elapsed() < MAX_IDLE);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Session, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
