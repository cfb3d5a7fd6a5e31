//! The measured rounds as a table.

use std::fmt;
use std::time::Duration;

use crate::{ACCOUNTS, Round, TOGETHER};

pub(crate) struct Report {
    events: usize,
    rounds: Vec<Round>,
}

/// A step's time in a round.
type Step = fn(&Round) -> Duration;

/// The lines of the table, in this order.
const LINES: [(&str, Step); 5] = [
    ("Postgres' own `INSERT … SELECT`", |round| round.copy),
    ("append: rows and events committed", |round| round.append),
    ("relay: outbox to Kafka", |round| round.relay),
    ("handle: Kafka into the second database", |round| round.handle),
    ("**all three side by side**", |round| round.whole),
];

impl Report {
    pub(crate) fn new(events: usize) -> Self {
        Self { events, rounds: Vec::new() }
    }

    pub(crate) fn add(&mut self, round: Round) {
        self.rounds.push(round);
    }

    /// Returns a step's time divided by the copy's, of each round, in ascending order.
    fn ratios(&self, of: Step) -> Vec<f64> {
        let ratio = |round: &Round| of(round).as_secs_f64() / round.copy.as_secs_f64();
        sorted(self.rounds.iter().map(ratio))
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn per_second(&self, of: Step) -> f64 {
        let seconds = sorted(self.rounds.iter().map(|round| of(round).as_secs_f64()));
        self.events as f64 / middle(&seconds)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, rounds } = self;
        writeln!(
            f,
            "{events} events of {ACCOUNTS} keys, {TOGETHER} per transaction; medians of {} rounds.\n",
            rounds.len()
        )?;
        writeln!(f, "| step | time ÷ copy | least – most | events/s here |\n|---|---|---|---|")?;
        for (name, of) in LINES {
            let ratios = self.ratios(of);
            let (least, most) = (ratios.first().unwrap_or(&0.0), ratios.last().unwrap_or(&0.0));
            let per_second = self.per_second(of);
            writeln!(f, "| {name} | {:.1} | {least:.1} – {most:.1} | {per_second:.0} |", middle(&ratios))?;
        }
        let whole = middle(&self.ratios(|round| round.whole));
        writeln!(f, "\nIn one line: {:.2} of the rate of Postgres' own `INSERT … SELECT`.", 1.0 / whole)
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
