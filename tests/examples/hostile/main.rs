//! `./scripts/hostile`: attacks a system of its own as strangers would, while an honest client measures how long it waits,
//! and prints a table of what was tried and what came of it. An attack is a function and a line of [`ATTACKS`].

#![expect(clippy::expect_used, reason = "the attackers' own errors end the script")]

mod honest;
mod memory;
mod requests;
mod slots;
mod strangers;
mod target;
mod tokens;

use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use honest::Latency;
use target::Target;

/// What came of an attack.
struct Outcome {
    /// In a few words, with figures.
    found: String,
    /// Whether what is promised held.
    held: bool,
}

type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

struct Attack {
    /// What selects it on the command line.
    name: &'static str,
    /// What is done, and what has to hold.
    tried: &'static str,
    /// The service whose honest client is watched.
    service: &'static str,
    run: for<'a> fn(&'a Target) -> Running<'a>,
}

macro_rules! attack {
    ($name:literal, $service:literal, $run:path, $tried:literal) => {
        Attack { name: $name, tried: $tried, service: $service, run: |target| Box::pin($run(target)) }
    };
}

/// Attacks on the ports and the memory: the honest client must hardly notice.
const ATTACKS: &[Attack] = &[
    attack!(
        "slow-readers",
        "order",
        slots::slow_readers,
        "4,200 connections ask for the bundle of /docs and never read"
    ),
    attack!(
        "pipelines",
        "order",
        slots::pipelines,
        "20 connections pipeline 404s and never read: each ends within 30 s"
    ),
    attack!("idle", "order", slots::idle, "5,000 connections that say nothing"),
    attack!(
        "half-bodies",
        "notification",
        memory::half_bodies_400,
        "400 bodies of 60 KB, half sent: below 80 MB"
    ),
    attack!(
        "more-half-bodies",
        "order",
        memory::half_bodies_1500,
        "1,500 bodies of 60 KB, half sent: below 80 MB"
    ),
    attack!(
        "large-heads",
        "payment",
        memory::large_heads,
        "300 clients with 400 KB of headers: 431, below 80 MB"
    ),
    attack!(
        "requests",
        "order",
        requests::malformed,
        "bare LF, no Host, two Hosts: 400; 401 before the body: Connection: close"
    ),
    attack!(
        "guesses",
        "inventory",
        tokens::guesses,
        "2,000 wrong tokens: 401, then 429; the right one is admitted"
    ),
];

/// Somebody else's address: the requests are load like any other, so the latency is shown and not bounded.
const STRANGERS: &[Attack] = &[
    attack!(
        "mail-bomb",
        "order",
        strangers::mail_bomb,
        "200 orders name one mailbox, each under another spelling: at most 30 mails; others get theirs"
    ),
    attack!(
        "refused",
        "notification",
        strangers::refused,
        "an address that has unsubscribed is signed up 20 times: no mail"
    ),
    attack!(
        "questions",
        "notification",
        strangers::questions,
        "one mailbox is signed up under 50 spellings: one mail that asks"
    ),
    attack!(
        "cancelled-order",
        "order",
        strangers::cancelled_order,
        "an order in a subscriber's name, cancelled: the subscriber is told all the same"
    ),
    attack!(
        "fake-wishes",
        "order",
        strangers::fake_wishes,
        "60 sold-out orders with notify_me before one confirmed subscriber: that one is told first"
    ),
    attack!(
        "who-orders",
        "order",
        strangers::who_orders,
        "two orders in one name: their answers share nothing that tells so"
    ),
    attack!(
        "who-subscribed",
        "notification",
        strangers::who_subscribed,
        "40 sign-ups of confirmed addresses, 40 of new ones: the time tells a pair apart in at most 70 %"
    ),
];

/// An honest client's p99 may grow by so much; the second figure is what noise of a busy machine explains alone.
const WORSE: (f64, Duration) = (2.0, Duration::from_millis(10));

#[tokio::main]
async fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted.iter().any(|name| name == "--list") {
        for attack in ATTACKS.iter().chain(STRANGERS) {
            println!("{:<18} {}", attack.name, attack.tried);
        }
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) =
        wanted.iter().find(|name| !ATTACKS.iter().chain(STRANGERS).any(|attack| attack.name == **name))
    {
        eprintln!("there is no attack {unknown}: --list shows those there are");
        return ExitCode::FAILURE;
    }
    if !all(&wanted).await {
        eprintln!("not everything held");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Runs the attacks that are wanted, or all; whether everything held.
async fn all(wanted: &[String]) -> bool {
    let target = Target::start().await;
    println!("| attack | tried | found | an honest client's p99 | |");
    println!("|---|---|---|---|---|");
    let mut held = true;
    let is_wanted = |attack: &&Attack| wanted.is_empty() || wanted.contains(&attack.name.to_owned());
    for attack in ATTACKS.iter().filter(is_wanted) {
        let (outcome, latency, is_unharmed) = run(attack, &target).await;
        let all_held = outcome.held && is_unharmed;
        print(attack, &outcome.found, &latency, all_held);
        held &= all_held;
    }
    for attack in STRANGERS.iter().filter(is_wanted) {
        let (outcome, latency, _) = run(attack, &target).await;
        print(attack, &outcome.found, &latency, outcome.held);
        held &= outcome.held;
    }
    held
}

/// What came of an attack, with what it did to the honest client's latency; and whether that is within its bound.
async fn run(attack: &Attack, target: &Target) -> (Outcome, String, bool) {
    let healthy = honest::watch(target, attack.service, tokio::time::sleep(Duration::from_secs(3))).await.0;
    let (during, outcome) = honest::watch(target, attack.service, (attack.run)(target)).await;
    let (latency, is_unharmed) = compare(&healthy, &during);
    (outcome, latency, is_unharmed)
}

fn print(attack: &Attack, found: &str, latency: &str, held: bool) {
    let verdict = if held { "held" } else { "**failed**" };
    println!("| {} | {} | {found} | {latency} | {verdict} |", attack.name, attack.tried);
}

fn compare(healthy: &Latency, during: &Latency) -> (String, bool) {
    let (before, after) = (healthy.p99(), during.p99());
    let ratio = after.as_secs_f64() / before.as_secs_f64();
    let text = format!(
        "{:.1} → {:.1} ms (× {ratio:.1}), {} of {} refused",
        before.as_secs_f64() * 1e3,
        after.as_secs_f64() * 1e3,
        during.failed,
        during.count()
    );
    (text, during.failed == 0 && (ratio <= WORSE.0 || after <= before + WORSE.1))
}
