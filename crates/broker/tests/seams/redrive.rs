//! Dead letters that are handled again after their causes are repaired.

use broker::Subscription;
use broker_ops::{DeadLetterFilter, OpsError, Redrive, Redriven, Report, RewindTo};
use envelope::Event as _;
use sqlx::Executor as _;
use time::OffsetDateTime;

use crate::events::Deposits;
use crate::ledger::Ledger;
use crate::support::{Bank, Raw, says, until};

const TOO_MUCH: i64 = 2_000_000;

impl Bank {
    async fn redrive(&self, wanted: DeadLetterFilter, action: Redrive) -> Vec<Report> {
        self.try_redrive(wanted, action).await.unwrap()
    }

    async fn try_redrive(&self, wanted: DeadLetterFilter, action: Redrive) -> Result<Vec<Report>, OpsError> {
        let mut reports = Vec::new();
        let subscriptions = [Subscription::new(Ledger)];
        let report = |report| reports.push(report);
        broker_ops::redrive(&self.settings("ledger"), &self.ledger, &subscriptions, &wanted, action, report)
            .await?;
        Ok(reports)
    }

    /// Makes the schema accept large deposits.
    async fn repair(&self) {
        self.pool("ledger")
            .execute("ALTER TABLE bookings DROP CONSTRAINT bookings_amount_check")
            .await
            .unwrap();
    }

    async fn balance(&self, account: &str) -> i64 {
        sqlx::query_scalar("SELECT balance FROM accounts WHERE id = $1")
            .bind(account)
            .fetch_one(&self.pool("ledger"))
            .await
            .unwrap()
    }
}

fn results(reports: &[Report]) -> Vec<&Redriven> {
    reports.iter().map(|report| &report.result).collect()
}

/// Returns a bank with repairable dead letters of alice's and bob's, one of alice's that is not, and later good deposits.
async fn with_dead_letters() -> Bank {
    let mut bank = Bank::open().await;
    let records = [
        Raw::deposit("alice", 1, TOO_MUCH),
        Raw::deposit("bob", 1, TOO_MUCH),
        Raw::deposit("alice", 2, -1),
        Raw::deposit("alice", 3, 1),
        Raw::deposit("bob", 2, 1),
    ];
    bank.produce("deposits", 0, &records).await;
    bank.run_ledger();
    until("the good ones are booked", async || bank.bookings().await == 2).await;
    assert_eq!(bank.letters().await.len(), 3);
    bank
}

#[tokio::test]
async fn a_repaired_dead_letter_is_applied_once_and_a_bad_one_stays() {
    let bank = with_dead_letters().await;
    assert!(matches!(
        bank.redrive(DeadLetterFilter::default(), Redrive::Handle).await[0].result,
        Redriven::StillDead(_)
    ));
    bank.repair().await;

    let found = bank.redrive(DeadLetterFilter::default(), Redrive::DryRun).await;
    assert_eq!(results(&found), [&Redriven::Found; 3]);
    let origins: Vec<_> = found.iter().map(|report| report.origin.clone()).collect();
    assert_eq!(origins, [0, 1, 2].map(|offset| ("deposits".to_owned(), 0, offset)));
    assert_eq!(found[0].event_type.as_deref(), Some("deposit.made.v1"));
    assert!(found[0].cause.contains("bookings_amount_check"));
    assert_eq!(bank.balance("alice").await, 1, "a dry run changes nothing");

    let redriven = bank.redrive(DeadLetterFilter::default(), Redrive::Handle).await;
    let bad = Redriven::StillDead("a deposit of -1".into());
    assert_eq!(results(&redriven), [&Redriven::Applied, &Redriven::Applied, &bad]);
    assert_eq!(
        bank.balance("alice").await,
        TOO_MUCH + 1,
        "applied, although older than events that were applied since"
    );

    assert_eq!(
        results(&bank.redrive(DeadLetterFilter::default(), Redrive::Handle).await),
        [&bad],
        "the others are done"
    );
    assert_eq!(bank.balance("alice").await, TOO_MUCH + 1);
    // The last sequence has not fallen: a repetition is still recognised.
    bank.produce("deposits", 0, &[Raw::deposit("alice", 3, 1), Raw::deposit("alice", 4, 1)]).await;
    until("it is booked", async || bank.balance("alice").await == TOO_MUCH + 2).await;
    bank.close().await;
}

