//! The findings of `doctor`, and the places that it looks at.

use crate::local::Local;
use crate::screen::print;
use reqwest::Client;
use std::fmt::Display;
use std::time::Duration;

/// The timeout of a request; a service answers within 3 s even when its own dependencies do not.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn fine(what: impl Display) {
    print(format_args!("✓ {what}"));
}

/// Returns the first 3 lines and the number of the others: a stopped service has a lag on each of its partitions.
pub(super) fn shortened(mut lines: Vec<String>) -> Vec<String> {
    const FEW: usize = 3;
    let more = lines.len().saturating_sub(FEW);
    lines.truncate(FEW);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

pub(super) struct Doctor {
    pub(super) local: Local,
    pub(super) client: Client,
    pub(super) token: String,
    pub(super) complaints: usize,
}

impl Doctor {
    pub(super) fn wrong(&mut self, what: impl Display) {
        self.complaints += 1;
        print(format_args!("✗ {what}"));
    }

    pub(super) fn url(&self, service: &str) -> anyhow::Result<String> {
        if self.local.home.is_container() {
            return Ok(format!("http://{service}:8080"));
        }
        Ok(self.local.endpoints(service)?.url())
    }

    pub(super) fn ops_url(&self, service: &str) -> anyhow::Result<String> {
        if self.local.home.is_container() {
            return Ok(format!("http://{service}:9080"));
        }
        Ok(self.local.endpoints(service)?.ops_url())
    }
}
