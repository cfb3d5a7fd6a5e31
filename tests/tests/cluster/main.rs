//! Tests that take too long for every run: a cluster of three brokers that fail under load, services that lack one right
//! after another, and TLS, which needs another build. `./scripts/test-cluster` runs them.

#![expect(clippy::unwrap_used, reason = "a test panics")]

mod load;
mod network;
mod network_cut;
mod oidc;
mod one_less;
mod three_brokers;
mod tls;
