//! The table of the results.

use std::time::Duration;

use crate::{Fault, Outcome};

#[derive(Debug, Default)]
pub struct Row {
    recoveries: Vec<Duration>,
    idle: Duration,
    orders: usize,
    records: usize,
    memory: (u64, String),
    found: usize,
}

impl Row {
    /// Adds a round. Takes the numbers of orders and records at the last check of the site, and returns those of now.
    pub fn add(&mut self, outcome: &Outcome, before: (usize, usize)) -> (usize, usize) {
        self.recoveries.push(outcome.recovery);
        self.idle = self.idle.max(outcome.idle);
        self.memory = self.memory.clone().max(outcome.memory.clone());
        self.found += outcome.found.len();
        let Some(history) = &outcome.history else { return before };
        let now = (history.tables.orders.len(), history.records.len());
        self.orders += now.0 - before.0;
        self.records += now.1 - before.1;
        now
    }

    pub fn found(&self) -> usize {
        self.found
    }

    /// The row of a Markdown table.
    pub fn line(&self, fault: &Fault) -> String {
        let mut recoveries = self.recoveries.clone();
        recoveries.sort_unstable();
        let seconds = |time: Option<&Duration>| time.map_or(0.0, Duration::as_secs_f64);
        format!(
            "| `{}`: {} | {} | {} | {} | {:.1} / {:.1} s | {:.1} s | {} MB ({}) | {} |",
            fault.name,
            fault.what,
            recoveries.len(),
            self.orders,
            self.records,
            seconds(recoveries.get(recoveries.len() / 2)),
            seconds(recoveries.last()),
            self.idle.as_secs_f64(),
            self.memory.0,
            self.memory.1,
            match self.found {
                0 => "no contradiction".to_owned(),
                1 => "**1 finding**".to_owned(),
                many => format!("**{many} findings**"),
            },
        )
    }
}

pub const HEAD: &str = "\
| fault | rounds | orders | records | recovery p50 / max | idle, max | most memory | result |
|---|---|---|---|---|---|---|---|";
