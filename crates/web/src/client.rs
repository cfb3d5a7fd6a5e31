//! The client that a request comes from: the peer's address, or the address that a trusted proxy says. A forwarding
//! header is believed from `TRUSTED_PROXIES` alone, and read from the right: everything left of the first address that
//! is no trusted proxy is that client's own word.
//!
//! `X-Forwarded-For` is read when it is there, `Forwarded` (RFC 7239) otherwise. Almost every proxy writes the former
//! and passes on a `Forwarded` that a client made up; so a proxy that writes `Forwarded` alone has to delete its
//! clients' `X-Forwarded-For`.

mod forwarded;
mod proxies;
mod unnamed;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::Problem;

pub use proxies::{NoNetwork, TrustedProxies};

/// The other end of the connection; the server puts it into each request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The client, as limits per client count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(Name);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Name {
    Address(IpAddr),
    /// A proxy's own word for its client (RFC 7239, section 6.3), as a digest.
    Pseudonym(u64),
    /// One of the shares of those that a proxy does not name.
    Unnamed(u8),
}

impl ClientAddress {
    /// The client at `address`: an IPv4 address, or the /64 of an IPv6 address, since that is what one line gets. The
    /// link-local addresses of a whole network share their /64, so there each counts by itself.
    pub(crate) fn of(address: IpAddr) -> Self {
        let network = |v6: Ipv6Addr| Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64);
        Self(Name::Address(match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_unicast_link_local() && !v6.is_loopback() => network(v6).into(),
            other => other,
        }))
    }

    /// Whether it is a program on this machine: a tool of the shop's own, or a proxy that `TRUSTED_PROXIES` does not name
    /// and that would otherwise be all clients in one.
    pub fn is_local(&self) -> bool {
        matches!(self.0, Name::Address(address) if address.is_loopback())
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Name::Address(address) => address.fmt(f),
            Name::Pseudonym(digest) => write!(f, "pseudonym {digest:016x}"),
            Name::Unnamed(share) => write!(f, "unnamed {share}"),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(*known);
        }
        // A request that came over no connection (a test's) is its own client.
        let peer = parts.extensions.get::<Peer>().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0);
        let proxies = parts.extensions.get::<TrustedProxies>().cloned().unwrap_or_default();
        let client = proxies.client(peer, &parts.headers);
        // Whatever asks next, the same request stays the same client.
        parts.extensions.insert(client);
        Ok(client)
    }
}

/// Describes the metrics of this module for the recorder that is installed.
pub(crate) fn describe() {
    unnamed::describe();
}
