//! Times at which rows are due: the backoff between retries, and the bound of stored times in the future.

use std::time::Duration;

/// The most by which the `now()` of two concurrent transactions differs: each is the time of the transaction's beginning.
const SLACK: Duration = Duration::from_secs(10);

/// Returns the pause after the `attempts`-th failure (from 1). The pause doubles from `first` up to `longest`, with
/// "equal jitter" (between half of it and all of it), so that jobs that failed together are not retried together (AWS
/// Architecture Blog, "Exponential Backoff and Jitter").
pub fn backoff(attempts: u32, first: Duration, longest: Duration) -> Duration {
    let pause = first.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1))).min(longest);
    // Without random numbers there is no jitter, and the pause is still right.
    let jitter = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
    pause.mul_f64(0.5 + jitter / 2.0)
}

/// Returns how far in the future a due time or the end of a lease can be when the longest pause or lease is `longest` (zero
/// for a time that was "now" when it was written). A later time was written while the database's clock was ahead. It
/// counts as due; otherwise the work would wait until the clock reaches it.
#[must_use]
pub const fn furthest(longest: Duration) -> Duration {
    longest.saturating_add(SLACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_the_longest_and_never_overflows() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_mins(1));
        for (attempts, pause) in [(0, 1), (1, 1), (2, 2), (3, 4), (7, 60), (u32::MAX, 60)] {
            let got = backoff(attempts, first, longest);
            let pause = Duration::from_secs(pause);
            assert!(got >= pause / 2 && got <= pause, "{attempts}: {got:?}");
        }
    }
}
