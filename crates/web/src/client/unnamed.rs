//! Clients that a trusted proxy does not name. With one budget for all of them, a hundred sign-ups would stop a
//! shop's sign-ups for an hour. So their requests take turns at the budgets of many clients, which still bounds them,
//! and the log warns the operator.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::forwarded::Shape;
use super::{ClientAddress, Name};

/// The number of budgets that they share.
const SHARES: u8 = 64;
/// The shortest time between two warnings in the log.
const QUIET: Duration = Duration::from_mins(10);

static TURN: AtomicU8 = AtomicU8::new(0);
static LAST_WARNING: Mutex<Option<Instant>> = Mutex::new(None);

/// Returns the client of a request whose proxy names none.
pub(super) fn client(header: &'static str, shape: Shape) -> ClientAddress {
    metrics::counter!("clients_unnamed_total", "header" => header, "shape" => <&str>::from(shape))
        .increment(1);
    if is_time_to_warn() {
        tracing::warn!(
            header,
            shape = <&str>::from(shape),
            "a trusted proxy sends no valid client address; its requests share the limits of {SHARES} clients; see \
             TRUSTED_PROXIES in --help"
        );
    }
    ClientAddress(Name::Unnamed(TURN.fetch_add(1, Ordering::Relaxed) % SHARES))
}

fn is_time_to_warn() -> bool {
    let Ok(mut last) = LAST_WARNING.lock() else { return false };
    let due = last.is_none_or(|last| last.elapsed() > QUIET);
    if due {
        *last = Some(Instant::now());
    }
    due
}

pub(super) fn describe() {
    metrics::describe_counter!(
        "clients_unnamed_total",
        "Requests whose trusted proxy names no readable client, by header and shape."
    );
}
