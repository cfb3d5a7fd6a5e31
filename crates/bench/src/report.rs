//! The results of a run: docs/bench.json, docs/bench.md and docs/bench.svg, all of one run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use bench::{NOISY, write};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::figure::{Bound, FIGURES, Figure, Measured};

/// The section of the report that is not written by hand.
const HEADING: &str = "## Measured";

/// The measurements of a run so far.
#[derive(Debug, Default)]
pub(crate) struct Results {
    measured: Vec<Measured>,
    raw: BTreeMap<&'static str, Vec<Value>>,
    notes: Vec<String>,
    others: f64,
}

impl Results {
    /// Adds a figure and prints it.
    pub(crate) fn figure(&mut self, measured: Measured) {
        eprintln!("{}: {:.3} ({})", measured.name, measured.ratio, measured.values);
        self.measured.push(measured);
    }

    /// Adds raw data.
    pub(crate) fn raw(&mut self, name: &'static str, value: Value) {
        self.raw.entry(name).or_default().push(value);
    }

    /// Notes the share of the CPU that other processes used during a phase.
    pub(crate) fn others(&mut self, share: f64) {
        self.others = self.others.max(share);
    }

    /// Whether other processes used so much CPU that the figures cannot be trusted.
    pub(crate) fn is_noisy(&self) -> bool {
        self.others > NOISY
    }

    /// The figures as a table for Markdown.
    pub(crate) fn table(&self) -> String {
        let mut table = "| figure | held against, same run | measured | ratio | must | goal | |\n|---|---|---|---|---|---|---|\n".to_owned();
        for (figure, measured) in self.rows() {
            let Figure { what, against, must, goal, .. } = figure;
            let verdict = match () {
                () if goal.holds(measured.ratio) => "goal",
                () if must.holds(measured.ratio) => "must",
                () => "**missed**",
            };
            let _ = writeln!(
                table,
                "| {what} | {against} | {} | **{:.3}** | {must} | {goal} | {verdict} |",
                measured.values, measured.ratio
            );
        }
        table
    }

    fn rows(&self) -> impl Iterator<Item = (&Figure, &Measured)> {
        FIGURES.iter().filter_map(|figure| {
            Some((figure, self.measured.iter().find(|measured| measured.name == figure.name)?))
        })
    }

    fn json(&self) -> anyhow::Result<Value> {
        let ratios: BTreeMap<_, _> =
            self.measured.iter().map(|measured| (measured.name, measured.ratio)).collect();
        Ok(json!({
            "at": OffsetDateTime::now_utc().format(&Rfc3339)?,
            "machine": bench::machine(),
            "command": format!("./scripts/bench{}", options()),
            "others_share_of_cpu": self.others,
            "ratios": ratios,
            "measured": self.measured,
            "raw": self.raw,
        }))
    }

    /// Adds a sentence below the table.
    pub(crate) fn note(&mut self, sentence: String) {
        eprintln!("{sentence}");
        self.notes.push(sentence);
    }

    /// Writes the three files into `docs`. Replaces only the section "Measured" of bench.md.
    pub(crate) fn write(&self, docs: &Path) -> anyhow::Result<()> {
        write(docs, "bench.json", &(serde_json::to_string_pretty(&self.json()?)? + "\n"))?;
        write(docs, "bench.svg", &self.svg())?;
        let report = docs.join("bench.md");
        let present = std::fs::read_to_string(&report).unwrap_or_default();
        let (before, section) = present.split_once(HEADING).unwrap_or((&present, ""));
        let after = section.find("\n## ").map_or("", |at| &section[at..]);
        let before = before.trim_end();
        let date = OffsetDateTime::now_utc().date();
        let noise =
            if self.is_noisy() { " **The machine was too busy to trust these figures.**" } else { "" };
        let text = format!(
            "{before}\n\n{HEADING}\n\n{}, {date}; `./scripts/bench{}`. Other processes used at most {:.0} % of the CPU.{noise}\n\n\
             ![Each figure against its bound](bench.svg)\n\n{}\n{}\n{after}",
            bench::machine(),
            options(),
            100.0 * self.others,
            self.table(),
            self.notes.join(" ")
        );
        write(docs, "bench.md", &text)
    }

    /// A bar per figure: how far it is from its "must", on a logarithmic scale. Green bars meet it.
    fn svg(&self) -> String {
        const WIDTH: f64 = 900.0;
        const LEFT: f64 = 420.0;
        const ROW: f64 = 30.0;
        let mut bars = String::new();
        let mut y = 40.0;
        // A tenth of the must is at the left end, ten times the must at the right end.
        let x =
            |score: f64| LEFT + f64::midpoint(score.log10().clamp(-1.0, 1.0), 1.0) * (WIDTH - LEFT - 60.0);
        for (figure, measured) in self.rows() {
            let score = score(figure.must, measured.ratio);
            let color = if score >= 1.0 { "#2e7d32" } else { "#c62828" };
            let _ = write!(
                bars,
                r#"<text x="{}" y="{}" text-anchor="end">{}</text><rect x="{LEFT}" y="{y}" width="{:.0}" height="18" fill="{color}"/><text x="{:.0}" y="{}">{:.3}</text>"#,
                LEFT - 8.0,
                y + 14.0,
                figure.what,
                x(score) - LEFT,
                x(score) + 6.0,
                y + 14.0,
                measured.ratio
            );
            y += ROW;
        }
        let must = x(1.0);
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="#fff"/><line x1="{must:.0}" x2="{must:.0}" y1="30" y2="{y}" stroke="#555" stroke-dasharray="4 3"/><text x="{must:.0}" y="22" text-anchor="middle">must</text>{bars}</svg>
"##,
            height = y + 20.0
        )
    }
}

/// The options of this run as a user gives them to `./scripts/bench`, each after a space.
fn options() -> String {
    let given: Vec<String> = std::env::args().skip(1).map(|one| format!(" {one}")).collect();
    given.concat().replace(" --write docs", " --report")
}

/// The factor by which a ratio is better than its bound.
fn score(bound: Bound, ratio: f64) -> f64 {
    match bound {
        Bound::AtLeast(bound) => ratio / bound,
        Bound::AtMost(bound) => bound / ratio,
    }
}
