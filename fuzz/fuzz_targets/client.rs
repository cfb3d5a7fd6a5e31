//! The forwarding headers of a trusted proxy, and the list of proxies.
//!
//! Input: the setting `TRUSTED_PROXIES`, a line break, then one value of a header per line: `X-Forwarded-For` if it begins with a
//! space, else `Forwarded`.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::FromRequestParts as _;
use axum::http::{HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use web::client::Peer;
use web::{ClientAddress, TrustedProxies};

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let Some(proxies) = lines.next().and_then(|line| std::str::from_utf8(line).ok()) else { return };
    let Ok(proxies) = proxies.parse::<TrustedProxies>() else { return };
    let (mut parts, ()) = Request::new(()).into_parts();
    for line in lines {
        let name = if line.starts_with(b" ") { "x-forwarded-for" } else { "forwarded" };
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        parts.headers.append(name, value);
    }
    let peer = IpAddr::from(Ipv4Addr::new(10, 0, 0, 1));
    let is_trusted = proxies.contain(peer);
    parts.extensions.insert(Peer(peer));
    parts.extensions.insert(proxies);
    let client = futures::executor::block_on(ClientAddress::from_request_parts(&mut parts, &())).unwrap();
    assert!(is_trusted || client.to_string() == "10.0.0.1", "a stranger's headers counted");
});
