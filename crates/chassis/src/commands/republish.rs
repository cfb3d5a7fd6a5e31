//! `SERVICE republish`

use clap::Args;

use super::Cli;
use crate::parts;
use crate::service::Service;

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// The topic, without `TOPIC_PREFIX`
    topic: String,
}

pub(super) async fn run<C: Args + Clone>(
    service: &Service<C>,
    cli: &Cli<C>,
    options: Options,
) -> anyhow::Result<()> {
    let (parts, outbox, _) = parts::without_running(service, cli).await?;
    let owned = parts.compacted.iter().map(|owner| owner.topic().name);
    parts::expect_one_of(&options.topic, "is not a compacted topic that this service owns", owned)?;
    for owner in parts.compacted.iter().filter(|owner| owner.topic().name == options.topic) {
        let topic = &options.topic;
        broker::republish_all(&outbox, owner.as_ref(), |key| {
            program::say(format_args!("{topic}: up to {key}"));
        })
        .await?;
        program::say(format_args!("{topic}: all appended; a running {} publishes them", service.name));
    }
    Ok(())
}
