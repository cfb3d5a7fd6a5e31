//! `SERVICE reconcile`

use std::time::Duration;

use anyhow::{Context as _, bail};
use broker_ops::{Answer, Finding, Place};
use clap::Args;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::parts::Wired;
use crate::settings::{self, Common};

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Print the findings without applying anything
    #[arg(long)]
    dry_run: bool,
    /// Only aggregates that have waited unchanged for this long, such as 10m: events of younger ones may be on their way
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = settings::duration)]
    older_than: Duration,
}

pub(super) async fn run(wired: Wired, common: &Common, options: Options) -> anyhow::Result<()> {
    let Wired { parts, outbox, settings } = wired;
    let Options { dry_run, older_than } = options;
    let unchanged_since = OffsetDateTime::now_utc()
        .checked_sub(older_than.try_into().context("--older-than")?)
        .context("--older-than lies before the beginning of time")?;
    let (mut found, mut left) = (0, 0);
    let report = |finding: Finding| {
        found += 1;
        left += u32::from(finding.is_open());
        for line in lines(&finding, &settings.service, common) {
            super::report(dry_run, line);
        }
    };
    broker_ops::reconcile(
        &settings,
        &outbox,
        &parts.subscriptions,
        &parts.waits,
        unchanged_since,
        dry_run,
        report,
    )
    .await
    .context("the lines above are done; run the command again for the rest")?;
    if found == 0 {
        program::say(format_args!("nothing has waited for {}", humantime::format_duration(older_than)));
    } else {
        program::say(format_args!("{found} waited, {left} still do"));
    }
    if left > 0 {
        bail!("{left} still wait; the lines above name the missing events and the commands that help");
    }
    Ok(())
}

/// Returns one line for each record that was found for an aggregate, or one that names the command that publishes it again.
fn lines(finding: &Finding, service: &str, common: &Common) -> Vec<String> {
    let Finding { topic, asks, key, since, answers } = finding;
    let since = since.replace_nanosecond(0).unwrap_or(*since).format(&Rfc3339).unwrap_or_default();
    let republish =
        |owner: &str, topic: &str| format!("{} republish {topic} --key {key}", common.program(owner));
    let place = |Place { partition, offset, event_type }: &Place| {
        format!("{}/{partition}@{offset} {}", topic.name, escape::text(event_type))
    };
    let line = |answer: &Answer| {
        let what = match answer {
            Answer::Found(at) => format!("{}, not applied: run reconcile without --dry-run", place(at)),
            Answer::Applied(at) => format!("{}, applied now", place(at)),
            Answer::Unread(at) => {
                format!("{}, not read yet: see the lag and the alarms of {service}", place(at))
            }
            Answer::Refused(at, cause) => {
                format!("{}, cannot be applied: {}", place(at), escape::text(cause))
            }
            Answer::Nothing => {
                let again = republish(topic.owner, topic.name);
                let asked = asks.map(|asks| {
                    format!(
                        "; if {} does not know the key, run: {}",
                        topic.owner,
                        republish(service, asks.name)
                    )
                });
                format!("no such event on {}. Run: {again}{}", topic.name, asked.unwrap_or_default())
            }
        };
        format!("{key} waits for {} since {since}: {what}", topic.name)
    };
    answers.iter().map(line).collect()
}
