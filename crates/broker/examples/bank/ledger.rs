//! Books deposits on accounts, and publishes the state of each account.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use broker::{Cause, Compacted, Failure, Handler, Incoming, Keys, Received, Rejected, Tx};
use envelope::{Event as _, Sequence, Topic};

use super::events::{Account, Balance, Balances, Deposits, Made};

pub(crate) const SCHEMA: &str = include_str!("ledger.sql");

/// The handler of `deposits`, and the owner of `balances`.
pub(crate) struct Ledger;

/// The accounts of a batch by their ids, and the bookings on them.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    by_id: BTreeMap<String, Row>,
    bookings: Vec<Booking>,
}

#[derive(Debug, Default)]
struct Row {
    balance: i64,
    closed: bool,
    version: i64,
    last_deposit: Sequence,
    changed: bool,
}

#[derive(Debug)]
struct Booking {
    account: String,
    deposit: Sequence,
    amount: i64,
    memo: String,
}

impl Handler for Ledger {
    type Event = Deposits;
    type State = Accounts;

    async fn load(&self, tx: &mut Tx, batch: &[Received<Deposits>]) -> Result<Accounts, Failure> {
        let mut by_id: BTreeMap<String, Row> =
            batch.iter().map(|received| (received.event.key(), Row::default())).collect();
        let ids: Vec<String> = by_id.keys().cloned().collect();
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT id, balance, closed, version, seen_deposits FROM accounts
             WHERE id = ANY ($1) ORDER BY id FOR UPDATE",
        )
        .bind(ids)
        .fetch_all(&mut **tx)
        .await?;
        by_id.extend(rows.into_iter().map(Row::read));
        Ok(Accounts { by_id, bookings: Vec::new() })
    }

    fn last_sequence<'s>(&self, accounts: &'s mut Accounts, event: &Deposits) -> Option<&'s mut Sequence> {
        accounts.by_id.get_mut(&event.key()).map(|account| &mut account.last_deposit)
    }

    fn handle(&self, accounts: &mut Accounts, incoming: Incoming<'_, Deposits>) -> Result<(), Rejected> {
        let account = accounts.by_id.entry(incoming.event.key()).or_default();
        match &incoming.event {
            Deposits::Made(Made { amount, .. }) if *amount <= 0 => {
                return Err(Rejected(format!("a deposit of {amount}")));
            }
            Deposits::Made(Made { account: id, amount, memo }) => {
                account.balance += amount;
                accounts.bookings.push(Booking {
                    account: id.clone(),
                    deposit: incoming.sequence,
                    amount: *amount,
                    memo: memo.clone(),
                });
            }
            Deposits::Closed(_) => account.closed = true,
        }
        account.changed = true;
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, accounts: Accounts) -> Result<(), Failure> {
        let mut changed = accounts.by_id;
        changed.retain(|_, row| row.changed);
        write_accounts(tx, &changed).await?;
        write_bookings(tx, &accounts.bookings).await?;
        publish(tx, &changed)
    }
}

impl Compacted for Ledger {
    fn topic(&self) -> Topic {
        Balances::TOPIC
    }

    fn republish<'a>(
        &'a self,
        tx: &'a mut Tx,
        keys: Keys<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Option<String>, Failure>> + Send + 'a>> {
        Box::pin(republish(tx, keys))
    }
}

/// Raises the versions of these accounts and appends their states.
async fn republish(tx: &mut Tx, keys: Keys<'_>) -> Result<Option<String>, Failure> {
    let (from, to, limit) = match keys {
        Keys::One(key) => (Some(key), Some(key), 1),
        Keys::After { after, limit } => (after, None, limit),
    };
    let rows: Vec<Columns> = sqlx::query_as(
        "SELECT id, balance, closed, version, seen_deposits FROM accounts
         WHERE id = $2 OR ($2 IS NULL AND ($1 IS NULL OR id > $1))
         ORDER BY id LIMIT $3 FOR UPDATE",
    )
    .bind(from)
    .bind(to)
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?;
    let accounts: BTreeMap<String, Row> = rows.into_iter().map(Row::read).collect();
    let last = accounts.keys().next_back().cloned();
    write_accounts(tx, &accounts).await?;
    publish(tx, &accounts)?;
    Ok(last)
}

async fn write_accounts(tx: &mut Tx, accounts: &BTreeMap<String, Row>) -> Result<(), Failure> {
    let column = |of: fn(&Row) -> i64| accounts.values().map(of).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO accounts (id, balance, closed, version, seen_deposits)
         SELECT * FROM unnest($1::text[], $2::bigint[], $3::bool[], $4::bigint[], $5::bigint[])
         ON CONFLICT (id) DO UPDATE SET
             balance = excluded.balance, closed = excluded.closed,
             version = excluded.version, seen_deposits = excluded.seen_deposits",
    )
    .bind(accounts.keys().cloned().collect::<Vec<_>>())
    .bind(column(|row| row.balance))
    .bind(accounts.values().map(|row| row.closed).collect::<Vec<_>>())
    .bind(column(|row| row.version + 1))
    .bind(column(|row| row.last_deposit.to_i64()))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn write_bookings(tx: &mut Tx, bookings: &[Booking]) -> Result<(), Failure> {
    let text = |of: fn(&Booking) -> &String| bookings.iter().map(of).cloned().collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO bookings (account, deposit, amount, memo)
         SELECT account, deposit, amount, memo
         FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[])
              WITH ORDINALITY AS booked (account, deposit, amount, memo, position)
         ORDER BY position",
    )
    .bind(text(|booking| &booking.account))
    .bind(bookings.iter().map(|booking| booking.deposit.to_i64()).collect::<Vec<_>>())
    .bind(bookings.iter().map(|booking| booking.amount).collect::<Vec<_>>())
    .bind(text(|booking| &booking.memo))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Appends one event per account, with the version that was just written.
fn publish(tx: &mut Tx, accounts: &BTreeMap<String, Row>) -> Result<(), Failure> {
    for (id, row) in accounts {
        tx.append(Cause::default(), sequence(row.version + 1), &row.state(id))?;
    }
    Ok(())
}

fn sequence(number: i64) -> Sequence {
    Sequence::from_i64(number).unwrap_or_default()
}

type Columns = (String, i64, bool, i64, i64);

impl Row {
    fn read((id, balance, closed, version, last_deposit): Columns) -> (String, Self) {
        (id, Self { balance, closed, version, last_deposit: sequence(last_deposit), changed: false })
    }

    fn state(&self, id: &str) -> Balances {
        if self.closed {
            Balances::Erased(Account { account: id.to_owned() })
        } else {
            Balances::Changed(Balance { account: id.to_owned(), balance: self.balance })
        }
    }
}
