//! Rate limits per client or any other key: a number of requests per period, then 429 with the time until the
//! next is allowed. The counts are in this process's memory, so each further instance allows as many again.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::Problem;

/// The number of checks after which keys with their whole allowance are removed from memory.
const SWEEP: u32 = 4096;

/// A limit per `K`, such as a [`crate::ClientAddress`].
pub struct Limit<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, DefaultClock>,
    checks: AtomicU32,
}

impl<K: Hash + Eq + Clone> Limit<K> {
    pub fn per_minute(count: NonZeroU32) -> Self {
        Self::new(Quota::per_minute(count))
    }

    pub fn per_hour(count: NonZeroU32) -> Self {
        Self::new(Quota::per_hour(count))
    }

    fn new(quota: Quota) -> Self {
        Self { limiter: RateLimiter::dashmap(quota), checks: AtomicU32::new(0) }
    }

    /// Counts a request of `key`, or refuses it with 429 over the limit.
    pub fn check(&self, key: &K) -> Result<(), Problem> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(self.limiter.clock().now()) + Duration::from_millis(999);
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
    fn a_client_over_the_limit_gets_429_and_others_do_not() {
        let limit = Limit::per_minute(NonZeroU32::new(2).unwrap());
        assert!(limit.check(&"a").is_ok() && limit.check(&"a").is_ok());
        let response = limit.check(&"a").unwrap_err().into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[RETRY_AFTER], "30");
        assert!(limit.check(&"b").is_ok());
    }

    #[test]
    fn memory_is_released() {
        let limit = Limit::new(Quota::per_second(NonZeroU32::new(1_000_000).unwrap()));
        (0..SWEEP * 3).for_each(|client| limit.check(&client).unwrap());
        std::thread::sleep(Duration::from_millis(1));
        (0..SWEEP).for_each(|client| limit.check(&client).unwrap());
        assert!(limit.limiter.len() < SWEEP as usize * 2, "{}", limit.limiter.len());
    }
}
