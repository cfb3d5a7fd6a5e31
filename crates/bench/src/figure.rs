//! The figures of the benchmark, and what they should be.

use serde::Serialize;

/// A bound of a figure.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    pub(crate) fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(bound) => ratio >= bound,
            Self::AtMost(bound) => ratio <= bound,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
        }
    }
}

/// A figure of the report: a ratio of two measurements of the same run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    /// The name in `ratios` of docs/bench.json.
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) against: &'static str,
    pub(crate) must: Bound,
    pub(crate) goal: Bound,
}

const fn figure(
    name: &'static str,
    what: &'static str,
    against: &'static str,
    must: Bound,
    goal: Bound,
) -> Figure {
    Figure { name, what, against, must, goal }
}

use Bound::{AtLeast, AtMost};

/// All figures, in the order of the report.
pub(crate) const FIGURES: [Figure; 11] = [
    figure(
        "accepted",
        "orders accepted per second, 64 connections",
        "pgbench, 64 clients",
        AtLeast(0.35),
        AtLeast(1.0),
    ),
    figure(
        "sustained",
        "orders notified per second with bounded lag",
        "pgbench, 64 clients",
        AtLeast(0.15),
        AtLeast(0.3),
    ),
    figure(
        "cpu_per_order",
        "CPU of the whole system per order at that rate",
        "CPU of Postgres per pgbench transaction",
        AtMost(5.0),
        AtMost(3.0),
    ),
    figure(
        "latency_p50",
        "order → notification at half that rate, p50",
        "5 commits + 3 Kafka hops, each alone at that rate",
        AtMost(2.0),
        AtMost(1.2),
    ),
    figure("latency_p99_over_p50", "the same, p99", "its p50", AtMost(6.0), AtMost(4.0)),
    figure(
        "drain",
        "orders processed per second after an outage of all consumers",
        "arrival rate before (half the sustained)",
        AtLeast(3.0),
        AtLeast(6.0),
    ),
    figure(
        "fan_out",
        "10,000 deliveries after a restock",
        "`INSERT … SELECT` of the same rows",
        AtLeast(0.1),
        AtLeast(0.3),
    ),
    figure(
        "smtp",
        "10,000 mails over SMTP",
        "the same server fed by a bare client",
        AtLeast(0.2),
        AtLeast(0.5),
    ),
    figure("growth", "CPU per order in large tables", "with 10 thousand", AtMost(1.15), AtMost(1.0)),
    figure(
        "broker",
        "broker: outbox → Kafka → second database",
        "`INSERT … SELECT`",
        AtLeast(0.25),
        AtLeast(0.4),
    ),
    figure(
        "two_instances",
        "sustained with two instances of each service",
        "with one, same cores",
        AtLeast(0.9),
        AtLeast(1.0),
    ),
];

/// A measured figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) ratio: f64,
    /// The two measurements behind the ratio, in words.
    pub(crate) values: String,
}

/// The median of the values.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
