//! Compacted topics, whose records are states: an old state never replaces a newer one, and personal data is kept nowhere else.

use std::collections::BTreeMap;

use broker::{Consumer, Failure, Handler, Incoming, Received, Rejected, Subscription, Tx};
use broker_ops::{DeadLetterFilter, Redrive, Redriven, Report};
use envelope::{Cleanup, Event, Sequence, Topic};
use serde::{Deserialize, Serialize};
use sqlx::Executor as _;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{Bank, Raw, until};

const SCHEMA: &str = "CREATE TABLE names (id text PRIMARY KEY, name text NOT NULL CHECK (name <> 'nobody'),
                                          seen bigint NOT NULL)";

/// The name of a thing, or of a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Named<const PERSONAL: bool> {
    #[serde(rename = "name.given.v1")]
    Given(Name),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Name {
    id: String,
    name: String,
}

impl<const PERSONAL: bool> Event for Named<PERSONAL> {
    const TOPIC: Topic =
        Topic { name: "names", owner: "till", key: "id", cleanup: Cleanup::Compact, personal: PERSONAL };

    fn key(&self) -> String {
        let Self::Given(Name { id, .. }) = self;
        id.clone()
    }
}

/// Stores each name.
struct Names<const PERSONAL: bool>;

impl<const PERSONAL: bool> Handler for Names<PERSONAL> {
    type Event = Named<PERSONAL>;
    type State = BTreeMap<String, (Option<String>, Sequence)>;

    async fn load(&self, tx: &mut Tx, batch: &[Received<Self::Event>]) -> Result<Self::State, Failure> {
        let ids: Vec<String> = batch.iter().map(|received| received.event.key()).collect();
        let select = "SELECT id, seen FROM names WHERE id = ANY ($1) ORDER BY id FOR UPDATE";
        let rows: Vec<(String, i64)> = sqlx::query_as(select).bind(&ids).fetch_all(&mut **tx).await?;
        let mut names: Self::State = ids.into_iter().map(|id| (id, Default::default())).collect();
        names.extend(rows.into_iter().map(|(id, seen)| (id, (None, Sequence::from_i64(seen).unwrap()))));
        Ok(names)
    }

    fn last_sequence<'s>(&self, names: &'s mut Self::State, event: &Self::Event) -> Option<&'s mut Sequence> {
        names.get_mut(&event.key()).map(|(_, seen)| seen)
    }

    fn handle(&self, names: &mut Self::State, incoming: Incoming<'_, Self::Event>) -> Result<(), Rejected> {
        let Named::Given(Name { id, name }) = &incoming.event;
        names.entry(id.clone()).or_default().0 = Some(name.clone());
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, names: Self::State) -> Result<(), Failure> {
        for (id, (name, seen)) in names {
            let upsert = "INSERT INTO names VALUES ($1, $2, $3)
                          ON CONFLICT (id) DO UPDATE SET name = excluded.name, seen = excluded.seen";
            if let Some(name) = name {
                sqlx::query(upsert).bind(id).bind(name).bind(seen.to_i64()).execute(&mut **tx).await?;
            }
        }
        Ok(())
    }
}

/// Returns a bank whose ledger stores names until the guard is dropped. It has read these records, each in a batch of its own,
/// because of several states in one batch only the last is saved.
async fn keeping_names<const PERSONAL: bool>(records: &[Raw]) -> (Bank, DropGuard) {
    let mut bank = Bank::open().await;
    bank.pool("ledger").execute(SCHEMA).await.unwrap();
    broker_ops::topics::create(&bank.settings("ledger"), &[Named::<PERSONAL>::TOPIC]).await.unwrap();
    bank.relay("ledger");
    let subscriptions = vec![Subscription::new(Names::<PERSONAL>)];
    let consumer = Consumer::new(bank.settings("ledger"), bank.ledger.clone(), subscriptions);
    let stop = CancellationToken::new();
    tokio::spawn(consumer.run(stop.clone()));
    let position = "SELECT coalesce(max(next_offset), 0) FROM broker.positions WHERE topic = 'names'";
    for (record, read) in records.iter().zip(1..) {
        bank.produce("names", 0, std::slice::from_ref(record)).await;
        until("it is read", async || {
            sqlx::query_scalar::<_, i64>(position).fetch_one(&bank.pool("ledger")).await.unwrap() == read
        })
        .await;
    }
    (bank, stop.drop_guard())
}

async fn redrive<const PERSONAL: bool>(bank: &Bank) -> Vec<Redriven> {
    let mut results = Vec::new();
    let subscriptions = [Subscription::new(Names::<PERSONAL>)];
    let report = |report: Report| results.push(report.result);
    broker_ops::redrive(
        &bank.settings("ledger"),
        &bank.ledger,
        &subscriptions,
        &DeadLetterFilter::default(),
        Redrive::Handle,
        report,
    )
    .await
    .unwrap();
    results
}

fn given(id: &str, sequence: usize, name: &str) -> Raw {
    let mut raw = Raw::deposit(id, sequence, 1).with_header("ce_type", "name.given.v1");
    raw.value = Some(format!(r#"{{"id":"{id}","name":"{name}"}}"#).into_bytes());
    raw
}

#[tokio::test]
async fn an_old_state_is_not_redriven_over_a_newer_one() {
    let (bank, running) = keeping_names::<false>(&[given("cat", 1, "nobody"), given("cat", 2, "Tom")]).await;
    assert_eq!(bank.letters().await.len(), 1);
    bank.pool("ledger").execute("ALTER TABLE names DROP CONSTRAINT names_name_check").await.unwrap();
    assert_eq!(redrive::<false>(&bank).await, [Redriven::Nothing]);
    let name: String =
        sqlx::query_scalar("SELECT name FROM names").fetch_one(&bank.pool("ledger")).await.unwrap();
    assert_eq!(name, "Tom");
    assert!(redrive::<false>(&bank).await.is_empty(), "it is done");
    drop(running);
    bank.delete_topics(&["names"]).await;
    bank.close().await;
}

#[tokio::test]
async fn a_dead_letter_of_a_personal_topic_has_no_personal_data() {
    let id = uuid::Uuid::now_v7().to_string();
    let unreadable = given(&id, 2, "x").with_value(r#"{"id":7,"name":"ada@example.com"}"#);
    let misplaced = given("ada@example.com", 1, "nobody");
    let (bank, running) = keeping_names::<true>(&[given(&id, 1, "nobody"), unreadable, misplaced]).await;
    let letters = bank.letters().await;
    assert_eq!(letters.len(), 3);
    for letter in &letters {
        assert_eq!(letter.value, None);
        assert_eq!(letter.header("dlq_value_sha256").map(str::len), Some(64));
        assert!(letter.headers.iter().all(|(name, _)| name.starts_with("dlq_")));
        let values: Vec<_> = letter.headers.iter().map(|(_, value)| String::from_utf8_lossy(value)).collect();
        assert!(!values.concat().contains("example"), "{values:?}");
    }
    let keys: Vec<_> = letters.iter().map(|letter| letter.key.as_deref()).collect();
    assert_eq!(
        keys,
        [Some(id.as_bytes()), Some(id.as_bytes()), None],
        "an id may be kept, an address may not"
    );
    assert_eq!(redrive::<true>(&bank).await, [Redriven::NoValue, Redriven::NoValue, Redriven::NoValue]);
    drop(running);
    bank.delete_topics(&["names"]).await;
    bank.close().await;
}
