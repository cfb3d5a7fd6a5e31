//! docs/domino.json, docs/domino.md and docs/domino.svg, all of one run.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::scenario::{Run, Scenario};
use crate::side::{Fault, Kind};
use crate::timeline::Second;

/// The share of the CPU that other processes may use before a run counts as too noisy.
const NOISY: f64 = 0.15;
/// The heading under which the measured part of docs/domino.md stands.
const HEADING: &str = "## Measured";

/// Whether other processes used so much CPU that the figures cannot be trusted.
pub(crate) fn is_noisy(runs: &[Run]) -> bool {
    runs.iter().any(|run| run.others_share > NOISY)
}

/// Writes the three files into `docs`. Keeps the text of domino.md before its heading "Measured".
pub(crate) fn write(runs: &[Run], docs: &Path) -> anyhow::Result<()> {
    let write = |name: &str, text: String| {
        let file = docs.join(name);
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
    };
    let now = OffsetDateTime::now_utc();
    let data = json!({"at": now.format(&Rfc3339)?, "machine": bench::machine(), "runs": runs});
    write("domino.json", serde_json::to_string_pretty(&data)? + "\n")?;
    write("domino.svg", svg(runs))?;
    let before = std::fs::read_to_string(docs.join("domino.md")).unwrap_or_default();
    let before = before.split(HEADING).next().unwrap_or_default().trim_end();
    let noise = if is_noisy(runs) { " **The machine was too busy to trust these figures.**" } else { "" };
    let head = format!(
        "{before}\n\n{HEADING}\n\n{}, {}; `./scripts/domino`.{noise}\n\n![Accepted orders and latency over time](domino.svg)\n",
        bench::machine(),
        now.date()
    );
    write("domino.md", head + &tables(runs))
}

/// One table per run.
pub(crate) fn tables(runs: &[Run]) -> String {
    let mut text = String::new();
    for run in runs {
        let cpu = run
            .cpu_per_order
            .map_or(String::new(), |ms| format!("; {ms:.2} ms of CPU per order when healthy"));
        let _ = writeln!(text, "\n### {}, {:.0} orders per second{cpu}\n", run.kind.title(), run.rate);
        text.push_str("| fault, meanwhile | accepted | p50 | p99 | p99 ÷ healthy | confirmed / cancelled | lost | all final after |\n");
        text.push_str("|---|---|---|---|---|---|---|---|\n");
        let healthy = run.scenarios.first().map_or(f64::NAN, |healthy| healthy.latency.p99);
        for scenario in &run.scenarios {
            let Scenario { fault, requests, accepted, latency, final_after, orders, lost, .. } = scenario;
            let _ = writeln!(
                text,
                "| {} | {:.1} % of {requests} | {:.1} ms | {:.1} ms | {:.1} | {} / {} | {lost} | {final_after:.1} s |",
                fault.title(),
                100.0 * *accepted as f64 / (*requests).max(1) as f64,
                latency.p50,
                latency.p99,
                latency.p99 / healthy,
                orders.confirmed,
                orders.cancelled,
            );
        }
    }
    text
}

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 70.0;
const PANEL: f64 = 110.0;
const GAP: f64 = 44.0;
/// The range of the latency's logarithmic axis, in milliseconds.
const LEAST: f64 = 1.0;
const MOST: f64 = 10_000.0;

/// A label, a color, and the height of a second's point, from 0 to 1.
type Plot<'a> = (&'a str, &'a str, &'a dyn Fn(&Second) -> f64);

/// Accepted orders per second and p99 over time, the runs under one another; faults are shaded.
fn svg(runs: &[Run]) -> String {
    let mut panels = String::new();
    let mut y = 30.0;
    for run in runs {
        panel(&mut panels, run, &mut y);
    }
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>{panels}</svg>
"##
    )
}

fn panel(svg: &mut String, run: &Run, y: &mut f64) {
    let end = run.seconds.last().map_or(1.0, |second| second.at as f64 + 1.0);
    let x = |at: f64| LEFT + at / end * (WIDTH - LEFT - 20.0);
    let _ = write!(
        svg,
        r#"<text x="{LEFT}" y="{:.0}" font-size="15" font-weight="bold">{}, {:.0} orders per second</text>"#,
        *y - 10.0,
        run.kind.title(),
        run.rate
    );
    let plots: [Plot<'_>; 2] = [
        ("accepted/s", "#1565c0", &|second| second.accepted as f64 / (1.3 * run.rate)),
        ("p99, log", "#c62828", &|second| (second.p99.max(LEAST) / LEAST).log10() / (MOST / LEAST).log10()),
    ];
    for (label, color, value) in plots {
        for scenario in run.scenarios.iter().filter(|scenario| scenario.fault != Fault::None) {
            let (from, until) = (x(scenario.from), x(scenario.until));
            let _ = write!(
                svg,
                r##"<rect x="{from:.1}" y="{:.1}" width="{:.1}" height="{PANEL}" fill="#ffecb3"/><text x="{from:.1}" y="{:.1}" font-size="10" fill="#795548">{}</text>"##,
                *y,
                until - from,
                *y + 11.0,
                scenario.fault.title()
            );
        }
        let point = |second: &Second| {
            let height = PANEL * (1.0 - value(second).clamp(0.0, 1.0));
            format!("{:.1},{:.1}", x(second.at as f64 + 0.5), *y + height)
        };
        let points: Vec<String> = run.seconds.iter().map(point).collect();
        let _ = write!(
            svg,
            r##"<rect x="{LEFT}" y="{:.1}" width="{:.1}" height="{PANEL}" fill="none" stroke="#bbb"/><text x="8" y="{:.1}">{label}</text><polyline points="{}" fill="none" stroke="{color}" stroke-width="1.5"/>"##,
            *y,
            WIDTH - LEFT - 20.0,
            *y + PANEL / 2.0,
            points.join(" ")
        );
        *y += PANEL + 8.0;
    }
    *y += GAP;
}

/// Whether the event side met its promises: everything accepted, p99 within 1.5 times the healthy one, nothing lost, every
/// order final and charged once.
pub(crate) fn holds(runs: &[Run]) -> bool {
    let events = runs.iter().filter(|run| run.kind == Kind::Events);
    events.flat_map(|run| &run.scenarios).all(|scenario| {
        scenario.accepted == scenario.requests
            && scenario.lost == 0
            && scenario.orders.open == 0
            && scenario.orders.charged == scenario.orders.confirmed
    })
}