/// The relay publishes an event again when it ends between the acknowledgement and the removal of the row.
#[tokio::test]
async fn an_event_that_is_two_dead_letters_is_applied_once() {
    let mut bank = Bank::open().await;
    bank.produce("deposits", 0, &[Raw::deposit("alice", 1, TOO_MUCH), Raw::deposit("alice", 1, TOO_MUCH)])
        .await;
    bank.produce("deposits", 0, &[Raw::deposit("bob", 1, 1)]).await;
    bank.run_ledger();
    until("the good one is booked", async || bank.bookings().await == 1).await;
    bank.repair().await;
    let redriven = bank.redrive(DeadLetterFilter::default(), Redrive::Handle).await;
    assert_eq!(results(&redriven), [&Redriven::Applied, &Redriven::Nothing]);
    assert_eq!(bank.balance("alice").await, TOO_MUCH);
    bank.close().await;
}

#[tokio::test]
async fn only_dead_letters_that_the_filter_includes_are_redriven() {
    let bank = with_dead_letters().await;
    bank.repair().await;
    let all = DeadLetterFilter::default;
    let now = OffsetDateTime::now_utc();
    for (wanted, expected) in [
        (DeadLetterFilter { topic: Some("deposits".into()), ..all() }, 3),
        (DeadLetterFilter { topic: Some("balances".into()), ..all() }, 0),
        (DeadLetterFilter { event_type: Some("deposit.made.v1".into()), ..all() }, 3),
        (DeadLetterFilter { event_type: Some("account.closed.v1".into()), ..all() }, 0),
        (DeadLetterFilter { key: Some("alice".into()), ..all() }, 2),
        (DeadLetterFilter { since: Some(now - time::Duration::hours(1)), ..all() }, 3),
        (DeadLetterFilter { since: Some(now + time::Duration::hours(1)), ..all() }, 0),
    ] {
        let found = bank.redrive(wanted.clone(), Redrive::DryRun).await.len();
        assert_eq!(found, expected, "{wanted:?}");
    }
    let bobs = DeadLetterFilter { key: Some("bob".into()), ..all() };
    assert_eq!(results(&bank.redrive(bobs, Redrive::Handle).await), [&Redriven::Applied]);
    assert_eq!(bank.balance("alice").await, 1, "other letters are unchanged");
    bank.close().await;
}

#[tokio::test]
async fn a_redrive_that_the_database_stops_names_the_dead_letter() {
    let bank = with_dead_letters().await;
    bank.repair().await;
    bank.pool("ledger").execute("ALTER TABLE bookings RENAME memo TO lost").await.unwrap();
    let stopped = bank.try_redrive(DeadLetterFilter::default(), Redrive::Handle).await.unwrap_err();
    let text = stopped.to_string();
    assert!(text.starts_with("stopped at deposits/0@0: ") && text.contains("memo"), "{text}");
    bank.pool("ledger").execute("ALTER TABLE bookings RENAME lost TO memo").await.unwrap();
    let redriven = bank.redrive(DeadLetterFilter::default(), Redrive::Handle).await;
    assert_eq!(
        results(&redriven)[..2],
        [&Redriven::Applied; 2],
        "the outage did not count as a failure of the letters"
    );
    bank.close().await;
}

#[tokio::test]
async fn without_its_topic_a_redrive_names_the_command_to_run() {
    let bank = with_dead_letters().await;
    bank.delete_topics(&["dlq.ledger"]).await;
    let error = bank.try_redrive(DeadLetterFilter::default(), Redrive::Handle).await.unwrap_err().to_string();
    assert!(error.contains("dlq.ledger") && error.ends_with("run: ledger migrate"), "{error}");
    broker_ops::topics::create(&bank.settings("ledger"), &[]).await.unwrap();
    bank.close().await;
}

#[tokio::test]
async fn a_dead_letter_that_a_rewind_applied_is_not_redriven_again() {
    let mut bank = Bank::open().await;
    bank.produce("deposits", 0, &[Raw::deposit("alice", 1, TOO_MUCH)]).await;
    bank.run_ledger();
    until("it is dead", async || bank.letters().await.len() == 1).await;
    bank.repair().await;
    bank.rewound_to_the_beginning_and_read().await;
    assert_eq!(bank.balance("alice").await, TOO_MUCH);
    assert!(bank.redrive(DeadLetterFilter::default(), Redrive::Handle).await.is_empty());
    assert_eq!(bank.balance("alice").await, TOO_MUCH);
    bank.close().await;
}

