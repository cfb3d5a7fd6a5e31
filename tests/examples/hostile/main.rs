//! `./scripts/hostile`: starts a system and attacks it as strangers would, while an honest client measures its latency.
//! Prints a table of the attacks and their results. An attack is a function and an entry of [`ATTACKS`] or
//! [`STRANGERS`].

#![expect(clippy::expect_used, reason = "the attackers' own errors end the script")]

mod honest;
mod memory;
mod overload;
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

/// The result of an attack.
struct Outcome {
    /// The observation in a few words, with figures.
    found: String,
    /// Whether the system kept its promise.
    held: bool,
}

type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

struct Attack {
    /// The name on the command line.
    name: &'static str,
    /// The attack and the expected result.
    tried: &'static str,
    /// The service whose latency the honest client measures.
    service: &'static str,
    run: for<'a> fn(&'a Target) -> Running<'a>,
}

macro_rules! attack {
    ($name:literal, $service:literal, $run:path, $tried:literal) => {
        Attack { name: $name, tried: $tried, service: $service, run: |target| Box::pin($run(target)) }
    };
}

/// The attacks on ports and memory, during which the honest client's latency must stay within [`WORSE`].
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
        "20 connections pipeline requests with 404 and never read: each ends within 30 s"
    ),
    attack!("idle", "order", slots::idle, "10,000 idle connections"),
    attack!(
        "slow-heads",
        "order",
        slots::slow_heads,
        "500 clients send a head at a byte per second: none may finish it"
    ),
    attack!(
        "half-bodies",
        "notification",
        memory::half_bodies_400,
        "400 half-sent bodies of 60 KB: memory below 80 MB"
    ),
    attack!(
        "more-half-bodies",
        "order",
        memory::half_bodies_1500,
        "1,500 half-sent bodies of 60 KB: memory below 80 MB"
    ),
    attack!(
        "endless-bodies",
        "order",
        memory::endless_bodies,
        "20 clients, 20 times, send 1 GB, or chunks without end: the connections end within 5 s, memory below 80 MB"
    ),
    attack!(
        "large-heads",
        "payment",
        memory::large_heads,
        "300 clients with 400 KB of headers: 431, memory below 80 MB"
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
        "2,000 wrong tokens: 401, then 429; the right token is accepted"
    ),
];

/// The attacks that use another person's address, and too many orders. Their requests are normal load, so the latency is not
/// bounded.
const STRANGERS: &[Attack] = &[
    attack!(
        "mail-bomb",
        "order",
        strangers::mail_bomb,
        "200 orders for one mailbox in different spellings: at most 30 mails; other customers get theirs"
    ),
    attack!(
        "refused",
        "notification",
        strangers::refused,
        "an address that has unsubscribed is subscribed 20 times: no mail"
    ),
    attack!(
        "questions",
        "notification",
        strangers::questions,
        "one mailbox is subscribed in 50 spellings: one confirmation request"
    ),
    attack!(
        "cancelled-order",
        "order",
        strangers::cancelled_order,
        "an order in a subscriber's name, then cancelled: the subscriber still gets the back-in-stock mail"
    ),
    attack!(
        "fake-wishes",
        "order",
        strangers::fake_wishes,
        "60 sold-out orders with notify_me before one confirmed subscriber: of a unit, at most two are notified, the subscriber too"
    ),
    attack!(
        "who-orders",
        "order",
        strangers::who_orders,
        "two orders in one name: no common field of the answers identifies the person"
    ),
    attack!(
        "who-subscribed",
        "notification",
        strangers::who_subscribed,
        "40 subscriptions of confirmed addresses, 40 of new ones: the latency reveals at most 70 % of the pairs"
    ),
    // Last: it leaves a backlog.
    attack!(
        "overload",
        "order",
        overload::overload,
        "five times as many orders as the system processes, each with a new idempotency key, for 2 minutes: 202 within 2 s, or 429 or 503 with Retry-After; as fast as before within 10 s"
    ),
];

/// The maximum growth of the honest client's p99: a factor, or an increase that noise of a busy machine explains.
const WORSE: (f64, Duration) = (2.0, Duration::from_millis(10));

/// The nice value of the attackers' threads.
const LOWEST_PRIORITY: i32 = 19;

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
        eprintln!("there is no attack `{unknown}`; --list shows the names");
        return ExitCode::FAILURE;
    }
    if !all(&wanted).await {
        eprintln!("at least one check failed; see the table");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Runs the named attacks, or all. Returns whether every check passed.
async fn all(wanted: &[String]) -> bool {
    let target = Target::start().await;
    println!("| attack | tried | found | an honest client's p99 | |");
    println!("|---|---|---|---|---|");
    let mut held = true;
    let is_wanted = |attack: &&Attack| wanted.is_empty() || wanted.contains(&attack.name.to_owned());
    for attack in ATTACKS.iter().filter(is_wanted) {
        let (outcome, latency, is_unharmed) = run(attack, &target, niced(attack, &target)).await;
        let all_held = outcome.held && is_unharmed;
        print(attack, &outcome.found, &latency, all_held);
        held &= all_held;
    }
    for attack in STRANGERS.iter().filter(is_wanted) {
        let (outcome, latency, _) = run(attack, &target, (attack.run)(&target)).await;
        print(attack, &outcome.found, &latency, outcome.held);
        held &= outcome.held;
    }
    held
}

/// Runs an attack. Returns its result, the honest client's latency, and whether the latency is within its bound.
async fn run(
    attack: &Attack,
    target: &Target,
    attacking: impl Future<Output = Outcome>,
) -> (Outcome, String, bool) {
    let healthy = honest::watch(target, attack.service, tokio::time::sleep(Duration::from_secs(3))).await.0;
    let (during, outcome) = honest::watch(target, attack.service, attacking).await;
    let (latency, is_unharmed) = compare(&healthy, &during);
    (outcome, latency, is_unharmed)
}

/// Runs an attack on a thread of the lowest priority. Attackers have machines of their own; here their computing must not
/// delay the honest client, only their requests.
async fn niced(attack: &Attack, target: &Target) -> Outcome {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = rustix::process::nice(LOWEST_PRIORITY);
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let _ = sender.send(runtime.block_on((attack.run)(target)));
        });
    });
    receiver.await.expect("the attack does not panic")
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
