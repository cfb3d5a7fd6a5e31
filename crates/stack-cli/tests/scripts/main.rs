//! Tests of the scripts, run by bash as people run them.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test helper panics")]

mod calls;
mod checkout;
mod start;