#[tokio::test]
async fn discarded_dead_letters_stay_discarded() {
    let bank = with_dead_letters().await;
    bank.repair().await;
    let alices = || DeadLetterFilter { key: Some("alice".into()), ..DeadLetterFilter::default() };
    let discarded = bank.redrive(alices(), Redrive::Discard).await;
    assert_eq!(results(&discarded), [&Redriven::Discarded; 2]);
    assert!(bank.redrive(alices(), Redrive::Handle).await.is_empty());
    assert_eq!(bank.balance("alice").await, 1, "they were not applied");
    let rest = bank.redrive(DeadLetterFilter::default(), Redrive::Handle).await;
    assert_eq!(results(&rest), [&Redriven::Applied], "bob's was not meant");
    assert_eq!(bank.letters().await.len(), 3, "the topic keeps what was discarded");
    bank.close().await;
}

/// As after their 30 days on `dlq.SERVICE`: they must not stay open and unseen for ever.
#[tokio::test]
async fn dead_letters_that_expired_on_their_topic_are_reported_and_can_be_discarded() {
    let bank = with_dead_letters().await;
    bank.delete_topics(&["dlq.ledger"]).await;
    broker_ops::topics::create(&bank.settings("ledger"), &[]).await.unwrap();
    let found = bank.redrive(DeadLetterFilter::default(), Redrive::Handle).await;
    assert_eq!(results(&found), [&Redriven::Missing; 3]);
    assert!(found[0].cause.contains("bookings_amount_check"), "the cause is still known");
    let alices = DeadLetterFilter { key: Some("alice".into()), ..DeadLetterFilter::default() };
    assert!(bank.redrive(alices, Redrive::Discard).await.is_empty(), "their keys are not known");
    let discarded = bank.redrive(DeadLetterFilter::default(), Redrive::Discard).await;
    assert_eq!(results(&discarded), [&Redriven::Discarded; 3]);
    assert!(bank.redrive(DeadLetterFilter::default(), Redrive::DryRun).await.is_empty());
    bank.close().await;
}

/// The same bytes at the same offset of another log are another record.
#[tokio::test]
async fn a_topic_that_is_created_again_has_dead_letters_of_its_own() {
    let mut bank = Bank::open().await;
    let bad = |account| Raw::deposit(account, 1, -1);
    let (first, second) = (bad("alice"), bad("bob"));
    bank.produce("deposits", 0, &[first, second.clone()]).await;
    let mut status = bank.run_ledger();
    until("two are dead", async || bank.letters().await.len() == 2).await;
    bank.delete_topics(&["deposits"]).await;
    says(&mut status, "the topic is reported as missing", |status| !status.stopped.is_empty()).await;
    broker_ops::topics::create(&bank.settings("ledger"), &[Deposits::TOPIC]).await.unwrap();
    bank.produce("deposits", 0, &[Raw::deposit("carol", 1, 1), second]).await;
    bank.rewind(RewindTo::Beginning).await.unwrap();
    until("what is good is booked", async || bank.bookings().await == 1).await;
    until("what is bad is dead", async || bank.letters().await.len() == 3).await;

    let found = bank.redrive(DeadLetterFilter::default(), Redrive::DryRun).await;
    assert_eq!(results(&found), [&Redriven::Found; 3], "the good record does not stand for the dead one");
    let offsets: Vec<_> = found.iter().map(|report| report.origin.2).collect();
    assert_eq!(offsets, [0, 1, 1]);
    bank.rewound_to_the_beginning_and_read().await;
    assert_eq!(bank.letters().await.len(), 3, "each once, even when it is read again");
    bank.close().await;
}

/// Dead letters of an older version have no digest: they stand for the record at their place.
#[tokio::test]
async fn a_dead_letter_of_an_older_version_is_found_by_its_place() {
    let mut bank = Bank::open().await;
    bank.produce("deposits", 0, &[Raw::deposit("alice", 1, TOO_MUCH)]).await;
    bank.run_ledger();
    until("it is dead", async || bank.letters().await.len() == 1).await;
    bank.pool("ledger").execute("UPDATE broker.dead_letters SET record = ''").await.unwrap();
    bank.rewound_to_the_beginning_and_read().await;
    assert_eq!(bank.letters().await.len(), 1, "it does not become a dead letter a second time");
    bank.repair().await;
    bank.rewound_to_the_beginning_and_read().await;
    assert_eq!(bank.balance("alice").await, TOO_MUCH);
    assert!(bank.redrive(DeadLetterFilter::default(), Redrive::DryRun).await.is_empty(), "it is done");
    bank.close().await;
}
