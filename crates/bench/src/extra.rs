//! The phases that need a system of their own: fan-out, mails, growth, two instances; and the broker's own measurement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Executor as _, PgPool, Row as _};
use testkit::{Servers, System};
use tokio::process::Command;

use crate::figure::Measured;
use crate::phases::cpu_per_order;
use crate::report::Results;
use crate::smtp::{self, Sink};
use crate::{Lengths, sustain};
use bench::shop::Shop;

const SUBSCRIBERS: usize = 10_000;
const CONNECTIONS: usize = 8;
/// The size of a back-in-stock mail, in bytes.
const MAIL: usize = 6_000;
const LIMIT: Duration = Duration::from_mins(10);
/// A table with fewer rows does not grow with the orders: the catalogue.
const GROWING: i64 = 3_000;

/// Subscribers to the product, who wait in the order of their numbers.
fn subscribe(sku: &str) -> String {
    format!(
        "INSERT INTO subscriptions (id, sku, email, quantity, state, consent, consented_at, created_at, activated_at, expires_at, claim)
         SELECT gen_random_uuid(), '{sku}', 'subscriber-' || n || '@example.com', 1, 'waiting', 'double_opt_in', now(), now(),
                now() - interval '1 day' + n * interval '1 second', now() + interval '180 days', 'bench-{sku}-' || n
         FROM generate_series(1, {SUBSCRIBERS}) AS n"
    )
}

/// The deliveries of a restock, written by one statement.
const COPY: &str = "INSERT INTO yardstick (id, kind, channel, sku, subscription_id, restocks, data, next_at)
    SELECT gen_random_uuid(), 'back_in_stock', 'log', sku, subscriptions.id, 1,
           jsonb_build_object('kind', 'back_in_stock', 'subscription_id', subscriptions.id, 'sku', sku, 'restocks', 1), now()
    FROM subscriptions WHERE sku = 'sku-fan-out'";

/// The fan-out of a restock to deliveries on the log channel, and to mails.
pub(crate) async fn fan_out(servers: &Arc<Servers>, results: &mut Results) -> anyhow::Result<()> {
    let sink = Sink::open().await?;
    let builder = System::builder()
        .env("notification", "WAVE_FACTOR", "1000000")
        .env("notification", "WAVE_INTERVAL", "1h")
        .env("notification", "LOG_MESSAGES", "false")
        .env("notification", "SMTP_FROM", "shop@example.com")
        .env("notification", "SMTP_URL", sink.url());
    let shop = Shop::with(servers, builder).await?;
    let pool = shop.notification();
    for sku in ["sku-fan-out", "sku-mails"] {
        shop.list(sku).await?;
        pool.execute(AssertSqlSafe(subscribe(sku))).await?;
    }
    pool.execute("CREATE TABLE yardstick (LIKE deliveries INCLUDING ALL)").await?;
    let started = Instant::now();
    pool.execute(COPY).await?;
    let copied = started.elapsed();

    let fanned = restock(
        &shop,
        "sku-fan-out",
        "SELECT count(*) FROM deliveries WHERE sku = 'sku-fan-out' AND channel = 'smtp'",
    )
    .await?;
    results.figure(Measured {
        name: "fan_out",
        ratio: copied.as_secs_f64() / fanned.as_secs_f64(),
        values: format!("{:.2} / {:.2} s", fanned.as_secs_f64(), copied.as_secs_f64()),
    });
    smtp::wait(&sink, SUBSCRIBERS, LIMIT).await?;

    let (before, started) = (sink.accepted(), Instant::now());
    shop.restock("sku-mails", 1_000).await?;
    smtp::wait(&sink, before + SUBSCRIBERS, LIMIT).await?;
    let mails = SUBSCRIBERS as f64 / started.elapsed().as_secs_f64();
    let bare = sink.feed(SUBSCRIBERS, MAIL, CONNECTIONS).await?;
    results.figure(Measured {
        name: "smtp",
        ratio: mails / bare,
        values: format!("{mails:.0} / {bare:.0} per second"),
    });
    Ok(())
}

