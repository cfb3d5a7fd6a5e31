//! Limits per client or per anything: so many in a period, then 429 with the time until the next is free.
//! Kept in this process's memory; an instance more allows as much again.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::Problem;

/// After so many checks those who have their whole allowance again are forgotten.
const SWEEP: u32 = 4096;

/// A limit for each `K`, such as a [`crate::ClientAddress`].
pub struct Limit<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, DefaultClock>,
    clock: DefaultClock,
    checks: AtomicU32,
}

impl<K: Hash + Eq + Clone> Limit<K> {
    /// At most `count` in any minute.
    pub fn per_minute(count: NonZeroU32) -> Self {
        Self::new(Quota::per_minute(count))
    }

    /// At most `count` in any hour.
    pub fn per_hour(count: NonZeroU32) -> Self {
        Self::new(Quota::per_hour(count))
    }

    fn new(quota: Quota) -> Self {
        Self {
            limiter: RateLimiter::dashmap(quota),
            clock: DefaultClock::default(),
            checks: AtomicU32::new(0),
        }
    }

    /// Counts one; 429 when it is one too many.
    pub fn check(&self, key: &K) -> Result<(), Problem> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now()) + Duration::from_millis(999);
            Problem::too_many_requests(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1))
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::RETRY_AFTER;
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn one_client_too_often_is_429_and_others_are_not_touched() {
        let limit = Limit::per_minute(NonZeroU32::new(2).unwrap());
        assert!(limit.check(&"a").is_ok() && limit.check(&"a").is_ok());
        let response = limit.check(&"a").unwrap_err().into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[RETRY_AFTER], "30");
        assert!(limit.check(&"b").is_ok());
    }

    #[test]
    fn memory_is_given_back() {
        let limit = Limit::new(Quota::per_second(NonZeroU32::new(1_000_000).unwrap()));
        (0..SWEEP * 3).for_each(|client| limit.check(&client).unwrap());
        std::thread::sleep(Duration::from_millis(1));
        (0..SWEEP).for_each(|client| limit.check(&client).unwrap());
        assert!(limit.limiter.len() < SWEEP as usize * 2, "{}", limit.limiter.len());
    }
}
