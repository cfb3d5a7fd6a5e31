//! Merges the lines of several logs in the order in which they were written. A pretty line has a time of day but no
//! date. The dates are therefore derived backwards from the last line, whose date is the file's modification time.

use serde_json::Value;
use std::collections::BTreeMap;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, Time};

/// The maximum by which a line's time may exceed that of the next line. Threads of one process may write their lines in
/// another order than they read the clock.
const REORDERING: Duration = Duration::SECOND;

/// Returns the lines (name of the log, line) of all logs, merged. A line without a time follows the line before it.
/// `changed` returns the modification time of a log's file.
pub(crate) fn in_order(
    lines: Vec<(String, String)>,
    changed: impl Fn(&str) -> OffsetDateTime,
) -> Vec<(String, String)> {
    let mut later = BTreeMap::new();
    let mut dated: Vec<_> = lines
        .into_iter()
        .rev()
        .map(|(name, line)| {
            let later = later.entry(name.clone()).or_insert_with(|| changed(&name));
            let moment = moment(&line, *later);
            *later = moment.unwrap_or(*later);
            (moment, name, line)
        })
        .collect();
    dated.reverse();
    let mut before = BTreeMap::new();
    for (moment, name, _) in &mut dated {
        let before = before.entry(name.clone()).or_insert(*moment);
        *before = moment.or(*before);
        *moment = *before;
    }
    dated.sort_by_key(|(moment, ..)| *moment);
    dated.into_iter().map(|(_, name, line)| (name, line)).collect()
}

/// Returns the time at which a line was written, given that the next line was written at `later`.
fn moment(line: &str, later: OffsetDateTime) -> Option<OffsetDateTime> {
    if line.starts_with('{') {
        let fields: Value = serde_json::from_str(line).ok()?;
        return OffsetDateTime::parse(fields["timestamp"].as_str()?, &Rfc3339).ok();
    }
    let clock = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
    let time = Time::parse(line.split(' ').next()?, clock).ok()?;
    let days = [later + Duration::DAY, later, later - Duration::DAY];
    days.map(|day| day.replace_time(time)).into_iter().find(|moment| *moment <= later + REORDERING)
}

#[cfg(test)]
mod tests {
    use super::in_order;
    use time::macros::datetime;

    fn merged(lines: &[(&str, &str)]) -> Vec<String> {
        let lines = lines.iter().map(|(name, line)| ((*name).to_owned(), (*line).to_owned())).collect();
        let changed = |name: &str| match name {
            "order" => datetime!(2026-11-29 00:00:03 UTC),
            _ => datetime!(2026-11-28 23:59:58 UTC),
        };
        in_order(lines, changed).into_iter().map(|(_, line)| line).collect()
    }

    #[test]
    fn lines_before_and_after_midnight_are_ordered_by_date() {
        let lines = [
            ("order", "23:59:57.000 one"),
            ("order", "23:59:59.000 three"),
            ("order", "00:00:00.001 four"),
            ("order", "  its second line"),
            ("order", "23:59:59.999 four, from another thread"),
            ("order", "00:00:02.000 five"),
            ("payment", "00:00:01.000 zero, a day before"),
            ("payment", "23:59:58.000 two"),
        ];
        let expected = [
            "00:00:01.000 zero, a day before",
            "23:59:57.000 one",
            "23:59:58.000 two",
            "23:59:59.000 three",
            "23:59:59.999 four, from another thread",
            "00:00:00.001 four",
            "  its second line",
            "00:00:02.000 five",
        ];
        assert_eq!(merged(&lines), expected);
    }

    #[test]
    fn json_lines_are_ordered_by_their_timestamps() {
        let line = |time: &str| format!(r#"{{"level":"INFO","timestamp":"{time}"}}"#);
        let (first, second) = (line("2026-11-28T23:00:00Z"), line("2026-11-29T01:00:00Z"));
        assert_eq!(merged(&[("order", &second), ("payment", &first)]), [first.clone(), second.clone()]);
    }
}
