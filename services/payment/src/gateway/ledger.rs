//! The gateway's dealings with its books: each kind of request is one statement, for as many as came together. The
//! switch is read in the same statement, so an outage has no effect on the books and begins for all at once.

mod authorize;
mod settle;

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use crate::domain::{Call, Failure, Outcome, Request};

/// An answer, and how long it takes when the switch says so.
#[derive(Debug)]
pub(super) struct Answered {
    pub outcome: Outcome,
    pub latency: Option<Duration>,
}

/// Answers by idempotency key.
pub(super) type Answers = sqlx::Result<Vec<(String, Answered)>>;

pub(super) struct Ledger {
    pool: PgPool,
}

impl Ledger {
    pub(super) fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

/// Requests about an authorization, by column.
#[derive(Default)]
struct Asked {
    references: Vec<Uuid>,
    keys: Vec<String>,
    /// The gateway's own names for the authorizations.
    ids: Vec<String>,
}

impl Asked {
    fn about(requests: &[Request]) -> Self {
        let mut asked = Self::default();
        for request in requests {
            let (Call::Capture(id) | Call::Void(id) | Call::Refund(id) | Call::FindCapture(id)) =
                &request.call
            else {
                continue;
            };
            asked.references.push(request.order_id.uuid());
            asked.keys.push(request.key.clone());
            asked.ids.push(id.clone());
        }
        asked
    }
}

fn answered(key: String, outage: bool, latency_ms: Option<i32>, outcome: Outcome) -> (String, Answered) {
    let latency = latency_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
    let outcome = if outage { Err(Failure::Unavailable) } else { outcome };
    (key, Answered { outcome, latency })
}

/// A new name for something in the books.
pub(super) fn id(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::now_v7().simple())
}
