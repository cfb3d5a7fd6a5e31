//! The connections of a port: how many there may be, in all and of one client, and which one is closed to make room.
//!
//! A new connection is never made to wait behind connections on which nothing happens: it takes the place of the one
//! that has waited for longest for its client to send its first request, the rest of one, or to read an answer; and where
//! there is none, of the one that has been idle for longest after an answer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Bounds;
use crate::ClientAddress;

/// This part of the slots is freed at once, so that a flood of connections does not look for each one's place.
const SHARE: usize = 16;
/// A connection that has just been accepted, or answered, is not closed to make room: its client had no time yet.
const GRACE: Duration = Duration::from_millis(50);
/// A port on which no connection could be closed for so long is saturated.
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
    /// How many each client has, without those that are being closed.
    clients: HashMap<ClientAddress, usize>,
    next: u64,
    full_since: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    /// None for a proxy, whose connections are many clients'.
    client: Option<ClientAddress>,
    line: Arc<Line>,
    leaving: bool,
}

/// One connection's state, which the connection tells and the slots read.
#[derive(Debug)]
pub(super) struct Line {
    began: Instant,
    /// Milliseconds from `began` since which it waits for its client, [`IDLE`] more when all is said and done; [`BUSY`] while
    /// it is the server's turn. So the least one is the first to be closed.
    waiting: AtomicU64,
    pub(super) close: CancellationToken,
}

const BUSY: u64 = u64::MAX;
/// More milliseconds than a process lives.
const IDLE: u64 = 1 << 48;

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(IDLE - 1)
}

impl Line {
    /// It is the client's turn: to send a request, or the rest of it.
    pub(super) fn waits(&self) {
        self.waiting.store(millis(self.began.elapsed()), Ordering::Relaxed);
    }

    /// The last request has been answered.
    pub(super) fn idles(&self) {
        self.waiting.store(IDLE + millis(self.began.elapsed()), Ordering::Relaxed);
    }

    /// An idle connection turns out to be stuck: in the head of its next request, or in an answer that is not read.
    pub(super) fn is_stuck(&self) {
        let before = self.waiting.load(Ordering::Relaxed);
        if before != BUSY && before >= IDLE {
            self.waiting.store(before - IDLE, Ordering::Relaxed);
        }
    }

    /// A request is here as a whole and is being answered.
    pub(super) fn answers(&self) {
        self.waiting.store(BUSY, Ordering::Relaxed);
    }
}

/// How full a port is.
#[derive(Debug, Clone, Copy)]
pub struct Occupancy {
    /// Open connections.
    pub open: usize,
    /// The most there may be.
    pub slots: usize,
    /// Whether new connections have had to wait for a second or more, because all of them are being answered.
    pub is_saturated: bool,
}

impl Slots {
    pub(super) fn new(port: &'static str, bounds: &Bounds) -> Self {
        let (began, open) = (Instant::now(), Mutex::default());
        let (connections, per_client) = (bounds.connections.max(1), bounds.per_client.max(1));
        Self { port, connections, per_client, began, open, freed: Notify::new() }
    }

    /// A slot for a connection from `peer`, once there is one; none when all the connections of this client are being
    /// answered.
    pub(super) async fn take(self: &Arc<Self>, peer: IpAddr, is_proxy: bool) -> Option<Slot> {
        let client = (!is_proxy).then(|| ClientAddress::of(peer));
        loop {
            let freed = self.freed.notified();
            match self.try_take(client) {
                Ok(slot) => return slot,
                // Those that are being closed are gone in a moment; those that are being answered take longer.
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
        let line =
            Arc::new(Line { began: self.began, waiting: AtomicU64::new(0), close: CancellationToken::new() });
        line.waits();
        let id = open.next;
        open.next += 1;
        open.entries.insert(id, Entry { client, line: Arc::clone(&line), leaving: false });
        if let Some(client) = client {
            *open.clients.entry(client).or_default() += 1;
        }
        metrics::gauge!("http_connections", "port" => self.port).increment(1.0);
        Ok(Some(Slot { slots: Arc::clone(self), id, line }))
    }

    /// Closes those that have waited for longest among `whose`, a share of `of`, and returns how many.
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
            let since = entry.line.waiting.load(Ordering::Relaxed);
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
            entry.line.close.cancel();
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
        // Nothing panics while it is held.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All slots are taken.
struct Full;

impl Open {
    /// One connection less of this client.
    fn forget(&mut self, client: Option<ClientAddress>) {
        let Some(client) = client else { return };
        let Some(count) = self.clients.get_mut(&client) else { return };
        *count -= 1;
        if *count == 0 {
            self.clients.remove(&client);
        }
    }
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    id: u64,
    pub(super) line: Arc<Line>,
}

impl Slot {
    /// Counts that the server closes this connection.
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
        "Connections refused because all those of their client were being answered, by port."
    );
    metrics::describe_counter!(
        "http_connections_closed_total",
        "Connections that the server closed before their client did, by port and reason: room (a new one needed the \
         slot), client (a new one of the same client), head (it did not come to an end), unread (the client did not read \
         its answers), age."
    );
}
