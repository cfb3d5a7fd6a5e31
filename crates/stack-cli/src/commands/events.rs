//! `events`: prints new records, one line per record. Assigns itself the partitions without joining a consumer group,
//! and so does not disturb the services.

use crate::local::Local;
use crate::screen::{Palette, complain, print};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use stack::kafka;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use time::macros::format_description;

/// The interval at which the command looks for new topics and partitions.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(3);
/// The maximum number of records that are sorted by time at once.
const SORT_LIMIT: usize = 2000;
/// The longest time for which records are collected before they are printed.
const SORT_TIME: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The topics to show (without the system's prefix); default: all.
    topics: Vec<String>,
    /// Show the records that are in the log already, too.
    #[arg(long)]
    from_beginning: bool,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let local = Local::load()?;
    local.require_running(&["kafka"])?;
    let palette = Palette::new(local.home.services()?);
    tokio::task::spawn_blocking(move || read(&local, &palette, &arguments)).await?
}

fn read(local: &Local, palette: &Palette, arguments: &Arguments) -> anyhow::Result<()> {
    let prefix = local.topic_prefix.as_str();
    let mut config = kafka::client(&local.brokers());
    // librdkafka requires a group.id; without subscriptions and commits, no group is created.
    config.set("group.id", format!("{prefix}events")).set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.set("auto.offset.reset", "earliest").create()?;
    let found = partitions(&consumer, local)?;
    if let Some(unknown) = arguments.topics.iter().find(|topic| !found.iter().any(|(name, _)| name == *topic))
    {
        let names: BTreeSet<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        anyhow::bail!(
            "there is no topic `{unknown}`; the topics are {}",
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
        // A topic or partition that appears later is shown from its first record on.
        from = Offset::Beginning;
        let until = Instant::now() + DISCOVERY_INTERVAL;
        while Instant::now() < until {
            show(&consumer, prefix, palette);
        }
    }
}

/// Prints the records that arrive until none is left, at most those of [`SORT_TIME`], sorted by time: the client returns one
/// partition after the other.
fn show(consumer: &BaseConsumer, prefix: &str, palette: &Palette) {
    let (mut lines, until) = (Vec::new(), Instant::now() + SORT_TIME);
    while lines.len() < SORT_LIMIT && Instant::now() < until {
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

/// Returns the partitions of the system's topics, with the topic's name without the prefix.
fn partitions(consumer: &BaseConsumer, local: &Local) -> anyhow::Result<Vec<(String, i32)>> {
    let metadata = consumer.fetch_metadata(None, TIMEOUT)?;
    let mut found = Vec::new();
    for topic in metadata.topics().iter().filter(|topic| !topic.name().starts_with("__")) {
        if let Some(name) = topic.name().strip_prefix(local.topic_prefix.as_str()) {
            found.extend(topic.partitions().iter().map(|partition| (name.to_owned(), partition.id())));
        }
    }
    Ok(found)
}

/// Formats a record: time, topic, partition, offset, key, type, data.
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

/// Formats a timestamp as a time of day in UTC: `14:03:07.123`.
fn clock(millis: Option<i64>) -> String {
    let moment = millis.and_then(|millis| {
        time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()
    });
    let format = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
    moment.and_then(|moment| moment.format(format).ok()).unwrap_or_else(|| "-".to_owned())
}
