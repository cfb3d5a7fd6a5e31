//! Clients that a trusted proxy does not name. One budget for all of them would end a shop's sign-ups for an hour once
//! the hundredth has come; so they take turns at many, which still bounds them, and the operator hears of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::forwarded::Shape;
use super::{ClientAddress, Name};

/// How many clients' budgets they share.
const SHARES: u8 = 64;
/// The log tells of it once in this time.
const QUIET: Duration = Duration::from_mins(10);

static TURN: AtomicU8 = AtomicU8::new(0);
static LAST_WARNING: Mutex<Option<Instant>> = Mutex::new(None);

/// The client of a request whose proxy names none.
pub(super) fn client(header: &'static str, shape: Shape) -> ClientAddress {
    metrics::counter!("clients_unnamed_total", "header" => header, "shape" => shape.name()).increment(1);
    if is_time_to_warn() {
        tracing::warn!(
            header,
            shape = shape.name(),
            "a trusted proxy does not name its client in a way that can be read: limits per client are loose for its \
             requests (they share the budgets of {SHARES} clients); see TRUSTED_PROXIES in --help"
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
        "Requests whose trusted proxy names no client that can be read, by header and shape."
    );
}
