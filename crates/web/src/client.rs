//! The client that a request comes from: the peer's address, or the address that a trusted proxy names. Forwarding
//! headers count only when they come from `TRUSTED_PROXIES`. They are read from the right: everything left of the first
//! address that is not a trusted proxy was written by that client and is not trusted.
//!
//! `X-Forwarded-For` is read when it is present, otherwise `Forwarded` (RFC 7239). Almost every proxy writes the former
//! and passes on a `Forwarded` that a client made up; so a proxy that writes only `Forwarded` must delete its clients'
//! `X-Forwarded-For`.

mod forwarded;
mod proxies;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::Problem;

pub(crate) use proxies::describe;
pub use proxies::{NoNetwork, TrustedProxies};

/// The address at the other end of the connection; the server adds it to each request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The client of a request, as the limits per client count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(Name);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Name {
    Address(IpAddr),
    /// The digest of a proxy's pseudonym for its client (RFC 7239, section 6.3).
    Pseudonym(u64),
    /// One of the shares of the clients that a proxy does not name.
    Unnamed(u8),
}

impl ClientAddress {
    /// The client at `address`: an IPv4 address, or the /64 of an IPv6 address, since an internet line gets a whole
    /// /64. The link-local addresses of a whole network share their /64, so each of them is a client of its own.
    pub(crate) fn of(address: IpAddr) -> Self {
        let network = |v6: Ipv6Addr| Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64);
        Self(Name::Address(match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_unicast_link_local() && !v6.is_loopback() => network(v6).into(),
            other => other,
        }))
    }

    /// Whether the client is a program on this machine: a tool of the shop's own, or a proxy that `TRUSTED_PROXIES`
    /// does not name, which would otherwise count as one client for all its users.
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
        // A request without a connection, as in tests, comes from the unspecified address.
        let peer = parts.extensions.get::<Peer>().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0);
        let proxies = parts.extensions.get::<TrustedProxies>().cloned().unwrap_or_default();
        let client = proxies.client(peer, &parts.headers);
        // A later extractor finds the same client: unnamed ones would get another share.
        parts.extensions.insert(client);
        Ok(client)
    }
}
