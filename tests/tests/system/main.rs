//! Tests of the system from outside, one file per topic. All are one binary, since linking dominates the build time.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test panics")]

mod addresses;
mod back_in_stock;
mod board;
mod cancellations;
mod clocks;
mod cluster;
mod commands;
mod crashes;
mod described;
mod erasure;
mod everything;
mod forgeries;
mod greedy;
mod hostile;
mod idempotency;
mod limits;
mod mail_limits;
mod mail_server;
mod mails;
mod operators;
mod outages;
mod outcomes;
mod overselling;
mod payments;
mod plans;
mod postgres_connection;
mod refusals;
mod repairs;
mod restored;
mod rights;
mod schema;
mod sharing;
mod stock;
mod traces;
mod unavailable;
