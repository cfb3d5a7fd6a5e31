//! `SERVICE redrive`

use anyhow::Context as _;
use broker_ops::{DeadLetterFilter, Redrive, Redriven, Report};
use clap::Args;
use time::OffsetDateTime;

use crate::parts::Wired;
use crate::settings;

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// List the dead letters without handling them
    #[arg(long)]
    dry_run: bool,
    /// Mark dead letters as done for good, without handling them: all that match the other options, or all. For records that
    /// can never be repaired
    #[arg(long, conflicts_with = "dry_run")]
    discard: bool,
    /// Only dead letters of this topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Only dead letters of this type, such as order.placed.v1
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only dead letters with this key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Only dead letters of the last 2h (any duration), or since a time such as 2026-11-25T08:00:00Z
    #[arg(long, value_name = "DURATION|TIME", value_parser = settings::moment)]
    since: Option<OffsetDateTime>,
}

pub(super) async fn run(wired: Wired, options: Options) -> anyhow::Result<()> {
    let Wired { parts, outbox, settings } = wired;
    // Dead letters of a topic that the service no longer consumes can still be discarded.
    if let Some(topic) = options.topic.as_deref().filter(|_| !options.discard) {
        parts.expect_consumed(topic)?;
    }
    let wanted = DeadLetterFilter {
        topic: options.topic,
        event_type: options.event_type,
        key: options.key,
        since: options.since,
    };
    let action = match (options.dry_run, options.discard) {
        (true, _) => Redrive::DryRun,
        (_, true) => Redrive::Discard,
        _ => Redrive::Handle,
    };
    let (mut found, mut left) = (0, 0);
    let report = |report: Report| {
        found += 1;
        left += u32::from(report.result.is_dead());
        super::report(options.dry_run, line(&report));
    };
    broker_ops::redrive(&settings, &outbox, &parts.subscriptions, &wanted, action, report)
        .await
        .context("the lines above are done; run the command again for the rest")?;
    let letters = if found == 1 { "dead letter" } else { "dead letters" };
    match (found, action) {
        (0, _) => program::say("no dead letters"),
        (_, Redrive::DryRun) => program::say(format_args!("{found} {letters}; nothing was changed")),
        (_, Redrive::Discard) => program::say(format_args!("{found} {letters} discarded")),
        (_, Redrive::Handle) => program::say(format_args!("{found} {letters} handled, {left} still dead")),
    }
    Ok(())
}

fn line(report: &Report) -> String {
    let (topic, partition, offset) = &report.origin;
    let result = match &report.result {
        Redriven::Found => "would be tried",
        Redriven::Applied => "applied",
        Redriven::Nothing => "was applied before",
        Redriven::StillDead(_) => "still dead",
        Redriven::NoValue => "has no value: republish it with its owner, then discard it",
        Redriven::Missing => "is not in the dead-letter topic: not published yet, or deleted by retention",
        Redriven::Discarded => "discarded",
    };
    let cause = match &report.result {
        Redriven::StillDead(cause) => cause,
        _ => &report.cause,
    };
    let event_type = report.event_type.as_deref().unwrap_or("-");
    format!("{topic}/{partition}@{offset} {} {result} ({})", escape::text(event_type), escape::text(cause))
}