/// Restocks the product and returns the time until as many deliveries exist as there are subscribers.
async fn restock(shop: &Shop, sku: &str, count: &'static str) -> anyhow::Result<Duration> {
    let started = Instant::now();
    shop.restock(sku, 1_000).await?;
    loop {
        let written: i64 = sqlx::query_scalar(count).fetch_one(shop.notification()).await?;
        if written >= i64::try_from(SUBSCRIBERS)? {
            return Ok(started.elapsed());
        }
        ensure!(
            started.elapsed() < LIMIT,
            "{written} of {SUBSCRIBERS} deliveries were written within {LIMIT:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The cost of an order in tables with `orders` orders, against the cost in tables with as many as the load before left.
pub(crate) async fn growth(
    shop: &Shop,
    servers: &Servers,
    rate: f64,
    orders: i64,
    lengths: &Lengths,
    results: &mut Results,
) -> anyhow::Result<()> {
    let small = cpu_per_order(shop, rate, lengths.half, results).await?;
    for service in shop.system.services() {
        let database: PgConnectOptions = shop.system.database_url(service).parse()?;
        // Only the superuser may turn the foreign keys' checks off.
        let options: PgConnectOptions = servers.postgres_url().parse()?;
        let options = options.database(database.get_database().unwrap_or_default());
        grow(&PgPool::connect_with(options).await?, orders)
            .await
            .with_context(|| format!("growing the tables of {service}"))?;
    }
    let large = cpu_per_order(shop, rate, lengths.half, results).await?;
    results.figure(Measured {
        name: "growth",
        ratio: large / small,
        values: format!("{:.2} / {:.2} ms, {orders} orders", large * 1e3, small * 1e3),
    });
    Ok(())
}

/// Copies the rows of each table that grows with the orders, until the largest has `rows`. In a copy, ids are replaced by
/// a function of the id and the copy's number, so that rows still refer to each other; texts that are unique without an id
/// get the number.
async fn grow(pool: &PgPool, rows: i64) -> anyhow::Result<()> {
    let tables = "SELECT schemaname || '.' || relname AS name, n_live_tup FROM pg_stat_user_tables
                  WHERE schemaname <> 'broker' AND relname <> '_sqlx_migrations'";
    pool.execute("ANALYZE").await?;
    let mut connection = pool.acquire().await?;
    connection.execute("SET synchronous_commit = off; SET session_replication_role = replica").await?;
    for table in connection.fetch_all(tables).await? {
        let (name, count): (String, i64) = (table.try_get(0)?, table.try_get(1)?);
        if count < GROWING {
            continue;
        }
        let columns = "SELECT attname::text AS name, format_type(atttypid, NULL) AS type,
                EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND indisunique AND attnum = ANY (indkey)
                    AND NOT EXISTS (SELECT FROM pg_attribute AS other WHERE other.attrelid = indrelid
                        AND other.attnum = ANY (indkey) AND other.atttypid = 'uuid'::regtype)) AS is_unique
            FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
              AND attgenerated = '' AND attidentity = ''";
        let columns = sqlx::query(columns).bind(&name).fetch_all(&mut *connection).await?;
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for column in columns {
            let (column, kind, is_unique): (String, String, bool) =
                (column.try_get(0)?, column.try_get(1)?, column.try_get(2)?);
            values.push(match (kind.as_str(), is_unique) {
                ("uuid", _) => format!("md5({column}::text || n)::uuid"),
                ("text", true) => format!("{column} || '-' || n"),
                _ => column.clone(),
            });
            names.push(column);
        }
        let copies = rows / count;
        let insert = format!(
            "INSERT INTO {name} ({}) SELECT {} FROM {name}, generate_series(1, {copies}) AS n ON CONFLICT DO NOTHING",
            names.join(", "),
            values.join(", ")
        );
        connection.execute(AssertSqlSafe(insert)).await.with_context(|| format!("copying {name}"))?;
    }
    connection.execute("RESET session_replication_role; CHECKPOINT; ANALYZE").await?;
    Ok(())
}

/// The sustained rate of two instances of each service.
pub(crate) async fn two_instances(
    servers: &Arc<Servers>,
    one: f64,
    lengths: &Lengths,
    results: &mut Results,
) -> anyhow::Result<()> {
    let shop = Shop::open(servers, 2).await?;
    let run =
        sustain::find(&shop, one, lengths.step, lengths.confirm).await?.context("no rate is sustained")?;
    results.figure(Measured {
        name: "two_instances",
        ratio: run.rate / one,
        values: format!("{:.0} / {one:.0} per second", run.rate),
    });
    Ok(())
}

/// The broker's own measurement, of its example `throughput`.
pub(crate) async fn broker(results: &mut Results) -> anyhow::Result<()> {
    let program = std::env::current_exe()?.with_file_name("examples").join("throughput");
    let output = Command::new(&program).args(["100000", "3"]).output().await;
    let output = output.with_context(|| format!("starting {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let ratio = text.split_once("In one line: ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    let ratio = ratio.with_context(|| format!("the broker's measurement failed: {text}"))?;
    results.figure(Measured { name: "broker", ratio, values: "100,000 events, 3 rounds".to_owned() });
    Ok(())
}
