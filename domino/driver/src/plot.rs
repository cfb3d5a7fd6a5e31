//! docs/domino.svg: accepted orders per second and p99 over time, the runs under one another, faults shaded.

use std::fmt::Write as _;

use crate::scenario::Run;
use crate::side::{Fault, Kind};
use crate::timeline::Second;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const HEAD: f64 = 58.0;
const PANEL: f64 = 72.0;
const GAP: f64 = 40.0;
/// The space between two scenarios, in seconds.
const BREAK: f64 = 2.0;
/// The range of the latency's logarithmic axis, in milliseconds.
const LEAST: f64 = 1.0;
const MOST: f64 = 10_000.0;

/// A quantity of a second, with its axis.
struct Quantity<'a> {
    label: &'a str,
    color: &'a str,
    /// The labels of the axis, and their heights from 0 to 1.
    ticks: Vec<(String, f64)>,
    /// The height of a second's point, from 0 to 1.
    height: &'a dyn Fn(&Second) -> f64,
}

/// Draws the runs at the first run's rate. Only the loads are shown: the waits for the last orders between them are left out.
pub(crate) fn svg(runs: &[Run]) -> String {
    let mut y = HEAD;
    let mut panels = String::new();
    let rate = runs.first().map_or(0.0, |first| first.rate);
    for run in runs.iter().filter(|run| run.rate <= rate) {
        y = draw(&mut panels, run, y);
    }
    let end = y - GAP + 16.0;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {end:.0}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/><text x="{LEFT}" y="24" font-size="17" font-weight="bold">A dead or slow service under a steady load: accepted orders per second, and p99 of the answer</text>{panels}</svg>
"##
    )
}

/// Draws a run below `y` and returns where the next one begins.
fn draw(svg: &mut String, run: &Run, mut y: f64) -> f64 {
    let title = if run.kind == Kind::Events { "events (this project)" } else { run.kind.title() };
    let _ = write!(
        svg,
        r#"<text x="{LEFT}" y="{:.0}" font-size="14" font-weight="bold">{title}, {:.0} orders per second</text>"#,
        y - 7.0,
        run.rate
    );
    let latency = |ms: f64| (ms.max(LEAST) / LEAST).log10() / (MOST / LEAST).log10();
    let accepted = |second: &Second| second.accepted as f64 / (1.25 * run.rate);
    let quantities = [
        Quantity {
            label: "accepted/s",
            color: "#1565c0",
            ticks: vec![("0".to_owned(), 0.0), (format!("{:.0}", run.rate), 0.8)],
            height: &accepted,
        },
        Quantity {
            label: "p99",
            color: "#c62828",
            ticks: [(10.0, "10 ms"), (100.0, "100 ms"), (1000.0, "1 s")]
                .map(|(ms, label)| (label.to_owned(), latency(ms)))
                .to_vec(),
            height: &|second| latency(second.p99),
        },
    ];
    for quantity in quantities {
        panel(svg, run, &quantity, y);
        y += PANEL + 6.0;
    }
    y + GAP
}

fn panel(svg: &mut String, run: &Run, quantity: &Quantity<'_>, y: f64) {
    let seconds: usize = run.scenarios.iter().map(|scenario| scenario.seconds.len()).sum();
    let breaks = BREAK * run.scenarios.len().saturating_sub(1) as f64;
    let scale = (WIDTH - LEFT - RIGHT) / (seconds as f64 + breaks).max(1.0);
    let at = |height: f64| y + PANEL * (1.0 - height.clamp(0.0, 1.0));
    let _ = write!(
        svg,
        r#"<text x="4" y="{:.1}" fill="{}">{}</text>"#,
        y + PANEL / 2.0 + 16.0,
        quantity.color,
        quantity.label
    );
    for (label, height) in &quantity.ticks {
        let tick = at(*height);
        let _ = write!(
            svg,
            r##"<text x="{:.1}" y="{:.1}" text-anchor="end" fill="#666" font-size="9">{label}</text><path d="M{LEFT} {tick:.1}H{:.1}" stroke="#e0e0e0"/>"##,
            LEFT - 4.0,
            tick + 3.0,
            WIDTH - RIGHT
        );
    }
    let mut x = LEFT;
    for scenario in &run.scenarios {
        let width = scenario.seconds.len() as f64 * scale;
        if scenario.fault != Fault::None {
            let healed = scenario.healed.min(scenario.seconds.len() as f64) * scale;
            let _ = write!(
                svg,
                r##"<rect x="{x:.1}" y="{y:.1}" width="{healed:.1}" height="{PANEL}" fill="#ffecb3" fill-opacity="0.7"/>"##
            );
        }
        let points: Vec<String> = scenario
            .seconds
            .iter()
            .map(|second| {
                format!("{:.1},{:.1}", x + (second.at as f64 + 0.5) * scale, at((quantity.height)(second)))
            })
            .collect();
        let _ = write!(
            svg,
            r##"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{PANEL}" fill="none" stroke="#bbb"/><polyline points="{}" fill="none" stroke="{}" stroke-width="1.6"/><text x="{:.1}" y="{:.1}" font-size="10" fill="#5d4037">{}</text>"##,
            points.join(" "),
            quantity.color,
            x + 3.0,
            y + 10.0,
            scenario.fault.title()
        );
        x += width + BREAK * scale;
    }
}
