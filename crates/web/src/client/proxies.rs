//! The setting `TRUSTED_PROXIES`, and the client behind trusted proxies.
//!
//! With one budget for all clients that a trusted proxy does not name, a hundred sign-ups would stop a shop's sign-ups for
//! an hour. So their requests take turns at the budgets of many clients, which still bounds them, and the log warns the
//! operator.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use ipnet::IpNet;

use super::forwarded::{Hop, Shape, hops};
use super::{ClientAddress, Name};

/// The number of budgets that unnamed clients share.
const SHARES: u8 = 64;
/// The shortest time between two warnings in the log.
const QUIET: Duration = Duration::from_mins(10);

static TURN: AtomicU8 = AtomicU8::new(0);
static LAST_WARNING: Mutex<Option<Instant>> = Mutex::new(None);

/// The networks of proxies whose forwarding headers are trusted: a comma-separated list such as `10.0.0.0/8,::1`.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Whether `address` belongs to a trusted proxy.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns the nearest hop that is not a trusted proxy.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let mut nearest = peer.to_canonical();
        if !self.contain(nearest) {
            return ClientAddress::of(nearest);
        }
        // A proxy that sends no header is the client itself, as with its health checks.
        let (header, hops) = hops(headers).unwrap_or_default();
        for hop in hops {
            match hop {
                Hop::Address(address) => nearest = address,
                Hop::Pseudonym(name) => return ClientAddress(Name::Pseudonym(digest(nearest, &name))),
                Hop::Unreadable(shape) => return unnamed(header, shape),
            }
            if !self.contain(nearest) {
                break;
            }
        }
        ClientAddress::of(nearest)
    }
}

/// Hashes the pseudonym with its proxy's address, since two proxies may use the same pseudonym.
fn digest(proxy: IpAddr, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (proxy, name).hash(&mut hasher);
    hasher.finish()
}

