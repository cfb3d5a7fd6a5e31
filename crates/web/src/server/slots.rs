//! The connections of a port: their limits, in total and per client, and the choice of the one that is closed to make
//! room.
//!
//! Connections on which nothing happens never keep a new one out. The new one replaces the connection that has waited
//! for longest for its client to send its first request, to send the rest of one, or to read an answer. If there is
//! none, it replaces the one that has been idle for longest after an answer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::bounds::Bounds;
use crate::ClientAddress;

/// The divisor of the slots that are freed at once (one in 16), so that a flood of connections does not search for
/// each slot.
const SHARE: usize = 16;
/// The time after an accept or an answer in which a connection is not closed to make room: its client had no time yet.
const GRACE: Duration = Duration::from_millis(50);
/// A port is saturated when all its slots have been busy for this long.
const SATURATED: Duration = Duration::from_secs(1);

/// The connections of one port.
#[derive(Debug)]
pub(super) struct Slots {
    port: &'static str,
    connections: usize,
    per_client: usize,
    began: Instant,
    open: Mutex<Open>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    entries: HashMap<u64, Entry>,
    /// The number of connections per client, without those that are being closed.
    clients: HashMap<ClientAddress, usize>,
    next: u64,
    full_since: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    /// None for a proxy, whose connections carry many clients.
    client: Option<ClientAddress>,
    activity: Arc<Activity>,
    leaving: bool,
}

/// The activity of one connection, which the connection writes and the slots read.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    /// The time since which the connection waits for its client, in milliseconds after `began`; plus [`IDLE`] after a
    /// complete answer; [`BUSY`] while the server answers. So the connection with the smallest value is closed first.
    waiting: AtomicU64,
    pub(super) close: CancellationToken,
}

const BUSY: u64 = u64::MAX;
/// An offset larger than any uptime in milliseconds.
const IDLE: u64 = 1 << 48;

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(IDLE - 1)
}

impl Activity {
    /// The connection waits for the client to send a request, or the rest of one.
    pub(super) fn waits(&self) {
        self.waiting.store(millis(self.began.elapsed()), Ordering::Relaxed);
    }

    /// The last request has been answered.
    pub(super) fn idles(&self) {
        self.waiting.store(IDLE + millis(self.began.elapsed()), Ordering::Relaxed);
    }

    /// An idle connection waits for its client after all: for the head of its next request, or for an answer to be
    /// read.
    pub(super) fn is_stuck(&self) {
        let before = self.waiting.load(Ordering::Relaxed);
        if before != BUSY && before >= IDLE {
            self.waiting.store(before - IDLE, Ordering::Relaxed);
        }
    }

    /// A complete request is being answered.
    pub(super) fn answers(&self) {
        self.waiting.store(BUSY, Ordering::Relaxed);
    }
}

/// The occupancy of a port.
#[derive(Debug, Clone, Copy)]
pub struct Occupancy {
    /// Open connections.
    pub open: usize,
    /// The most connections.
    pub slots: usize,
    /// Whether new connections have waited for over a second, because all slots are busy.
    pub is_saturated: bool,
}

impl Slots {
    pub(super) fn new(port: &'static str, bounds: &Bounds) -> Self {
        let (began, open) = (Instant::now(), Mutex::default());
        let (connections, per_client) = (bounds.connections.max(1), bounds.per_client.max(1));
        Self { port, connections, per_client, began, open, freed: Notify::new() }
    }

    /// Waits for a slot for a connection from `peer`; returns none when the client is at its limit and all its
    /// connections are being answered.
    pub(super) async fn take(self: &Arc<Self>, peer: IpAddr, is_proxy: bool) -> Option<Slot> {
        let client = (!is_proxy).then(|| ClientAddress::of(peer));
        loop {
            let freed = self.freed.notified();
            match self.try_take(client) {
                Ok(slot) => return slot,
                // A connection that is being closed frees its slot soon; one that is being answered takes longer.
                Err(Full) => _ = tokio::time::timeout(Duration::from_millis(100), freed).await,
            }
        }
    }

