//! `events`: the log as it grows, a line a record. Reads without a group, so it takes nothing from anybody.

use crate::local::Local;
use crate::screen::{Palette, complain, print};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use stack::{Home, kafka};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use time::macros::format_description;

/// How often new topics and partitions are looked for.
const LOOK_AROUND: Duration = Duration::from_secs(3);
/// So many records are put in order of time.
const AT_ONCE: usize = 2000;
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only these topics (without the system's prefix); otherwise all.
    topics: Vec<String>,
    /// Not only what comes now: all that the log holds.
    #[arg(long)]
    from_beginning: bool,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let home = Home::find()?;
    let local = Local::load(&home)?;
    local.require_running(&home, &["kafka"])?;
    let palette = Palette::new(home.services()?);
    tokio::task::spawn_blocking(move || read(&local, &palette, &arguments)).await?
}

fn read(local: &Local, palette: &Palette, arguments: &Arguments) -> anyhow::Result<()> {
    let prefix = local.topic_prefix.as_str();
    let mut config = kafka::client(&local.brokers());
    // The client wants a name; without commits no group comes of it.
    config.set("group.id", format!("{prefix}events")).set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.set("auto.offset.reset", "earliest").create()?;
    let there = partitions(&consumer, local)?;
    if let Some(unknown) = arguments.topics.iter().find(|topic| !there.iter().any(|(name, _)| name == *topic))
    {
        let names: BTreeSet<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
        anyhow::bail!(
            "there is no topic `{unknown}`; there are {}",
            names.into_iter().collect::<Vec<_>>().join(", ")
        );
    }
    let mut read = BTreeSet::new();
    let mut from = if arguments.from_beginning { Offset::Beginning } else { Offset::End };
    loop {
        let wanted =
            |(name, _): &(String, i32)| arguments.topics.is_empty() || arguments.topics.contains(name);
        let new: Vec<_> = partitions(&consumer, local)?
            .into_iter()
            .filter(wanted)
            .filter(|one| !read.contains(one))
            .collect();
        let mut more = TopicPartitionList::new();
        for (name, partition) in &new {
            more.add_partition_offset(&format!("{prefix}{name}"), *partition, from)?;
        }
        consumer.incremental_assign(&more)?;
        read.extend(new);
        // What appears later is new from its first record on.
        from = Offset::Beginning;
        let until = Instant::now() + LOOK_AROUND;
        while Instant::now() < until {
            show(&consumer, prefix, palette);
        }
    }
}

/// What is there at the moment, in order of time: Kafka hands over one partition after the other.
fn show(consumer: &BaseConsumer, prefix: &str, palette: &Palette) {
    let mut lines = Vec::new();
    while lines.len() < AT_ONCE {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                lines.push((message.timestamp().to_millis(), line(&message, prefix, palette)));
            }
            Some(Err(error)) => complain(format_args!("Kafka: {error}")),
            None => break,
        }
    }
    lines.sort_by_key(|(time, _)| *time);
    for (_, line) in lines {
        print(line);
    }
}

/// The system's topics, without its prefix, and their partitions.
fn partitions(consumer: &BaseConsumer, local: &Local) -> anyhow::Result<Vec<(String, i32)>> {
    let metadata = consumer.fetch_metadata(None, PATIENCE)?;
    let mut found = Vec::new();
    for topic in metadata.topics().iter().filter(|topic| !topic.name().starts_with("__")) {
        if let Some(name) = topic.name().strip_prefix(local.topic_prefix.as_str()) {
            found.extend(topic.partitions().iter().map(|partition| (name.to_owned(), partition.id())));
        }
    }
    Ok(found)
}

/// Time, topic, partition, offset, key, type, data.
fn line(message: &BorrowedMessage<'_>, prefix: &str, palette: &Palette) -> String {
    let source = header(message, "ce_source").unwrap_or_default();
    let kind = header(message, "ce_type").unwrap_or_else(|| "-".to_owned());
    let topic = message.topic().strip_prefix(prefix).unwrap_or(message.topic());
    let text = format!(
        "{} {topic:<13} {:>2} {:>6} {} {kind:<22} {}",
        clock(message.timestamp().to_millis()),
        message.partition(),
        message.offset(),
        message.key().map_or_else(|| "-".to_owned(), readable),
        message.payload().map_or_else(|| "(tombstone)".to_owned(), readable),
    );
    palette.paint(source.trim_start_matches('/'), text)
}

fn header(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    let headers = message.headers()?;
    headers.iter().find(|header| header.key == name)?.value.map(readable)
}

fn readable(bytes: &[u8]) -> String {
    escape::text(&String::from_utf8_lossy(bytes)).into_owned()
}

/// `14:03:07.123`, UTC as everywhere in the system.
fn clock(millis: Option<i64>) -> String {
    let moment = millis.and_then(|millis| {
        time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()
    });
    let format = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
    moment.and_then(|moment| moment.format(format).ok()).unwrap_or_else(|| "-".to_owned())
}
