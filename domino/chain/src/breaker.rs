//! A circuit breaker: after some failures in a row, calls fail at once for a while instead of waiting for their timeout.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The failures in a row that open the breaker.
const FAILURES: u32 = 5;
/// The time for which an open breaker refuses calls; then one call probes.
const OPEN: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    closed_at: Option<Instant>,
}

impl Breaker {
    /// Whether a call may be made now. While the breaker is open, one call per period may: the probe.
    pub(crate) fn admits(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failures < FAILURES {
            return true;
        }
        let now = Instant::now();
        let is_over = state.closed_at.is_none_or(|at| at <= now);
        if is_over {
            state.closed_at = Some(now + OPEN);
        }
        is_over
    }

    /// Notes the result of a call.
    pub(crate) fn note(&self, succeeded: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if succeeded {
            *state = State::default();
            return;
        }
        state.failures += 1;
        if state.failures == FAILURES {
            state.closed_at = Some(Instant::now() + OPEN);
            tracing::warn!("the circuit breaker is open");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_row_open_it_and_a_success_closes_it() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES - 1 {
            breaker.note(false);
        }
        assert!(breaker.admits(), "not yet");
        breaker.note(true);
        for _ in 0..FAILURES {
            assert!(breaker.admits());
            breaker.note(false);
        }
        assert!(!breaker.admits());
        breaker.note(true);
        assert!(breaker.admits());
    }
}
