//! `SERVICE redrive`

use anyhow::Context as _;
use broker::{DeadLetterFilter, Redrive, Redriven, Report};
use clap::Args;
use time::OffsetDateTime;

use super::Cli;
use crate::service::Service;
use crate::{parts, settings};

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Only say which ones it would be
    #[arg(long)]
    dry_run: bool,
    /// Note them as done without handling them, for good: for those that can never be repaired. All that match the other
    /// options, or all there are
    #[arg(long, conflicts_with = "dry_run")]
    discard: bool,
    /// Only those of this topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Only those of this type, as order.placed.v1
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only those with this key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Only those that died in the last while, as 2h, or since a moment, as 2026-11-25T08:00:00Z
    #[arg(long, value_name = "DURATION|TIME", value_parser = settings::moment)]
    since: Option<OffsetDateTime>,
}

pub(super) async fn run<C: Args + Clone>(
    service: &Service<C>,
    cli: &Cli<C>,
    options: Options,
) -> anyhow::Result<()> {
    let (parts, outbox, broker) = parts::without_running(service, cli).await?;
    // What became of letters of a topic that is not followed any more can only be decided by hand.
    if let Some(topic) = options.topic.as_deref().filter(|_| !options.discard) {
        let followed = parts.subscriptions.iter().map(|subscription| subscription.topic().name);
        parts::expect_one_of(topic, "is not a topic that this service follows", followed)?;
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
    let tell = |report: Report| {
        found += 1;
        left += u32::from(report.result.is_dead());
        let line = line(&report);
        // A command that changes something finishes it, whether anybody reads on or not.
        if options.dry_run { program::print(line) } else { program::say(line) }
    };
    broker::redrive(&broker, &outbox, &parts.subscriptions, &wanted, action, tell)
        .await
        .context("what was told above is done; run it again for the rest")?;
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
        Redriven::Nothing => "nothing to do, its effect is there",
        Redriven::StillDead(_) => "still dead",
        Redriven::NoValue => "holds no value: let its owner republish, then discard it",
        Redriven::Missing => "is not in the dead letters' topic (any more, or yet)",
        Redriven::Discarded => "discarded",
    };
    let cause = match &report.result {
        Redriven::StillDead(cause) => cause,
        _ => &report.cause,
    };
    let event_type = report.event_type.as_deref().unwrap_or("-");
    format!("{topic}/{partition}@{offset} {} {result} ({})", escape::text(event_type), escape::text(cause))
}
