//! What a server's clients may take of it.

use std::time::Duration;

/// Bounds of a port; a service's defaults are [`Bounds::api`] and [`Bounds::ops`].
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Connections at once. Each may hold a head of [`Bounds::buffer`], so that all of them stay well below the memory
    /// limit of a container (96 MB); a further one takes the place of the one that has been idle for longest.
    pub connections: usize,
    /// Connections at once of one client (an IPv4 address or an IPv6 /64); a further one takes the place of its own
    /// that has been idle for longest. Does not hold for the trusted proxies' own.
    pub per_client: usize,
    /// How long a connection may be idle between two requests.
    pub idle: Duration,
    /// How long a request's head may take from its first byte on.
    pub head: Duration,
    /// How long, all together, a connection may keep answers waiting that its client does not read.
    pub unread: Duration,
    /// How old a connection becomes; the request that is answered then is its last one.
    pub age: Duration,
    /// How long that last request may take.
    pub last_request: Duration,
    /// The largest head of a request, and what is buffered of its body, in bytes.
    pub buffer: usize,
}

impl Bounds {
    /// Those of a service's API port.
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

    /// Those of its ops port, which a handful of programs ask.
    pub fn ops() -> Self {
        Self { connections: 64, per_client: 32, ..Self::api() }
    }

    /// Proxies keep idle connections for about a minute, and must not find them closed when they use them.
    pub(super) fn of_a_proxy(&self) -> Self {
        Self { idle: self.idle.max(Duration::from_secs(75)), ..self.clone() }
    }
}
