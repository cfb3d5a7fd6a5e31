use super::*;

fn row(key: &str) -> Row {
    Row { topic: "t".into(), key: Some(key.into()), value: None, headers: Vec::new() }
}

fn ready(in_flight: &InFlight) -> Vec<i64> {
    in_flight.ready(Instant::now())
}

#[test]
fn the_next_row_of_a_key_is_ready_only_when_the_one_before_is_gone() {
    let mut in_flight = InFlight::default();
    for (id, key) in [(1, "a"), (2, "a"), (3, "b")] {
        in_flight.push(id, row(key));
    }
    assert_eq!(ready(&in_flight), [1, 3]);
    in_flight.send(1);
    assert_eq!(ready(&in_flight), [3]);
    assert_eq!(in_flight.sent().count(), 1);
    in_flight.finish(1);
    assert_eq!(ready(&in_flight), [2, 3]);
}

#[test]
fn a_refused_row_waits_and_so_does_the_rest_of_its_key() {
    let mut in_flight = InFlight::default();
    for (id, key) in [(1, "a"), (2, "a"), (3, "b")] {
        in_flight.push(id, row(key));
    }
    in_flight.send(1);
    in_flight.refuse(1, Refusal::Topic("t".to_owned()));
    assert_eq!(ready(&in_flight), [3]);
    assert_eq!(in_flight.closed().count(), 1);
    assert_eq!(in_flight.ids().len(), 2, "row 2 is only in the outbox");
    let later = Instant::now() + Duration::from_secs(1);
    assert_eq!(in_flight.ready(later), [1, 3]);
    assert_eq!(in_flight.refusals().len(), 1);
    in_flight.finish(1);
    assert_eq!((in_flight.closed().count(), in_flight.refusals().len()), (0, 0));
}

#[test]
fn refused_keys_never_use_up_the_capacity() {
    let mut in_flight = InFlight::default();
    for id in 0..i64::try_from(CAPACITY).unwrap() {
        in_flight.push(id, row(&id.to_string()));
        in_flight.send(id);
    }
    assert!(in_flight.is_full());
    for id in 0..i64::try_from(CAPACITY).unwrap() {
        in_flight.refuse(id, Refusal::Topic("t".to_owned()));
    }
    assert!(!in_flight.is_full());
    assert_eq!(in_flight.ids().len(), REFUSED_KEYS);
    assert_eq!(in_flight.closed_topics().collect::<Vec<_>>(), ["t"]);
    in_flight.finish(0);
    assert_eq!(in_flight.closed_topics().count(), 0, "Kafka takes rows of the topic again");
}

#[test]
fn a_refused_row_that_was_withdrawn_makes_room_for_the_next_of_its_key() {
    let mut in_flight = InFlight::default();
    for (id, key) in [(1, "a"), (2, "b")] {
        in_flight.push(id, row(key));
    }
    in_flight.send(1);
    in_flight.refuse(1, Refusal::Topic("t".to_owned()));
    let later = Instant::now() + Duration::from_secs(1);
    assert_eq!(in_flight.refused(&in_flight.ready(later)), [1], "row 2 was never sent");
    in_flight.finish(1);
    in_flight.push(3, row("a"));
    assert_eq!(ready(&in_flight), [2, 3]);
}

#[test]
fn forgetting_waiting_rows_keeps_the_rows_in_flight() {
    let mut in_flight = InFlight::default();
    for (id, key) in [(1, "a"), (2, "a"), (3, "b")] {
        in_flight.push(id, row(key));
    }
    in_flight.send(1);
    in_flight.forget_waiting();
    assert_eq!(in_flight.ids(), [1]);
    in_flight.push(2, row("a"));
    assert_eq!(ready(&in_flight), [0; 0], "row 1 is still in flight");
    assert!(in_flight.finish(1).is_some());
    assert_eq!(ready(&in_flight), [2]);
}
