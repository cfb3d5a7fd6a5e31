//! The notification of ten thousand subscribers after one restock; `scripts/notify-scale` runs and describes it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use system_tests::{Inbox, Mail, Shop, eventually};

const SUBSCRIBERS: usize = 10_000;
/// The number of subscribers, for rates per second.
const ALL: f64 = 10_000.0;
/// The number of SMTP connections, which is that of the service.
const CONNECTIONS: usize = 8;

/// Returns SQL that inserts subscribers to PEN, who wait in the order of their numbers.
fn insert(table: &str) -> String {
    format!(
        "INSERT INTO {table} (id, sku, email, quantity, state, consent, consented_at, created_at, activated_at, expires_at, claim)
         SELECT gen_random_uuid(), 'PEN', 'subscriber-' || n || '@example.com', 1, 'waiting', 'double_opt_in', now(), now(),
                now() - interval '1 day' + n * interval '1 second', now() + interval '180 days', 'scale-' || n
         FROM generate_series(0, {}) AS n", SUBSCRIBERS - 1)
}

/// One statement that writes as many rows as the fan-out writes deliveries.
const COPY: &str = "CREATE UNLOGGED TABLE yardstick_of (LIKE deliveries INCLUDING ALL); ALTER TABLE yardstick_of SET LOGGED;
    INSERT INTO yardstick_of (id, kind, channel, sku, subscription_id, restocks, data, next_at)
    SELECT gen_random_uuid(), 'back_in_stock', channel, 'PEN', subscriptions.id, 1,
           jsonb_build_object('kind', 'back_in_stock', 'subscription_id', subscriptions.id, 'sku', sku, 'restocks', 1), now()
    FROM subscriptions, unnest(ARRAY['log', 'smtp']) AS channel WHERE sku = 'PEN'; DROP TABLE yardstick_of";

async fn seconds(what: impl Future<Output = ()>) -> f64 {
    let started = Instant::now();
    what.await;
    started.elapsed().as_secs_f64()
}

/// Sends `count` mails like `like` to the mail server over one connection.
fn feed(inbox: &Inbox, like: &str, count: usize) {
    let stream = TcpStream::connect(inbox.url().trim_start_matches("smtp://")).unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut answers, mut out, mut answer) = (BufReader::new(&stream), &stream, String::new());
    let mut say = |words: &str| {
        out.write_all(words.as_bytes()).unwrap();
        answer.clear();
        while answer.lines().last().is_none_or(|line| line.as_bytes().get(3) != Some(&b' ')) {
            assert!(answers.read_line(&mut answer).unwrap() > 0);
        }
    };
    say("");
    say("EHLO yardstick\r\n");
    for _ in 0..count {
        for words in
            ["MAIL FROM:<shop@localhost>\r\n", "RCPT TO:<yardstick@example.com>\r\n", "DATA\r\n", like]
        {
            say(words);
        }
    }
}

/// The resident memory of the notification service, in MiB.
fn memory(shop: &Shop) -> u64 {
    let status = std::fs::read_to_string(format!(
        "/proc/{}/status",
        shop.system.service("notification").pid().unwrap()
    ));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

/// Places orders one after the other until `done`, and returns their sorted latencies in milliseconds.
async fn orders(shop: &Shop, mut done: impl FnMut() -> bool) -> Vec<f64> {
    let mut took = Vec::new();
    while !done() {
        took.push(1000.0 * seconds(async { drop(shop.order("MUG", 1, "pm_card_visa").await) }).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    took.sort_by(f64::total_cmp);
    took
}

/// Returns the number of the subscriber that a mail is for.
fn number(mail: &Mail) -> usize {
    mail.to.trim_start_matches("subscriber-").trim_end_matches("@example.com").parse().unwrap()
}

/// Sends one mail of this size per subscriber directly to the mail server, and returns the duration in seconds.
fn seconds_to_feed(inbox: &Inbox, size: usize) -> f64 {
    let mail = format!("{}\r\n", "x".repeat(70)).repeat(size / 72) + ".\r\n";
    let started = Instant::now();
    std::thread::scope(|threads| {
        for _ in 0..CONNECTIONS {
            threads.spawn(|| feed(inbox, &mail, SUBSCRIBERS / CONNECTIONS));
        }
    });
    started.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; scripts/notify-scale runs it"]
async fn ten_thousand_are_notified_once_in_order_while_orders_are_placed() {
    let inbox = Inbox::open();
    let settings = [("WAVE_FACTOR", "1000000"), ("WAVE_INTERVAL", "1h"), ("LOG_MESSAGES", "false")];
    let shop = Shop::with_mail(&inbox, &settings).await;
    shop.stock("MUG", 100_000).await;
    shop.stock("PEN", 0).await;
    shop.system.in_database("notification", &insert("subscriptions")).await.unwrap();
    let copied = seconds(async { shop.system.in_database("notification", COPY).await.unwrap() }).await;
    let started = Instant::now();
    let usual = orders(&shop, || started.elapsed() > Duration::from_secs(5)).await;
    let before = memory(&shop);

    shop.restock("PEN", 1000).await;
    let started = Instant::now();
    let (mut most, mut queued) = (before, None);
    let meanwhile = orders(&shop, || {
        most = most.max(memory(&shop));
        (inbox.count() >= SUBSCRIBERS && inbox.back_in_stock().len() >= SUBSCRIBERS)
            || started.elapsed() > Duration::from_mins(20)
    });
    let watch = async {
        let rows = || async { shop.report("PEN").await["notified"].as_u64() > Some(0) };
        eventually("the first mail is sent", async || rows().await.then_some(())).await;
        queued = Some(started.elapsed().as_secs_f64());
    };
    let (meanwhile, ()) = futures::join!(meanwhile, watch);
    let notified = started.elapsed().as_secs_f64();
    let mails = inbox.back_in_stock();
    shop.reports("PEN", &json!({"notified": SUBSCRIBERS, "waiting": 0})).await;
    shop.system.quiesce().await.unwrap();

    let numbers: Vec<usize> = mails.iter().map(number).collect();
    let mut once = numbers.clone();
    once.sort_unstable();
    assert_eq!(once, (0..SUBSCRIBERS).collect::<Vec<_>>(), "one mail per subscriber");
    let displaced = numbers.iter().enumerate().map(|(at, number)| at.abs_diff(*number)).max().unwrap();
    let fed = seconds_to_feed(&inbox, mails[0].text.len());

    let at = |took: &[f64], share: usize| took[(took.len() - 1) * share / 100];
    println!(
        "{SUBSCRIBERS} notified in {notified:.1} s ({:.0}/s), the first after {:.2} s",
        ALL / notified,
        queued.unwrap()
    );
    println!(
        "deviation from the order of arrival: at most {displaced} positions ({CONNECTIONS} connections)"
    );
    println!("Postgres' INSERT … SELECT of as many rows: {copied:.2} s; ratio {:.3}", copied / notified);
    println!("the mail server fed directly: {fed:.1} s ({:.0}/s); ratio {:.2}", ALL / fed, fed / notified);
    println!("memory: {before} MiB before, {most} MiB at most");
    println!(
        "latency of orders, ms: before p50 {:.1} p95 {:.1}; meanwhile p50 {:.1} p95 {:.1}",
        at(&usual, 50),
        at(&usual, 95),
        at(&meanwhile, 50),
        at(&meanwhile, 95)
    );
}
