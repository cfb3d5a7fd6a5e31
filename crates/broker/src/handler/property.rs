//! A batch of any size has the same effects as its records one by one: on a real database, for random histories with
//! repetitions and gaps in any order.

// The example's handler, which the seam tests use too.
#[path = "../../examples/bank/events.rs"]
mod events;
#[path = "../../examples/bank/ledger.rs"]
mod ledger;

use std::collections::BTreeMap;

use envelope::names;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};

use self::ledger::{Ledger, SCHEMA};
use super::{Batch, Guard, Outcome, Subscription};
use crate::outbox::Row;
use crate::record::{HeaderValue, Record, Timestamp};
use crate::tx::Tx;
use crate::{Outbox, Settings};

/// An account, a sequence, and the kind of the event.
type Step = (u8, u64, Kind);

#[derive(Debug, Clone, Copy)]
enum Kind {
    Deposit(i64),
    Close,
    Unknown,
    Broken,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        8 => (1..100_i64).prop_map(Kind::Deposit),
        1 => Just(Kind::Close),
        1 => Just(Kind::Unknown),
        1 => Just(Kind::Broken),
    ];
    // Few sequences, so that most of a history are repetitions and gaps.
    (0..4_u8, 1..8_u64, kind)
}

fn record(offset: usize, (account, sequence, kind): Step) -> Record {
    let key = format!("account-{account}");
    let (ce_type, value) = match kind {
        Kind::Deposit(amount) => ("deposit.made.v1", format!(r#"{{"account":"{key}","amount":{amount}}}"#)),
        Kind::Close => ("account.closed.v1", format!(r#"{{"account":"{key}"}}"#)),
        Kind::Unknown => ("account.painted.v1", "{}".to_owned()),
        Kind::Broken => ("deposit.made.v1", "{".to_owned()),
    };
    let header = |name: &str, value: String| (name.to_owned(), HeaderValue::Text(value));
    Record {
        topic: "deposits".to_owned(),
        partition: 0,
        offset: i64::try_from(offset).unwrap_or_default(),
        timestamp: Timestamp::Unknown,
        key: Some(key.into_bytes()),
        value: Some(value.into_bytes()),
        headers: Some(vec![
            header(names::SPEC_VERSION, "1.0".to_owned()),
            header(names::ID, uuid::Uuid::nil().to_string()),
            header(names::SOURCE, "/till".to_owned()),
            header(names::TYPE, ce_type.to_owned()),
            header(names::SEQUENCE, format!("{sequence:020}")),
        ]),
    }
}

/// The effects of a history: outcomes, accounts, bookings by account, and the last published state of each key.
#[derive(Debug, PartialEq)]
struct Effects {
    outcomes: Vec<Outcome>,
    accounts: Vec<(String, i64, bool, i64)>,
    bookings: Vec<(String, i64, i64)>,
    published: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// Applies the records in batches of these sizes, repeatedly, in a transaction that is rolled back.
async fn apply(outbox: &Outbox, records: &[Record], sizes: &[usize]) -> Effects {
    let mut tx = outbox.begin().await.unwrap();
    let ledger = Subscription::new(Ledger);
    let (mut outcomes, mut rest, mut sizes) = (Vec::new(), records, sizes.iter().cycle());
    while !rest.is_empty() {
        let (batch, remaining) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        let batch = Batch { records: batch, rejected: &BTreeMap::new(), guard: Guard::On };
        outcomes.extend(ledger.apply(&mut tx, batch).await.unwrap().outcomes);
        rest = remaining;
    }
    let published = std::mem::take(&mut tx.appends().rows);
    Effects { outcomes, published: last_states(published), ..tables(&mut tx).await }
}

async fn tables(tx: &mut Tx) -> Effects {
    let accounts = "SELECT id, balance, closed, seen_deposits FROM accounts ORDER BY id";
    let bookings = "SELECT account, deposit, amount FROM bookings ORDER BY account, id";
    Effects {
        outcomes: Vec::new(),
        accounts: sqlx::query_as(accounts).fetch_all(&mut **tx).await.unwrap(),
        bookings: sqlx::query_as(bookings).fetch_all(&mut **tx).await.unwrap(),
        published: BTreeMap::new(),
    }
}

fn last_states(rows: Vec<Row>) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
    rows.into_iter().map(|row| (row.key.unwrap_or_default(), row.value)).collect()
}

fn administrator() -> String {
    std::env::var("POSTGRES_URL")
        .expect("POSTGRES_URL, an administrator's (target/debug/stack with-servers sets it)")
}

/// Creates a database with the tables of the broker and the ledger, and returns its name and its pool.
async fn database() -> (String, PgPool) {
    let name = format!("t_{}", uuid::Uuid::new_v4().simple());
    let mut admin = PgConnection::connect(&administrator()).await.unwrap();
    admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    let pool = PgPool::connect_with(administrator().parse::<PgConnectOptions>().unwrap().database(&name))
        .await
        .unwrap();
    crate::MIGRATIONS.run(&pool).await.unwrap();
    sqlx::raw_sql(SCHEMA).execute(&pool).await.unwrap();
    (name, pool)
}

#[test]
fn a_batch_has_the_same_effects_as_its_records_one_by_one() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (database, pool) = runtime.block_on(database());
    let outbox = Outbox::new(pool, &Settings::new("ledger", ""));
    let histories = prop::collection::vec(step(), 1..60);
    let sizes = prop::collection::vec(1..20_usize, 1..6);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(64));
    let ran = runner.run(&(histories, sizes), |(history, sizes)| {
        let records: Vec<Record> =
            history.into_iter().enumerate().map(|(offset, step)| record(offset, step)).collect();
        runtime.block_on(async {
            let one_by_one = apply(&outbox, &records, &[1]).await;
            prop_assert_eq!(&apply(&outbox, &records, &sizes).await, &one_by_one);
            prop_assert_eq!(&apply(&outbox, &records, &[records.len()]).await, &one_by_one);
            Ok(())
        })
    });
    runtime.block_on(async {
        outbox.pool().close().await;
        let mut admin = PgConnection::connect(&administrator()).await.unwrap();
        admin.execute(AssertSqlSafe(format!("DROP DATABASE {database}"))).await.unwrap();
    });
    ran.unwrap();
}
