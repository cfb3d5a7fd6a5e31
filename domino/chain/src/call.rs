//! Calls to the next role: a kept-alive pool, a timeout of two seconds, one retry, and a budget of time that is passed on,
//! so that a role does not work for a caller who has given up.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use serde::Serialize;
use web::Problem;

use crate::breaker::Breaker;

/// The longest that one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The longest that a client of the shop waits. Shorter than the time after which the HTTP layer answers 503 by itself: a
/// client must not be refused an order that is confirmed later.
const LONGEST: Duration = Duration::from_millis(2_500);
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// A call that has less time left is not made: it could not succeed.
const LEAST: Duration = Duration::from_millis(20);
const HEADER: &str = "x-budget-ms";

/// The time until which the caller waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget(Instant);

impl Budget {
    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// A budget for work that nobody waits for.
    pub(crate) fn in_background() -> Self {
        Self(Instant::now() + LONGEST)
    }
}

impl<S: Sync> FromRequestParts<S> for Budget {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let given = parts.headers.get(HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        let budget = given.map_or(LONGEST, Duration::from_millis).min(LONGEST);
        Ok(Self(Instant::now() + budget))
    }
}

/// The reason why a call did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The role refused, for good: nothing of the call is in effect.
    Refused(StatusCode),
    /// No answer, or an error: the call may be in effect.
    Unknown,
    /// The call was not made.
    NotSent,
}

/// The status of a role that has undone its part since a later one failed. Nothing of the call is in effect, and the same
/// call again could not succeed, so it is not repeated.
pub(crate) const UNDONE: StatusCode = StatusCode::FAILED_DEPENDENCY;

/// The answer of a role that has undone its part.
pub(crate) fn undone() -> Problem {
    Problem::new(UNDONE, "A later step failed, and the steps before it are undone.")
}

impl Failed {
    /// The answer to the shop's client.
    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::Refused(UNDONE) | Self::Unknown | Self::NotSent => {
                Problem::unavailable("A later step did not answer in time; try again.")
            }
            Self::Refused(status) => Problem::new(status, "A later step refused the order."),
        }
    }
}

/// The next role of the chain.
#[derive(Debug)]
pub(crate) struct Downstream {
    url: String,
    http: reqwest::Client,
    breaker: Option<Breaker>,
}

impl Downstream {
    pub(crate) fn new(url: &str, has_breaker: bool) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .build()
            .context("creating an HTTP client")?;
        Ok(Self { url: url.to_owned(), http, breaker: has_breaker.then(Breaker::default) })
    }

    /// Sends a request, which must be idempotent, and once more when the first attempt fails.
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize, budget: Budget) -> Result<(), Failed> {
        let mut failed = Failed::NotSent;
        for attempt in 0..2 {
            if attempt > 0 {
                tokio::time::sleep(RETRY_AFTER).await;
            }
            let timeout = TIMEOUT.min(budget.left());
            if timeout < LEAST || self.breaker.as_ref().is_some_and(|breaker| !breaker.admits()) {
                return Err(failed);
            }
            let result = self.attempt(path, body, timeout).await;
            let answered = matches!(result, Ok(()) | Err(Failed::Refused(_)));
            if let Some(breaker) = &self.breaker {
                breaker.note(answered);
            }
            if answered {
                return result;
            }
            failed = Failed::Unknown;
        }
        Err(failed)
    }

    async fn attempt(&self, path: &str, body: &impl Serialize, timeout: Duration) -> Result<(), Failed> {
        let budget = HeaderValue::from(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        let request =
            self.http.post(format!("{}{path}", self.url)).header(HEADER, budget).timeout(timeout).json(body);
        let answer = request.send().await.map_err(|_| Failed::Unknown)?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status if status.is_client_error() => Err(Failed::Refused(status)),
            _ => Err(Failed::Unknown),
        }
    }
}
