//! Reads the history of a site: topics from their beginning, tables, the gateway's ledger, mails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use checker::{History, Mail, Record, Tables, tables};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use testkit::topics;

use crate::site::{Kind, Site};

impl Site {
    /// Reads everything.
    pub(crate) async fn collect(&self) -> anyhow::Result<History> {
        let records = self.records().await?;
        let mut history = self.look().await?;
        history.records = records;
        history.mails = self.mails();
        let record = self.record();
        history.calls.clone_from(&record.calls);
        history.calls.sort_by_key(|call| call.sent);
        history.idle_at.clone_from(&record.idle_at);
        history.interruptions = self.interruptions.load(Ordering::Relaxed);
        history.republished = self.kind == Kind::Rewritten;
        Ok(history)
    }

    /// Reads the tables alone, which say whether the system is idle.
    pub(crate) async fn look(&self) -> anyhow::Result<History> {
        let mut tables = Tables::default();
        let mut order = self.database("order").await?;
        tables.orders = table(&mut order, "orders").await?;
        tables.customers = table(&mut order, "customers").await?;
        let mut payment = self.database("payment").await?;
        tables.payments = table(&mut payment, "payments").await?;
        tables.authorizations = table(&mut payment, "gateway.authorizations").await?;
        tables.refunds = table(&mut payment, "gateway.refunds").await?;
        let mut inventory = self.database("inventory").await?;
        tables.products = table(&mut inventory, "products").await?;
        tables.stock = table(&mut inventory, "stock").await?;
        tables.reservations = table(&mut inventory, "reservations").await?;
        let mut notification = self.database("notification").await?;
        tables.deliveries = table(&mut notification, "deliveries").await?;
        tables.subscriptions = table(&mut notification, "subscriptions").await?;
        for service in self.services() {
            let broker = self.broker(&service).await?;
            tables.brokers.insert(service, broker);
        }
        let injected = self.record().injected.clone();
        Ok(History { tables, injected, ..History::default() })
    }

    /// Whether waves of back-in-stock mails are due, now or later. They stay due while subscribers wait and the product is in stock.
    pub(crate) async fn waves_are_due(&self) -> anyhow::Result<bool> {
        let due = "SELECT EXISTS (SELECT FROM stock WHERE wave_at IS NOT NULL)";
        Ok(sqlx::query_scalar(due).fetch_one(&mut self.database("notification").await?).await?)
    }

    async fn database(&self, service: &str) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect(self.shop.system.database_url(service)).await?)
    }

    async fn broker(&self, service: &str) -> anyhow::Result<tables::Broker> {
        let database = &mut self.database(service).await?;
        let leases = "SELECT to_jsonb(t) || jsonb_build_object('live', expires_at > clock_timestamp()) FROM broker.leases t";
        let system = &self.shop.system;
        let positions =
            stack::backlog::positions(system.database_url(service), system.brokers(), system.topic_prefix())
                .await?;
        let position = |position: stack::backlog::Position| tables::Position {
            topic: position.topic,
            partition: position.partition,
            next_offset: position.next,
            end: position.log.map(|log| log.end),
        };
        Ok(tables::Broker {
            outbox: rows(database, "SELECT jsonb_build_object('id', id, 'topic', topic) FROM broker.outbox")
                .await?,
            positions: positions.into_iter().map(position).collect(),
            dead_letters: table(database, "broker.dead_letters").await?,
            leases: rows(database, leases).await?,
        })
    }

    async fn records(&self) -> anyhow::Result<Vec<Record>> {
        let system = &self.shop.system;
        let records = topics::read(system.brokers(), system.topic_prefix()).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let record = |record: topics::Record| Record {
            topic: record.topic.trim_start_matches(system.topic_prefix()).to_owned(),
            partition: record.partition,
            offset: record.offset,
            key: text(&record.key),
            value: (!record.value.is_empty()).then(|| text(&record.value)),
            headers: headers(&text(&record.headers)),
        };
        let recording = self.record();
        let mut all = recording.lost.clone();
        let lost: BTreeSet<_> = all.iter().map(Record::place).collect();
        let present = records.into_iter().map(record).map(|mut record| {
            let base = recording.bases.get(&(record.topic.clone(), record.partition));
            record.offset += base.copied().unwrap_or_default();
            record
        });
        all.extend(present.filter(|record| !lost.contains(&record.place())));
        Ok(all)
    }

    /// Keeps the records of a topic that is about to lose them. If the topic is `recreated`, its offsets start at 0 again.
    pub(crate) async fn keep_records(&self, topic: &str, recreated: bool) -> anyhow::Result<()> {
        let mut records = self.records().await?;
        records.retain(|record| record.topic == topic);
        let mut recording = self.record();
        if recreated {
            for record in &records {
                let base = recording.bases.entry((record.topic.clone(), record.partition)).or_default();
                *base = (*base).max(record.offset + 1);
            }
        }
        recording.lost.retain(|record| record.topic != topic);
        recording.lost.extend(records);
        Ok(())
    }

    fn mails(&self) -> Vec<Mail> {
        let offers = self.inbox.all_offered().into_iter();
        let mail = |(mail, accepted): (system_tests::Mail, bool)| {
            let id = mail.header("Message-ID")?.trim_start_matches('<').split('@').next()?.parse().ok()?;
            let about_order = !mail.text.contains("/subscriptions/unsubscribe")
                && !mail.text.contains("/subscriptions/confirm");
            Some(Mail { at: self.since(mail.at), to: mail.to, delivery: id, about_order, accepted })
        };
        offers.filter_map(mail).collect()
    }
}

/// Splits headers that are written one `name: value` per line.
fn headers(lines: &str) -> Vec<(String, String)> {
    let pairs = lines.lines().filter_map(|line| line.split_once(": "));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Reads all rows of a table.
async fn table<T: DeserializeOwned>(database: &mut PgConnection, name: &str) -> anyhow::Result<Vec<T>> {
    rows(database, &format!("SELECT to_jsonb(t) FROM {name} t")).await
}

async fn rows<T: DeserializeOwned>(database: &mut PgConnection, sql: &str) -> anyhow::Result<Vec<T>> {
    let rows: Vec<Value> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(database).await?;
    rows.into_iter().map(|row| Ok(serde_json::from_value(row)?)).collect()
}

/// The positions of each service, and the number of deliveries: a wave of back-in-stock mails adds deliveries and no record.
pub(crate) type Progress = (BTreeMap<String, Vec<tables::Position>>, usize);

/// Returns what stays the same from one look to the next while a system is idle.
pub(crate) fn progress(history: &History) -> Progress {
    let brokers = history.tables.brokers.iter();
    let positions = brokers.map(|(service, broker)| (service.clone(), broker.positions.clone())).collect();
    (positions, history.tables.deliveries.len())
}
