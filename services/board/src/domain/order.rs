//! The stations of an order, each reached by an event: what a customer sees happen.

use std::sync::Arc;

use serde::Serialize;

use super::event::Event;

/// A station of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Station {
    pub name: &'static str,
    /// The service that decides it.
    pub service: &'static str,
    /// `waiting`, `done`, `refused`, or `skipped`: the order is cancelled before.
    pub state: &'static str,
    /// The outcome, as the event's type says it.
    pub outcome: String,
    /// Where the event stands: `payments[3]@17`.
    pub place: String,
    /// The address of the event's page.
    pub link: String,
    /// Milliseconds after the order was placed, by Kafka's clock.
    pub after: Option<i64>,
}

/// Name, service, and the event types that reach the station; those that begin with `!` refuse.
type Rule = (&'static str, &'static str, &'static [&'static str]);

const RULES: [Rule; 7] = [
    ("Order placed", "order", &["order.placed"]),
    ("Payment authorized", "payment", &["payment.authorized", "!payment.declined"]),
    ("Stock reserved", "inventory", &["stock.reserved", "!stock.rejected"]),
    ("Order confirmed", "order", &["order.confirmed", "!order.cancelled"]),
    (
        "Payment captured",
        "payment",
        &["payment.captured", "!payment.capture_failed", "!payment.voided", "!payment.refunded"],
    ),
    ("Stock committed", "inventory", &["stock.committed", "!stock.released"]),
    ("Customer notified", "notification", &["notification.sent", "!notification.failed"]),
];

/// Returns the stations of an order with these events, which are in the order of time.
pub(crate) fn stations(events: &[Arc<Event>]) -> Vec<Station> {
    let placed = events.iter().find(|event| event.kind.starts_with("order.placed")).map(|event| event.at);
    let mut stations: Vec<Station> = RULES.iter().map(|rule| station(rule, events, placed)).collect();
    if events.iter().any(|event| is_version_of(&event.kind, "order.cancelled")) {
        let waiting = stations.iter_mut().filter(|station| station.state == "waiting");
        waiting
            .filter(|station| COMPLETION.contains(&station.name))
            .for_each(|station| station.state = "skipped");
    }
    stations
}

/// The stations that a cancelled order does not reach, unless they were under way.
const COMPLETION: [&str; 2] = ["Payment captured", "Stock committed"];

fn station(&(name, service, kinds): &Rule, events: &[Arc<Event>], placed: Option<i64>) -> Station {
    // The last event counts: a captured payment may be refunded.
    let reached = events.iter().rev().find_map(|event| {
        let kind = kinds.iter().find(|kind| is_version_of(&event.kind, kind.trim_start_matches('!')))?;
        Some((event, kind.starts_with('!')))
    });
    let Some((event, is_refusal)) = reached else {
        let (outcome, place, link) = Default::default();
        return Station { name, service, state: "waiting", outcome, place, link, after: None };
    };
    Station {
        name,
        service,
        state: if is_refusal { "refused" } else { "done" },
        outcome: event.label().replace('_', " "),
        place: format!("{}[{}]@{}", event.topic, event.partition, event.offset),
        link: format!("/events/{}/{}/{}", event.topic, event.partition, event.offset),
        after: placed.map(|placed| event.at - placed),
    }
}

/// Whether `kind` is `name` with a version: `order.placed.v1` of `order.placed`.
fn is_version_of(kind: &str, name: &str) -> bool {
    kind.strip_prefix(name).is_some_and(|rest| rest.starts_with(".v"))
}

#[cfg(test)]
mod tests {
    use super::super::event::sample;
    use super::*;

    #[test]
    fn the_stations_of_an_order_are_reached_by_its_events() {
        let event = |topic, offset, kind| Arc::new(sample(topic, 2, offset, "o-1", kind, "{}"));
        let events = [
            event("orders", 1, "order.placed.v1"),
            event("payments", 2, "payment.declined.v1"),
            event("reservations", 3, "stock.reserved.v1"),
        ];
        let stations = stations(&events);
        let states: Vec<&str> = stations.iter().map(|station| station.state).collect();
        assert_eq!(states, ["done", "refused", "done", "waiting", "waiting", "waiting", "waiting"]);
        assert_eq!((stations[1].place.as_str(), stations[1].after), ("payments[2]@2", Some(10)));

        let stations =
            super::stations(&[events.as_slice(), &[event("orders", 4, "order.cancelled.v1")]].concat());
        let states: Vec<&str> = stations.iter().map(|station| station.state).collect();
        assert_eq!(states, ["done", "refused", "done", "refused", "skipped", "skipped", "waiting"]);
    }
}
