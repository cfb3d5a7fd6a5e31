//! Records that can never be applied become dead letters alone; other failures make no dead letters.

use sqlx::Executor as _;

use crate::support::{Bank, Plan, Raw, says, until};

fn poison() -> Vec<(&'static str, Raw)> {
    let raw = || Raw::deposit("alice", 2, 1);
    let mut foreign_key = raw();
    foreign_key.key = Some(vec![0xff, 0xfe]);
    let mut empty = raw();
    empty.value = None;
    let memo = |memo: String| format!(r#"{{"account":"alice","amount":1000000,"memo":"{memo}"}}"#);
    vec![
        ("header ce_type is missing", raw().without_header("ce_type")),
        ("header ce_type is missing", raw().with_header("ce_type", [0xc3, 0x28])),
        ("the key is missing or not UTF-8", foreign_key),
        ("the value is empty", empty),
        ("the value does not parse", raw().with_value("")),
        ("the value does not parse", raw().with_value("[".repeat(100_000))),
        // Kafka accepts it and the schema does not: an amount that is too large, with 900 KB around it.
        ("constraint bookings_amount_check", raw().with_value(memo("x".repeat(900_000)))),
        ("SQLSTATE 22021", raw().with_value(r#"{"account":"alice","amount":1,"memo":"\u0000"}"#)),
        // The sum overflows.
        ("the handler panicked", raw().with_value(format!(r#"{{"account":"alice","amount":{}}}"#, i64::MAX))),
        ("a deposit of -5", raw().with_value(r#"{"account":"alice","amount":-5}"#)),
        ("the key is not that of the event", raw().with_value(r#"{"account":"bob","amount":1}"#)),
        ("header ce_sequence is not readable", raw().with_header("ce_sequence", "two")),
        ("header ce_source is missing", raw().without_header("ce_source")),
        ("header ce_source is not /till", raw().with_header("ce_source", "/ledger")),
    ]
}

#[tokio::test]
async fn only_the_poison_record_becomes_a_dead_letter_once_and_byte_for_byte() {
    let mut bank = Bank::open().await;
    let (causes, poison): (Vec<_>, Vec<_>) = poison().into_iter().unzip();
    // All of it in one batch: between two good deposits of the same key, one of another behind.
    let mut records = vec![Raw::deposit("alice", 1, 1)];
    records.extend(poison.clone());
    records.push(Raw::deposit("alice", 2, 1).with_header("ce_type", "deposit.of_the_future.v7"));
    records.extend([Raw::deposit("alice", 2, 1), Raw::deposit("bob", 1, 1)]);
    bank.produce("deposits", 0, &records).await;
    bank.produce_with_header_name("deposits", 0, b"ce_\xff\xfe");
    bank.produce("deposits", 0, &[Raw::deposit("bob", 2, 1)]).await;
    bank.run_ledger();
    bank.booked_once_and_in_order(4).await;

    let letters = bank.letters().await;
    assert_eq!(letters.len(), causes.len() + 1);
    for ((letter, record), cause) in letters.iter().zip(&poison).zip(causes) {
        assert_eq!((&letter.key, &letter.value), (&record.key, &record.value));
        let stored = letter.header("dlq_cause").unwrap();
        assert!(stored.contains(cause), "{stored:?} contains {cause:?}");
        assert_eq!(letter.headers[..record.headers.len()], record.headers);
        assert_eq!(letter.header("dlq_service"), Some("ledger"));
        assert_eq!(letter.header("dlq_topic"), Some("deposits"));
    }
    let hostile = letters.last().unwrap();
    assert!(hostile.header("dlq_cause").unwrap().contains("a name is not UTF-8"));
    assert_eq!(hostile.value.as_deref(), Some(b"{}".as_slice()));

    // Read again from the beginning, no deposit is booked and no record becomes a dead letter a second time.
    bank.rewound_to_the_beginning_and_read().await;
    bank.booked_once_and_in_order(4).await;
    assert_eq!(bank.letters().await.len(), letters.len());
    bank.close().await;
}

#[tokio::test]
async fn a_record_that_is_larger_than_a_dead_letter_leaves_its_hash() {
    let mut bank = Bank::open().await;
    // Compressed, it is small enough for its topic.
    let huge = Raw::deposit("alice", 1, 1).with_value("[".repeat(5_000_000));
    bank.produce("deposits", 0, &[huge, Raw::deposit("alice", 1, 1)]).await;
    bank.run_ledger();
    bank.booked_once_and_in_order(1).await;
    let letters = bank.letters().await;
    assert_eq!(letters[0].header("dlq_value_bytes"), Some("5000000"));
    assert_eq!(letters[0].value, None);
    bank.close().await;
}

#[tokio::test]
async fn a_missing_privilege_or_column_is_retried_until_repaired() {
    let mut bank = Bank::open().await;
    bank.run_till();
    let mut status = bank.run_ledger();
    for (break_it, repair, cause) in [
        (
            "REVOKE INSERT ON bookings FROM CURRENT_USER",
            "GRANT INSERT ON bookings TO CURRENT_USER",
            "permission",
        ),
        ("ALTER TABLE bookings RENAME memo TO lost", "ALTER TABLE bookings RENAME lost TO memo", "memo"),
    ] {
        bank.pool("ledger").execute(break_it).await.unwrap();
        bank.deposit(&["alice", "bob"], 2).await;
        let stuck = says(&mut status, "it is stuck", |status| status.stuck.is_some()).await.stuck;
        assert!(stuck.unwrap().contains(cause));
        bank.pool("ledger").execute(repair).await.unwrap();
        says(&mut status, "it continues", |status| status.stuck.is_none()).await;
    }
    bank.booked_once_and_in_order(8).await;
    assert!(bank.letters().await.is_empty());
    bank.close().await;
}

/// As when two transactions meet at one row: the second attempt succeeds.
#[tokio::test]
async fn a_record_that_the_database_refuses_once_is_applied() {
    let mut bank = Bank::open().await;
    // A sequence is not rolled back, so only the first attempt is refused.
    let refuse_once = "CREATE SEQUENCE attempts;
         CREATE FUNCTION refuse_once() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN IF nextval('attempts') = 1 THEN RAISE unique_violation; END IF; RETURN NEW; END $$;
         CREATE TRIGGER refuse_once BEFORE INSERT ON bookings FOR EACH ROW EXECUTE FUNCTION refuse_once()";
    bank.pool("ledger").execute(refuse_once).await.unwrap();
    bank.produce("deposits", 0, &[Raw::deposit("alice", 1, 1)]).await;
    bank.run_ledger();
    bank.booked_once_and_in_order(1).await;
    assert!(bank.letters().await.is_empty());
    bank.close().await;
}

#[tokio::test]
async fn too_many_dead_letters_in_a_row_are_a_bad_deployment() {
    let mut bank = Bank::planned(Plan { dead_letter_limit: 3, ..Plan::default() }).await;
    let bad = |sequence| Raw::deposit("alice", sequence, -1);
    let mut status = bank.run_ledger();
    for sequence in 1..=3 {
        bank.produce("deposits", 0, &[bad(sequence)]).await;
    }
    until("three are dead", async || bank.letters().await.len() == 3).await;
    bank.produce("deposits", 0, &[bad(4), bad(5)]).await;
    let waits = says(&mut status, "it waits", |status| status.stuck.is_some()).await;
    assert!(waits.stuck.as_ref().unwrap().contains("DEAD_LETTER_LIMIT"), "{waits:?}");
    assert!(!waits.is_consuming());
    assert_eq!(bank.letters().await.len(), 3, "the topic is not drained");
    bank.close().await;
}
