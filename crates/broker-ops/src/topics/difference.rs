//! A setting that the cluster does not apply, and the promise that therefore does not hold.

use std::fmt;

use broker::maintenance::Replicas;

use super::cluster::Present;
use super::spec::{Bound, Spec, Wanted, value};

/// A setting of a topic that differs from the wanted one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The promise that does not hold.
    pub promise: &'static str,
    /// The topic's full name.
    pub topic: String,
    /// The setting that differs.
    pub reason: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, topic, reason } = self;
        write!(formatter, "{promise}: not on this cluster, topic {topic}: {reason}")
    }
}

pub(super) fn all(specs: &[Spec], present: &[Present], replicas: &Replicas) -> Vec<Difference> {
    let of_topic = |(spec, present): (&Spec, &Present)| {
        let mut found = of_settings(spec, present);
        let replicas = replicas.get(&spec.name).copied().unwrap_or_default().to_string();
        if !keeps(&spec.replication, &replicas) {
            let mut difference = of(spec, &spec.replication, &replicas);
            difference.reason.push_str(", which ./scripts/kafka reassign-partitions changes");
            found.push(difference);
        }
        found
    };
    specs.iter().zip(present).flat_map(of_topic).collect()
}

fn of_settings(spec: &Spec, present: &Present) -> Vec<Difference> {
    let Present::Readable(entries) = present else {
        let reason = "its settings cannot be checked, because the ACLs forbid to read them (DescribeConfigs)";
        let difference = |wanted: &Wanted| Difference {
            promise: wanted.promise,
            topic: spec.name.clone(),
            reason: reason.to_owned(),
        };
        let mut found: Vec<_> = spec.settings.iter().map(difference).collect();
        found.sort();
        found.dedup();
        return found;
    };
    let compare = |wanted: &Wanted| match value(entries, wanted.name) {
        Some(present) => (!keeps(wanted, present)).then(|| of(spec, wanted, present)),
        None => wanted.is_created.then(|| of(spec, wanted, "not shown")),
    };
    spec.settings.iter().filter_map(compare).collect()
}

fn of(spec: &Spec, wanted: &Wanted, present: &str) -> Difference {
    let bound = match wanted.bound {
        Bound::Exactly => "",
        Bound::AtMost => "at most ",
        Bound::AtLeast => "at least ",
    };
    let reason = format!("{} is {present} instead of {bound}{}", wanted.name, wanted.value);
    Difference { promise: wanted.promise, topic: spec.name.clone(), reason }
}

/// Returns whether the promise holds with the value that the topic has.
fn keeps(wanted: &Wanted, present: &str) -> bool {
    let (Ok(limit), Ok(found)) = (wanted.value.parse::<i128>(), present.parse::<i128>()) else {
        return present == wanted.value;
    };
    match wanted.bound {
        Bound::Exactly => found == limit,
        Bound::AtMost => found <= limit,
        Bound::AtLeast => found >= limit,
    }
}
