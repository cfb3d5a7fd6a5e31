//! `SERVICE rewind`

use broker_ops::RewindTo;
use clap::Args;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::parts::Wired;

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// The topic, without `TOPIC_PREFIX`
    topic: String,
    /// `beginning`, `end`, an offset, or a time such as 2026-11-25T08:00:00Z
    #[arg(long, value_name = "WHERE", value_parser = target)]
    to: RewindTo,
    /// Only this partition
    #[arg(long, value_name = "NUMBER")]
    partition: Option<i32>,
}

fn target(text: &str) -> Result<RewindTo, String> {
    let offset = |text: &str| text.parse().ok().filter(|offset| *offset >= 0).map(RewindTo::Offset);
    let time = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok().map(RewindTo::Time);
    match text {
        "beginning" => Ok(RewindTo::Beginning),
        "end" => Ok(RewindTo::End),
        text => offset(text).or_else(|| time(text)).ok_or_else(|| {
            "beginning, end, an offset or a time such as 2026-11-25T08:00:00Z is expected".to_owned()
        }),
    }
}

pub(super) async fn run(wired: Wired, options: &Options) -> anyhow::Result<()> {
    let Wired { parts, outbox, settings } = wired;
    parts.expect_consumed(&options.topic)?;
    let place = |offset: i64| if offset < 0 { "beginning".to_owned() } else { offset.to_string() };
    let Options { topic, to, partition } = options;
    for moved in broker_ops::rewind(&settings, outbox.pool(), topic, *partition, *to).await? {
        let (from, to) = (place(moved.from), place(moved.to));
        program::say(format_args!("{topic}/{} {from} -> {to}", moved.partition));
    }
    Ok(())
}
