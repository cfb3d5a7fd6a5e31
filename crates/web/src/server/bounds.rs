//! The limits that a server sets its clients.

use std::time::Duration;

/// The limits of a port; the defaults are [`Bounds::api`] and [`Bounds::ops`].
#[derive(Debug, Clone)]
pub struct Bounds {
    /// The most connections at once. Each may hold a head of [`Bounds::buffer`] bytes, and all of them must stay well
    /// below the memory limit of a container (96 MB). A further connection replaces the one that has been idle for
    /// longest.
    pub connections: usize,
    /// The most connections at once of one client (an IPv4 address or an IPv6 /64). A further one replaces the
    /// client's own that has been idle for longest. Connections of trusted proxies are exempt.
    pub per_client: usize,
    /// The longest idle time of a connection between two requests.
    pub idle: Duration,
    /// The longest time of a request's head from its first byte on.
    pub head: Duration,
    /// The longest time, in total, that a connection may wait for its client to read answers.
    pub unread: Duration,
    /// The age at which a connection ends; a request in flight then is its last.
    pub age: Duration,
    /// The longest time of that last request.
    pub last_request: Duration,
    /// The largest head of a request, and the buffer for its body, in bytes.
    pub buffer: usize,
}

impl Bounds {
    /// The limits of a service's API port.
    pub fn api() -> Self {
        Self {
            connections: 1024,
            per_client: 512,
            idle: Duration::from_secs(30),
            head: Duration::from_secs(10),
            unread: Duration::from_secs(20),
            age: Duration::from_mins(5),
            last_request: Duration::from_secs(30),
            buffer: 32 * 1024,
        }
    }

    /// The limits of its ops port, which has a handful of clients.
    pub fn ops() -> Self {
        Self { connections: 64, per_client: 32, ..Self::api() }
    }

    /// The limits for a proxy: proxies reuse connections that were idle for about a minute and must not find them
    /// closed.
    pub(super) fn of_a_proxy(&self) -> Self {
        Self { idle: self.idle.max(Duration::from_secs(75)), ..self.clone() }
    }
}
