//! Parsers of the settings' values.

use std::str::FromStr;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    For(Duration),
    Forever,
}

impl Retention {
    /// The retention time; `None` for ever.
    pub fn time(self) -> Option<Duration> {
        match self {
            Self::For(time) => Some(time),
            Self::Forever => None,
        }
    }
}

/// The longest duration of a setting: a century from now is still a valid date and interval of Postgres.
pub const LONGEST: Duration = Duration::from_hours(24 * 365 * 100);

/// The shortest retention: with less, Kafka deletes events while a service restarts.
const SHORTEST_RETENTION: Duration = Duration::from_mins(1);

impl FromStr for Retention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "-1" {
            return Ok(Self::Forever);
        }
        match duration(text) {
            Ok(time) if (SHORTEST_RETENTION..=LONGEST).contains(&time) => Ok(Self::For(time)),
            Ok(_) => Err("must be at least 1m and at most 100 years, or -1 for ever".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Parses a duration such as `15m`, `2s`, `1h 30m`; for `value_parser`.
pub fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

/// Parses a time such as `2026-11-25T08:00:00Z`, or a duration before now such as `2h`; for `value_parser`.
pub fn moment(text: &str) -> Result<OffsetDateTime, String> {
    let ago = |ago: Duration| OffsetDateTime::now_utc().checked_sub(ago.try_into().ok()?);
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok();
    moment.or_else(|| duration(text).ok().and_then(ago)).ok_or_else(|| {
        "a duration such as 2h, or a time such as 2026-11-25T08:00:00Z, is expected".to_owned()
    })
}

/// Parses a number of replicas.
pub(super) fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=100).contains(count));
    count.ok_or_else(|| "a number from 1 to 100 is expected".to_owned())
}

/// Checks that Kafka accepts the text in the name of a topic.
pub(super) fn topic_prefix(text: &str) -> Result<String, String> {
    names(text, 100)
        .then(|| text.to_owned())
        .ok_or_else(|| "letters, digits, '.', '_' and '-' only".to_owned())
}

pub(super) fn instance(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && names(text, 64);
    good.then(|| text.to_owned()).ok_or_else(|| "1 to 64 letters, digits, '.', '_' and '-' only".to_owned())
}

fn names(text: &str, longest: usize) -> bool {
    text.len() <= longest && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Checks an http(s) URL, and removes slashes at its end.
pub(super) fn public_url(text: &str) -> Result<String, String> {
    let url = axum::http::Uri::from_str(text).ok();
    let good = url.is_some_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.query().is_none() && url.host().is_some()
    });
    let trimmed = || text.trim_end_matches('/').to_owned();
    good.then(trimmed).ok_or_else(|| "a URL such as https://shop.example is expected".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_a_duration_or_for_ever() {
        assert_eq!("30d".parse(), Ok(Retention::For(Duration::from_hours(720))));
        assert_eq!("-1".parse(), Ok(Retention::Forever));
        assert!("30".parse::<Retention>().is_err() && "-2".parse::<Retention>().is_err());
        assert!("30s".parse::<Retention>().is_err() && "1000y".parse::<Retention>().is_err());
    }

    #[test]
    fn a_moment_is_a_time_or_a_duration_before_now() {
        assert_eq!(moment("1970-01-01T00:00:00Z"), Ok(OffsetDateTime::UNIX_EPOCH));
        assert!(moment("2h").unwrap() < OffsetDateTime::now_utc());
        assert!(moment("soon").is_err() && moment("30000years").is_err());
    }

    #[test]
    fn names_and_urls_are_checked() {
        assert!(topic_prefix("").is_ok() && topic_prefix("blue.").is_ok() && topic_prefix("a b").is_err());
        assert!(instance("payment-2").is_ok() && instance("").is_err());
        assert_eq!(public_url("https://a.example/shop/").as_deref(), Ok("https://a.example/shop"));
        assert!(public_url("a.example").is_err() && public_url("ftp://a").is_err());
    }
}
