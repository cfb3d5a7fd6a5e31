use super::*;

fn row(key: &str) -> Row {
    Row { topic: "t".into(), key: Some(key.into()), value: None, headers: Vec::new() }
}

fn ready(chains: &Chains) -> Vec<i64> {
    chains.ready(Instant::now())
}

#[test]
fn the_next_row_of_a_key_goes_only_when_the_one_before_is_gone() {
    let mut chains = Chains::default();
    for (id, key) in [(1, "a"), (2, "a"), (3, "b")] {
        chains.push(id, row(key));
    }
    assert_eq!(ready(&chains), [1, 3]);
    chains.send(1);
    assert_eq!(ready(&chains), [3]);
    assert_eq!(chains.sent().count(), 1);
    chains.finish(1);
    assert_eq!(ready(&chains), [2, 3]);
}

#[test]
fn a_refused_row_waits_and_its_key_behind_it() {
    let mut chains = Chains::default();
    for (id, key) in [(1, "a"), (2, "a"), (3, "b")] {
        chains.push(id, row(key));
    }
    chains.send(1);
    chains.refuse(1, Refusal::Topic("t".to_owned()));
    assert_eq!(ready(&chains), [3]);
    assert_eq!(chains.closed().count(), 1);
    assert_eq!(chains.ids().len(), 2, "row 2 is in the outbox alone");
    let later = Instant::now() + Duration::from_secs(1);
    assert_eq!(chains.ready(later), [1, 3]);
    assert_eq!(chains.refusals().len(), 1);
    chains.finish(1);
    assert_eq!((chains.closed().count(), chains.refusals().len()), (0, 0));
}

#[test]
fn refused_keys_never_use_up_the_capacity() {
    let mut chains = Chains::default();
    for id in 0..i64::try_from(CAPACITY).unwrap() {
        chains.push(id, row(&id.to_string()));
        chains.send(id);
    }
    assert!(chains.is_full());
    for id in 0..i64::try_from(CAPACITY).unwrap() {
        chains.refuse(id, Refusal::Topic("t".to_owned()));
    }
    assert!(!chains.is_full());
    assert_eq!(chains.ids().len(), REFUSED_KEYS);
    assert_eq!(chains.closed_topics().collect::<Vec<_>>(), ["t"]);
    chains.finish(0);
    assert_eq!(chains.closed_topics().count(), 0, "Kafka takes rows of the topic again");
}

#[test]
fn a_refused_row_that_was_withdrawn_makes_room_for_the_next_of_its_key() {
    let mut chains = Chains::default();
    for (id, key) in [(1, "a"), (2, "b")] {
        chains.push(id, row(key));
    }
    chains.send(1);
    chains.refuse(1, Refusal::Topic("t".to_owned()));
    let later = Instant::now() + Duration::from_secs(1);
    assert_eq!(chains.refused(&chains.ready(later)), [1], "row 2 was never sent");
    chains.finish(1);
    chains.push(3, row("a"));
    assert_eq!(ready(&chains), [2, 3]);
}

#[test]
fn forgetting_keeps_what_is_in_flight() {
    let mut chains = Chains::default();
    for (id, key) in [(1, "a"), (2, "a"), (3, "b")] {
        chains.push(id, row(key));
    }
    chains.send(1);
    chains.forget_waiting();
    assert_eq!(chains.ids(), [1]);
    chains.push(2, row("a"));
    assert_eq!(ready(&chains), [0; 0], "row 1 is still in flight");
    assert!(chains.finish(1).is_some());
    assert_eq!(ready(&chains), [2]);
}
