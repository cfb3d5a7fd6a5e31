//! `SERVICE restored`

use std::fmt::Write as _;

use broker_ops::{Forwarded, RestoreOptions, RestoreStep};
use clap::Args;

use crate::parts::Wired;

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Print what the database lacks; everything is rolled back
    #[arg(long)]
    dry_run: bool,

    /// Also apply events that the database does not recognise as this service's own. A database recognises them by a key from
    /// its creation; a new database has another key, and an old copy may have none. Use this option only where nobody else
    /// can write to the topics of this service
    #[arg(long)]
    unverified: bool,
}

pub(super) async fn run(wired: Wired, options: Options) -> anyhow::Result<()> {
    let Wired { parts, outbox, settings } = wired;
    let (service, program) = (settings.service.clone(), settings.program.clone());
    let source = parts.history_source(settings, outbox);
    let Options { dry_run, unverified } = options;
    let restore = RestoreOptions { dry_run, unverified };
    let show = |step: RestoreStep| program::say(line(&step));
    broker_ops::restore(&source, &parts.compacted, restore, show).await?;
    if dry_run {
        let again = if unverified { " --unverified" } else { "" };
        program::say(format_args!("Nothing was changed. To repair the database: {program} restored{again}"));
    } else {
        program::say(format_args!(
            "The database is repaired. Start {service}: its positions are older, so it reads some records again; those that \
             were applied before change nothing."
        ));
    }
    Ok(())
}

fn line(step: &RestoreStep) -> String {
    match step {
        RestoreStep::Reading { topic, records } => format!("{}: {records} records read", topic.name),
        RestoreStep::Forwarded(forwarded) => lacked(forwarded),
        RestoreStep::Outbox { published, waiting } => {
            format!("outbox: {published} events were published before, {waiting} wait for the relay")
        }
        RestoreStep::Raised(generation) => {
            format!(
                "the generation is {generation} now: readers treat all later events as newer than all earlier ones"
            )
        }
        RestoreStep::Republished { topic, keys } => {
            format!("{}: the state of {keys} keys ({}) will be published again", topic.name, topic.key)
        }
    }
}

fn lacked(forwarded: &Forwarded) -> String {
    let Forwarded { topic, records, lacked, refused, foreign } = forwarded;
    let total: u64 = lacked.values().sum();
    let mut text = format!("{}: of {records} events the database lacked {total}", topic.name);
    for (event_type, count) in lacked {
        let _ = write!(text, "\n    {count} {}", escape::text(event_type));
    }
    for (cause, count) in refused {
        let _ = write!(text, "\n    {count} could not be applied: {}", escape::text(cause));
    }
    if *foreign > 0 {
        let _ = write!(
            text,
            "\n    {foreign} records left out: the database does not recognise them as its own events"
        );
    }
    text
}
