//! docs/domino.json and docs/domino.md; with [`plot`] all of one run.

use std::fmt::Write as _;
use std::path::Path;

use bench::NOISY;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::plot;
use crate::scenario::{RECOVERY, Run, Scenario};
use crate::side::Kind;

/// The heading under which the measured part of docs/domino.md stands.
const HEADING: &str = "## Measured";

/// Whether other processes used so much CPU that the figures cannot be trusted.
pub(crate) fn is_noisy(runs: &[Run]) -> bool {
    runs.iter().any(|run| run.others_share > NOISY)
}

/// Writes the three files into `docs`. Keeps the text of domino.md before its heading "Measured".
pub(crate) fn write(runs: &[Run], docs: &Path) -> anyhow::Result<()> {
    let now = OffsetDateTime::now_utc();
    let data = json!({"at": now.format(&Rfc3339)?, "machine": bench::machine(), "runs": runs});
    bench::write(docs, "domino.json", &(serde_json::to_string_pretty(&data)? + "\n"))?;
    bench::write(docs, "domino.svg", &plot::svg(runs))?;
    let before = std::fs::read_to_string(docs.join("domino.md")).unwrap_or_default();
    let before = before.split(HEADING).next().unwrap_or_default().trim_end();
    let noise = if is_noisy(runs) { " **The machine was too busy to trust these figures.**" } else { "" };
    let head = format!(
        "{before}\n\n{HEADING}\n\n{}, {}; `./scripts/domino`.{noise}\n\n![Accepted orders and latency over time](domino.svg)\n",
        bench::machine(),
        now.date()
    );
    bench::write(docs, "domino.md", &(head + &tables(runs)))
}

/// One table per run.
pub(crate) fn tables(runs: &[Run]) -> String {
    let mut text = String::new();
    for run in runs {
        let Run { kind, rate, sustained, cpu_per_order, .. } = run;
        let cpu =
            cpu_per_order.map_or(String::new(), |ms| format!(", {ms:.2} ms of CPU per order when healthy"));
        let _ = writeln!(
            text,
            "\n### {}, {rate:.0} orders per second\n\nBrings {sustained:.0} orders per second to their final state{cpu}.\n",
            kind.title()
        );
        text.push_str("| fault, meanwhile | accepted | p50 | p99 | p99 ÷ healthy | time to recover | confirmed / cancelled | lost | all final after |\n");
        text.push_str("|---|---|---|---|---|---|---|---|---|\n");
        for scenario in &run.scenarios {
            row(&mut text, run, scenario);
        }
    }
    text
}

fn row(text: &mut String, run: &Run, scenario: &Scenario) {
    let Scenario { fault, requests, accepted, latency, orders, lost, .. } = scenario;
    let after = |seconds: Option<f64>, limit: f64| match seconds {
        Some(seconds) => format!("{seconds:.1} s"),
        None => format!("more than {limit:.0} s"),
    };
    let load_after = scenario.seconds.len() as f64 - scenario.healed;
    let _ = writeln!(
        text,
        "| {} | {:.1} % of {requests} | {:.1} ms | {:.1} ms | {:.1} | {} | {} / {} | {lost} | {} |",
        fault.title(),
        100.0 * *accepted as f64 / (*requests).max(1) as f64,
        latency.p50,
        latency.p99,
        over_healthy(run, scenario),
        after(scenario.recovered_after, load_after),
        orders.confirmed,
        orders.cancelled,
        after(scenario.final_after, RECOVERY.as_secs_f64()),
    );
}

fn over_healthy(run: &Run, scenario: &Scenario) -> f64 {
    scenario.latency.p99 / run.healthy().map_or(f64::NAN, |healthy| healthy.p99)
}

/// The most that a fault may multiply the event side's p99 by.
const SLOWER: f64 = 1.5;

/// Whether the event side met its promises: everything accepted, p99 within 1.5 times the healthy one, nothing lost, every
/// order final and charged once.
pub(crate) fn holds(runs: &[Run]) -> bool {
    runs.iter().filter(|run| run.kind == Kind::Events).all(|run| {
        run.scenarios.iter().all(|scenario| {
            scenario.accepted == scenario.requests
                && scenario.lost == 0
                && scenario.final_after.is_some()
                && over_healthy(run, scenario) <= SLOWER
        })
    })
}
