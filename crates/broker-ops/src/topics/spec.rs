//! The settings that each topic should have, and the promise that depends on each.

use std::fmt::Write as _;
use std::time::Duration;

use broker::maintenance::Replicas;
use broker::{MAX_DEAD_LETTER_BYTES, MAX_RECORD_BYTES, Settings};
use envelope::{Cleanup, Topic};
use rdkafka::admin::ConfigEntry;

const DAY: Duration = Duration::from_hours(24);

const DURABLE: &str = "an acknowledged event survives the loss of a broker";
const ERASURE: &str = "erasure within three days";
const KEPT: &str = "events are kept for TOPIC_RETENTION, and no longer";
const LETTERS_KEPT: &str = "dead letters are kept for 30 days";
const SIZE: &str = "events of up to 1 MiB can be published";
const STATE_KEPT: &str = "the last state of each key is kept";
const TIMESTAMPS: &str = "a publisher's wrong clock does not change how long events are kept";
const TOMBSTONES: &str = "a reader that was away for 30 days still sees deletions";

const MIN_INSYNC: &str = "min.insync.replicas";

/// The values of a setting that keep the promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Exactly,
    AtMost,
    AtLeast,
}

/// A setting of a topic.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) bound: Bound,
    /// The promise that does not hold with another value.
    pub(super) promise: &'static str,
    /// Whether the setting is given when the topic is created; otherwise only a wrong default of the cluster is corrected.
    pub(super) is_created: bool,
}

impl Wanted {
    #[expect(clippy::needless_pass_by_value, reason = "numbers and literals")]
    fn new(name: &'static str, bound: Bound, value: impl ToString, promise: &'static str) -> Self {
        Self { name, value: value.to_string(), bound, promise, is_created: true }
    }

    /// Returns whether the setting has exactly this value.
    pub(super) fn is_exactly(&self, entries: &[ConfigEntry]) -> bool {
        value(entries, self.name).map_or(!self.is_created, |found| found == self.value)
    }
}

/// The full name of a topic, its replicas and its settings.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) name: String,
    pub(super) replication: Wanted,
    pub(super) settings: Vec<Wanted>,
}

impl Spec {
    /// Returns the specs of `topics` and of the service's topic of dead letters.
    pub(super) fn all(settings: &Settings, topics: &[Topic], replication: usize) -> Vec<Self> {
        let all = topics.iter().map(|topic| Self::of(settings, *topic, replication));
        all.chain([Self::of_dead_letters(settings, replication)]).collect()
    }

    fn of(settings: &Settings, topic: Topic, replication: usize) -> Self {
        use Bound::{AtLeast, AtMost, Exactly};
        let mut wanted = match topic.cleanup {
            Cleanup::Delete => {
                let mut wanted = vec![Wanted::new("cleanup.policy", Exactly, "delete", KEPT)];
                wanted.extend(retention(settings.retention, KEPT));
                wanted
            }
            Cleanup::Compact => vec![
                Wanted::new("cleanup.policy", Exactly, "compact", STATE_KEPT),
                Wanted::new("delete.retention.ms", AtLeast, (30 * DAY).as_millis(), TOMBSTONES),
            ],
        };
        if topic.personal {
            // The open segment is never compacted, so it must not stay open long.
            wanted.push(Wanted::new("max.compaction.lag.ms", AtMost, DAY.as_millis(), ERASURE));
            wanted.push(Wanted::new("segment.ms", AtMost, DAY.as_millis(), ERASURE));
        }
        wanted.push(Wanted::new("max.message.bytes", AtLeast, MAX_RECORD_BYTES, SIZE));
        Self::with(settings, topic.name, replication, wanted)
    }

    fn of_dead_letters(settings: &Settings, replication: usize) -> Self {
        let mut wanted = vec![
            Wanted::new("cleanup.policy", Bound::Exactly, "delete", LETTERS_KEPT),
            Wanted::new("max.message.bytes", Bound::AtLeast, MAX_DEAD_LETTER_BYTES, SIZE),
        ];
        wanted.extend(retention(Some(30 * DAY), LETTERS_KEPT));
        Self::with(settings, &settings.dead_letter_topic(), replication, wanted)
    }

    fn with(settings: &Settings, name: &str, replication: usize, mut wanted: Vec<Wanted>) -> Self {
        wanted.push(Wanted::new("message.timestamp.type", Bound::Exactly, "LogAppendTime", TIMESTAMPS));
        wanted.push(Wanted::new(MIN_INSYNC, Bound::AtLeast, min_insync(settings, replication), DURABLE));
        // Kafka's default, which some clusters do not allow to set.
        let unclean = Wanted::new("unclean.leader.election.enable", Bound::Exactly, "false", DURABLE);
        wanted.push(Wanted { is_created: false, ..unclean });
        let replication = Wanted::new("the number of replicas", Bound::AtLeast, replication, DURABLE);
        Self { name: settings.topic_name(name), replication, settings: wanted }
    }

    /// Lowers `min.insync.replicas` for a topic with fewer replicas than wanted, because it would refuse every record.
    pub(super) fn fit(&mut self, settings: &Settings, replicas: &Replicas) {
        let wanted = self.settings.iter_mut().find(|wanted| wanted.name == MIN_INSYNC);
        if let (Some(replicas), Some(wanted)) = (replicas.get(&self.name), wanted) {
            wanted.value = min_insync(settings, *replicas).to_string();
        }
    }

    /// Returns the topic as a manifest of Strimzi (`KafkaTopic`), for clusters whose topics another tool creates
    /// (`TOPICS=verify`).
    pub(super) fn manifest(&self, partitions: i32) -> String {
        // Kubernetes allows lower-case letters, digits, `-` and `.` in a name. A value in quotes is a string in YAML too.
        let Self { name, replication, settings } = self;
        let mut text = format!(
            "---\n\
             apiVersion: kafka.strimzi.io/v1\n\
             kind: KafkaTopic\n\
             metadata:\n  \
               name: {}\n  \
               labels: {{strimzi.io/cluster: my-cluster}}\n\
             spec:\n  \
               topicName: {name}\n  \
               partitions: {partitions}\n  \
               replicas: {}\n  \
               config:\n",
            name.to_lowercase().replace('_', "-"),
            replication.value,
        );
        for wanted in settings {
            let _ = writeln!(text, "    {}: \"{}\"", wanted.name, wanted.value);
        }
        text
    }
}

pub(super) fn value<'a>(entries: &'a [ConfigEntry], name: &str) -> Option<&'a str> {
    entries.iter().find(|entry| entry.name == name)?.value.as_deref()
}

fn min_insync(settings: &Settings, replicas: usize) -> usize {
    let usual = if replicas >= 3 { 2 } else { 1 };
    settings.min_insync_replicas.unwrap_or(usual).clamp(1, replicas.max(1))
}

/// Retention by time only: without a limit of the size, which the cluster may set by default.
fn retention(keep: Option<Duration>, promise: &'static str) -> [Wanted; 2] {
    let time = keep.map_or_else(|| "-1".to_owned(), |time| time.as_millis().to_string());
    [
        Wanted::new("retention.ms", Bound::Exactly, time, promise),
        Wanted::new("retention.bytes", Bound::Exactly, -1, promise),
    ]
}
