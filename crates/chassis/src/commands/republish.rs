//! `SERVICE republish`

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use broker::{Compacted, Outbox};
use broker_ops::{History, Republished, Selection};
use clap::Args;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::parts::{self, Wired};
use crate::settings;

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// The topic, without `TOPIC_PREFIX`
    topic: String,
    /// Only this key; may be given several times
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// Only aggregates that were created or changed in the last 2h (any duration), or since a time such as
    /// 2026-11-25T08:00:00Z. Not for compacted topics
    #[arg(long, value_name = "DURATION|TIME", value_parser = settings::moment, conflicts_with = "keys")]
    since: Option<OffsetDateTime>,
    /// Only aggregates without a final state, such as orders without an answer. Not for compacted topics
    #[arg(long, conflicts_with_all = ["keys", "since"])]
    unfinished: bool,
    /// Print the events without publishing them
    #[arg(long)]
    dry_run: bool,
}

impl Options {
    /// Returns the selection; `None` when no option selects anything.
    fn selection(&self) -> Option<Selection> {
        match (self.since, self.unfinished) {
            (Some(since), _) => Some(Selection::Since(since)),
            (None, true) => Some(Selection::Unfinished),
            (None, false) if self.keys.is_empty() => None,
            (None, false) => Some(Selection::Keys(self.keys.iter().cloned().collect())),
        }
    }
}

pub(super) async fn run(wired: Wired, options: &Options) -> anyhow::Result<()> {
    let Wired { parts, outbox, settings } = wired;
    let owned = parts.histories.iter().map(History::topic);
    let owned = owned.chain(parts.compacted.iter().map(|owner| owner.topic())).map(|topic| topic.name);
    parts::expect_one_of(&options.topic, "is not a topic that this service owns", owned)?;
    for owner in parts.compacted.iter().filter(|owner| owner.topic().name == options.topic) {
        state(owner.as_ref(), &outbox, options, &settings.service).await?;
    }
    for history in parts.histories.iter().filter(|history| history.topic().name == options.topic) {
        events(history, &outbox, options, &settings.service).await?;
    }
    Ok(())
}

/// Publishes the state of a compacted topic again.
async fn state(
    owner: &dyn Compacted,
    outbox: &Outbox,
    options: &Options,
    service: &str,
) -> anyhow::Result<()> {
    let Options { topic, dry_run, .. } = options;
    match options.selection() {
        None if *dry_run => {
            program::print(format_args!("{topic}: the current state of all keys; nothing was changed"));
        }
        None => {
            broker_ops::republish_all(outbox, owner, |key| {
                program::say(format_args!("{topic}: up to {key}"));
            })
            .await?;
            program::say(format_args!("{topic}: all appended; a running {service} publishes them"));
        }
        Some(Selection::Keys(keys)) => {
            let unknown = broker_ops::republish_keys(outbox, owner, &keys, *dry_run).await?;
            for key in keys.iter().filter(|key| !unknown.contains(&key.as_str())) {
                super::report(*dry_run, format_args!("{topic} {}: the current state", escape::text(key)));
            }
            summarize(keys.len() - unknown.len(), options, service);
            refuse_unknown(topic, &unknown)?;
        }
        Some(Selection::Since(_) | Selection::Unfinished) => bail!(
            "{topic} is compacted: use --key KEY (may be repeated), or no option for the current state of all keys; \
             --since and --unfinished are for the other topics"
        ),
    }
    Ok(())
}

/// Publishes the events of the selected aggregates again.
async fn events(history: &History, outbox: &Outbox, options: &Options, service: &str) -> anyhow::Result<()> {
    let Options { topic, dry_run, .. } = options;
    let Some(selection) = options.selection() else {
        bail!(
            "choose the events of {topic} to publish again: --key KEY (may be repeated), --since DURATION|TIME (created or \
             changed since), or --unfinished (without a final state); --dry-run shows them"
        );
    };
    let mut unknown = match &selection {
        Selection::Keys(keys) => keys.clone(),
        Selection::Since(_) | Selection::Unfinished => BTreeSet::new(),
    };
    let (mut count, mut gaps) = (0, 0);
    let report = |republished: Republished| {
        count += usize::from(!republished.events.is_empty());
        gaps += republished.missing.len();
        unknown.retain(|key| !key.eq_ignore_ascii_case(&republished.key));
        super::report(*dry_run, line(topic, &republished));
    };
    broker_ops::republish_history(outbox, history, &selection, *dry_run, report).await?;
    if gaps > 0 {
        program::say(format_args!(
            "{gaps} of the events cannot be rebuilt, because the rows no longer hold their data. A reader that has not applied \
             one of them counts a gap"
        ));
    }
    summarize(count, options, service);
    refuse_unknown(topic, &unknown.iter().map(String::as_str).collect::<Vec<_>>())
}

/// `orders 0198…: 1 order.placed.v1, 2 order.confirmed.v1`
fn line(topic: &str, republished: &Republished) -> String {
    let Republished { key, events, missing, too_old } = republished;
    if let Some(at) = too_old.and_then(|at| at.format(&Rfc3339).ok()) {
        return format!(
            "{topic} {key}: nothing, because its last event of {at} is older than TOPIC_RETENTION: readers may no longer \
             recognise it as a repetition. With --key it is published all the same"
        );
    }
    let rebuilt = events.iter().map(|(sequence, event_type)| (sequence.number(), event_type.as_str()));
    let missing = missing.iter().map(|sequence| (sequence.number(), "cannot be rebuilt"));
    let events: BTreeMap<u64, &str> = rebuilt.chain(missing).collect();
    let events: Vec<String> = events.iter().map(|(number, what)| format!("{number} {what}")).collect();
    format!("{topic} {key}: {}", events.join(", "))
}

fn summarize(count: usize, options: &Options, service: &str) {
    let Options { topic, dry_run, .. } = options;
    let keys = if count == 1 { "key" } else { "keys" };
    match (count, dry_run) {
        (0, _) => program::say(format_args!("{topic}: nothing to publish")),
        (_, true) => program::say(format_args!("{topic}: {count} {keys}; nothing was changed")),
        (_, false) => {
            program::say(format_args!(
                "{topic}: {count} {keys} appended; a running {service} publishes them"
            ));
        }
    }
}

fn refuse_unknown(topic: &str, unknown: &[&str]) -> anyhow::Result<()> {
    if unknown.is_empty() {
        return Ok(());
    }
    let unknown: Vec<String> = unknown.iter().map(|key| escape::text(key).to_string()).collect();
    bail!("this service has no rows for these keys of {topic}: {}", unknown.join(", "))
}