    fn try_take(self: &Arc<Self>, client: Option<ClientAddress>) -> Result<Option<Slot>, Full> {
        let mut open = self.open();
        if let Some(client) = client
            && open.clients.get(&client).is_some_and(|count| *count >= self.per_client)
        {
            let own = |entry: &Entry| entry.client == Some(client);
            if self.close_waiting(&mut open, "client", self.per_client, Duration::ZERO, own) == 0 {
                metrics::counter!("http_connections_refused_total", "port" => self.port).increment(1);
                return Ok(None);
            }
        }
        if open.entries.len() >= self.connections {
            if open.entries.values().all(|entry| !entry.leaving) {
                self.close_waiting(&mut open, "room", self.connections, GRACE, |_| true);
            }
            open.full_since.get_or_insert_with(Instant::now);
            return Err(Full);
        }
        open.full_since = None;
        let activity = Arc::new(Activity {
            began: self.began,
            waiting: AtomicU64::new(0),
            close: CancellationToken::new(),
        });
        activity.waits();
        let id = open.next;
        open.next += 1;
        open.entries.insert(id, Entry { client, activity: Arc::clone(&activity), leaving: false });
        if let Some(client) = client {
            *open.clients.entry(client).or_default() += 1;
        }
        metrics::gauge!("http_connections", "port" => self.port).increment(1.0);
        Ok(Some(Slot { slots: Arc::clone(self), id, activity }))
    }

    /// Closes the connections among `whose` that have waited for longest, one in [`SHARE`] of `of`, and returns their
    /// number.
    fn close_waiting(
        &self,
        open: &mut Open,
        reason: &'static str,
        of: usize,
        grace: Duration,
        whose: impl Fn(&Entry) -> bool,
    ) -> usize {
        let latest = millis(self.began.elapsed().saturating_sub(grace));
        let waiting = |entry: &Entry| {
            let since = entry.activity.waiting.load(Ordering::Relaxed);
            (since != BUSY && since % IDLE <= latest && !entry.leaving && whose(entry)).then_some(since)
        };
        let mut found: Vec<(u64, u64)> =
            open.entries.iter().filter_map(|(id, entry)| Some((waiting(entry)?, *id))).collect();
        let count = found.len().min((of / SHARE).max(1));
        if count < found.len() {
            found.select_nth_unstable(count);
        }
        for (_, id) in &found[..count] {
            let Some(entry) = open.entries.get_mut(id) else { continue };
            entry.leaving = true;
            entry.activity.close.cancel();
            let client = entry.client;
            open.forget(client);
        }
        self.closed(reason, count);
        count
    }

    /// Counts connections that the server closed before their client did.
    pub(super) fn closed(&self, reason: &'static str, count: usize) {
        metrics::counter!("http_connections_closed_total", "port" => self.port, "reason" => reason)
            .increment(count as u64);
    }

    fn leave(&self, id: u64) {
        let mut open = self.open();
        if let Some(entry) = open.entries.remove(&id)
            && !entry.leaving
        {
            open.forget(entry.client);
        }
        drop(open);
        metrics::gauge!("http_connections", "port" => self.port).decrement(1.0);
        self.freed.notify_waiters();
    }

    pub(super) fn occupancy(&self) -> Occupancy {
        let open = self.open();
        let is_saturated = open.full_since.is_some_and(|since| since.elapsed() > SATURATED);
        Occupancy { open: open.entries.len(), slots: self.connections, is_saturated }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // No code panics while it holds the lock.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All slots are taken.
struct Full;

impl Open {
    /// Subtracts one from the client's connections.
    fn forget(&mut self, client: Option<ClientAddress>) {
        let Some(client) = client else { return };
        let Some(count) = self.clients.get_mut(&client) else { return };
        *count -= 1;
        if *count == 0 {
            self.clients.remove(&client);
        }
    }
}

/// The slot of a connection; dropping it frees the slot.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    id: u64,
    pub(super) activity: Arc<Activity>,
}

impl Slot {
    /// Counts the closing of this connection by the server.
    pub(super) fn closed(&self, reason: &'static str) {
        self.slots.closed(reason, 1);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.leave(self.id);
    }
}

pub(super) fn describe() {
    metrics::describe_gauge!("http_connections", "Open connections, by port.");
    metrics::describe_counter!(
        "http_connections_refused_total",
        "Connections refused because their client was at its limit and all its connections were being answered, by port."
    );
    metrics::describe_counter!(
        "http_connections_closed_total",
        "Connections that the server closed, by port and reason: room (a new connection needed the slot), client (a new \
         connection of the same client), head (the head did not end in time), unread (the client did not read its \
         answers), age."
    );
}