/// Returns the client of a request whose proxy names none.
fn unnamed(header: &'static str, shape: Shape) -> ClientAddress {
    let shape = <&str>::from(shape);
    metrics::counter!("clients_unnamed_total", "header" => header, "shape" => shape).increment(1);
    if is_time_to_warn() {
        tracing::warn!(
            header,
            shape,
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

pub(crate) fn describe() {
    metrics::describe_counter!(
        "clients_unnamed_total",
        "Requests whose trusted proxy names no readable client, by header and shape."
    );
}

/// An entry of `TRUSTED_PROXIES` that is neither an address nor a network.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is neither an IP address nor a network such as 10.0.0.0/8")]
pub struct NoNetwork(String);

impl FromStr for TrustedProxies {
    type Err = NoNetwork;

    fn from_str(list: &str) -> Result<Self, NoNetwork> {
        let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
        let network = |part: &str| {
            let network = part.parse::<IpNet>().or_else(|_| part.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| NoNetwork(part.to_owned()))
        };
        parts.map(network).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRUSTED: &str = "10.0.0.0/8, 127.0.0.1";

    fn by(header: &'static str, lists: &[&str]) -> ClientAddress {
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append(header, axum::http::HeaderValue::from_bytes(list.as_bytes()).unwrap());
        }
        TRUSTED.parse::<TrustedProxies>().unwrap().client("127.0.0.1".parse().unwrap(), &headers)
    }

    fn client(peer: &str, lists: &[&'static str]) -> String {
        let headers = lists.iter().map(|list| ("x-forwarded-for".parse().unwrap(), list.parse().unwrap()));
        let proxies = TRUSTED.parse::<TrustedProxies>().unwrap();
        proxies.client(peer.parse().unwrap(), &headers.collect()).to_string()
    }

    fn forwarded_for(list: &str) -> String {
        by("x-forwarded-for", &[list]).to_string()
    }

    fn forwarded(list: &str) -> String {
        by("forwarded", &[list]).to_string()
    }

    fn is_unnamed(client: &str) -> bool {
        client.starts_with("unnamed ")
    }

    #[test]
    fn only_a_trusted_proxy_may_name_the_client() {
        assert_eq!(client("9.9.9.9", &["1.1.1.1"]), "9.9.9.9");
        assert_eq!(forwarded_for("6.6.6.6, 1.1.1.1, 10.2.3.4"), "1.1.1.1");
        assert_eq!(by("x-forwarded-for", &["6.6.6.6, 1.1.1.1"]).to_string(), "1.1.1.1");
        assert_eq!(client("::ffff:127.0.0.1", &["1.1.1.1"]), "1.1.1.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.3,, 10.0.0.2 ,"]), "10.0.0.3");
    }

    #[test]
    fn an_address_is_read_in_every_form_that_proxies_write() {
        for written in ["198.51.100.1", "198.51.100.1:5000", "\"198.51.100.1:5000\"", "::ffff:198.51.100.1"] {
            assert_eq!(forwarded_for(written), "198.51.100.1", "{written}");
        }
        for written in [
            "2001:db8:0:7::1",
            "[2001:db8:0:7::1]",
            "[2001:db8:0:7::1]:5000",
            "\"[2001:db8:0:7::1]:5000\"",
            "2001:DB8:0:7::1%eth0",
            "[2001:db8:0:7::1%25eth0]:443",
        ] {
            assert_eq!(forwarded_for(written), "2001:db8:0:7::", "{written}");
        }
        assert_ne!(
            forwarded_for("fe80::1%eth0"),
            forwarded_for("fe80::2%eth0"),
            "neighbours are not one client"
        );
    }

    #[test]
    fn forwarded_is_read_when_x_forwarded_for_is_missing() {
        assert_eq!(forwarded("for=192.0.2.43, for=198.51.100.17"), "198.51.100.17");
        assert_eq!(forwarded("For=\"198.51.100.1:47011\";proto=https;by=203.0.113.43"), "198.51.100.1");
        assert_eq!(forwarded("proto=http; for=\"[2001:db8:cafe::17]:4711\""), "2001:db8:cafe::");
        assert_eq!(forwarded("for=198.51.100.1;host=\"a,b;for=1.1.1.1\", for=10.0.0.1"), "198.51.100.1");
        let mut both = HeaderMap::new();
        both.insert("forwarded", "for=1.1.1.1".parse().unwrap());
        both.insert("x-forwarded-for", "2.2.2.2".parse().unwrap());
        let proxies = TRUSTED.parse::<TrustedProxies>().unwrap();
        assert_eq!(proxies.client("127.0.0.1".parse().unwrap(), &both).to_string(), "2.2.2.2");
    }

    #[test]
    fn a_pseudonym_is_a_client() {
        assert_eq!(forwarded("for=_gazonk"), forwarded("for=\"_gazonk:_x\""));
        assert_ne!(forwarded("for=_gazonk"), forwarded("for=_gizonk"));
        assert_ne!(forwarded("for=_gazonk"), forwarded("for=_gazonk, for=10.0.0.9"));
    }

    #[test]
    fn unnamed_clients_share_many_budgets() {
        let nameless =
            ["unknown", "nonsense", "198.51.100.1:port", "[::1", "_", &"1".repeat(200), "é", "256.1.1.1"];
        for written in nameless {
            let clients: std::collections::HashSet<_> = (0..200).map(|_| forwarded_for(written)).collect();
            assert!(clients.len() > 20 && clients.iter().all(|client| is_unnamed(client)), "{written}");
        }
        assert!(is_unnamed(&forwarded("by=10.0.0.1;proto=http")));
        // An address left of it was written by the client and is ignored.
        assert!(is_unnamed(&forwarded_for("1.1.1.1, unknown")));
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        assert_eq!(client("2001:db8:1:2:3:4:5:6", &[]), "2001:db8:1:2::");
        assert!("10.0.0.0/40".parse::<TrustedProxies>().is_err());
    }

    proptest! {
        #[test]
        fn a_client_cannot_change_its_address_by_its_own_header(text in "[ -~]{0,60}") {
            prop_assert_eq!(by("x-forwarded-for", &[text.as_str(), "198.51.100.1"]).to_string(), "198.51.100.1");
            prop_assert_eq!(by("forwarded", &[text.as_str(), "for=198.51.100.1"]).to_string(), "198.51.100.1");
            // Most proxies append to the line that the client sent.
            prop_assert_eq!(forwarded_for(&format!("{text}, 198.51.100.1")), "198.51.100.1");
            prop_assert_eq!(forwarded(&format!("{text}, for=198.51.100.1;proto=https")), "198.51.100.1");
        }

        #[test]
        fn no_header_causes_a_panic(bytes in proptest::collection::vec(32_u8..=255, 0..300)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = axum::http::HeaderValue::from_bytes(&bytes) {
                headers.insert("x-forwarded-for", value.clone());
                let proxies = TRUSTED.parse::<TrustedProxies>().unwrap();
                proxies.client("127.0.0.1".parse().unwrap(), &headers);
                headers.clear();
                headers.insert("forwarded", value);
                proxies.client("127.0.0.1".parse().unwrap(), &headers);
            }
        }

        #[test]
        fn an_address_with_any_port_is_the_address(bits: u32, port: u16) {
            let address = std::net::Ipv4Addr::from_bits(bits | 0x8000_0000);
            prop_assert_eq!(forwarded_for(&format!("{address}:{port}")), address.to_string());
        }
    }
}
