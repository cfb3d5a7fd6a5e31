//! A running system with everything around it that a fault needs, and the record of what its clients saw.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use checker::{Call, Location, Request};
use reqwest::RequestBuilder;
use system_tests::{Inbox, Random, Shop, mailing};
use testkit::{Daemon, Place, Plan, Servers, System};
use tokio::sync::{RwLock, RwLockWriteGuard};

use crate::disk::Disk;
use crate::proxy::Proxy;

/// The time within which a process stops.
pub(crate) const STOPPING: Duration = Duration::from_secs(20);
/// The number of instances per service; the second one runs only where a fault starts it.
const INSTANCES: usize = 2;

/// The kinds of sites. A fault runs on a site of its own kind only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Proxies in front of Kafka and Postgres.
    Ordinary,
    /// Kafka and Postgres also have small disks, which a fault fills; only root can mount them.
    SmallDisks,
    /// A topic or a database loses its content, and events are published again.
    Rewritten,
}

/// A system under test.
pub struct Site {
    pub shop: Shop,
    pub(crate) inbox: Inbox,
    /// The proxies before Kafka and Postgres, unless the site has servers that a test started.
    proxies: Option<[Proxy; 2]>,
    pub(crate) record: Mutex<Recording>,
    /// The disks of Kafka and Postgres, when they can be filled. Declared, and so dropped, after the system that uses them.
    pub(crate) disks: Option<[Disk; 2]>,
    /// Each action of a customer holds it for reading.
    pub(crate) acting: RwLock<()>,
    /// Whether customers stop repeating requests that failed.
    giving_up: AtomicBool,
    pub kind: Kind,
    /// The number of customers at the same time.
    pub(crate) customers: u64,
    /// The number of events that may have cut a mail in flight.
    pub(crate) interruptions: AtomicUsize,
    start: Instant,
}

/// The events of a run so far, for the history.
#[derive(Default)]
pub(crate) struct Recording {
    pub calls: Vec<Call>,
    pub injected: BTreeSet<Location>,
    pub idle_at: Vec<u64>,
    /// The records that topics have lost since, or had before they were created again.
    pub lost: Vec<checker::Record>,
    /// For each partition of a topic that was created again: the number added to its offsets, so that its new records follow the
    /// lost ones.
    pub bases: BTreeMap<(String, i32), i64>,
}

impl Site {
    /// Starts a private Kafka and Postgres behind proxies, and one instance of each service, for this number of customers at
    /// the same time.
    pub async fn open(customers: u64, kind: Kind) -> anyhow::Result<Self> {
        let disks = match kind {
            Kind::SmallDisks => Some([Disk::mount("kafka")?, Disk::mount("postgres")?]),
            Kind::Ordinary | Kind::Rewritten => None,
        };
        let data = |number: usize| disks.as_ref().map(|disks| disks[number].data());
        let (at_kafka, at_postgres) = (Place::behind_a_proxy(data(0))?, Place::behind_a_proxy(data(1))?);
        let proxies = [Proxy::open(&at_kafka).await?, Proxy::open(&at_postgres).await?];
        let nodes = vec![[at_kafka, Place::direct()?]];
        let plan = Plan { nodes, postgres: Some(at_postgres), ..Plan::default() };
        let servers = Arc::new(Servers::planned(plan).await?);
        Ok(Self { proxies: Some(proxies), disks, kind, ..Self::on(servers, customers).await? })
    }

    /// Starts one instance of each service on these servers, which the caller breaks.
    pub async fn on(servers: Arc<Servers>, customers: u64) -> anyhow::Result<Self> {
        let inbox = Inbox::open();
        let builder = System::builder().servers(servers).built().instances_of_all(INSTANCES);
        let builder = builder.env("order", "ORDER_EXPIRES_AFTER", "30s");
        let settings = [("WAVE_INTERVAL", "1s"), ("SUBSCRIPTIONS_PER_ADDRESS_PER_HOUR", "1000")];
        let shop = Shop::with(mailing(builder, &inbox, &settings)).await;
        // Queues are checked after each round, and the injected dead letters stay.
        shop.system.leave_queues();
        let site = Self {
            shop,
            inbox,
            proxies: None,
            record: Mutex::default(),
            customers,
            disks: None,
            acting: RwLock::default(),
            giving_up: AtomicBool::new(false),
            kind: Kind::Ordinary,
            interruptions: AtomicUsize::new(0),
            start: Instant::now(),
        };
        for service in site.services() {
            site.shop.system.instance(&service, INSTANCES).stop(STOPPING).await;
        }
        site.fill().await?;
        Ok(site)
    }

    pub(crate) fn kafka(&self) -> anyhow::Result<&Proxy> {
        Ok(&self.proxies()?[0])
    }

    pub(crate) fn postgres(&self) -> anyhow::Result<&Proxy> {
        Ok(&self.proxies()?[1])
    }

    fn proxies(&self) -> anyhow::Result<&[Proxy; 2]> {
        self.proxies.as_ref().context("this system has no proxies before its servers")
    }

    /// Waits until all customers have finished what they are doing, and keeps them from doing more until the guard is dropped.
    /// A customer who repeats a failed request gives up, since the service may be down until the guard is dropped.
    pub(crate) async fn hold_load(&self) -> RwLockWriteGuard<'_, ()> {
        self.giving_up.store(true, Ordering::Relaxed);
        let held = self.acting.write().await;
        self.giving_up.store(false, Ordering::Relaxed);
        held
    }

    /// Whether customers stop repeating requests that failed.
    pub(crate) fn gives_up(&self) -> bool {
        self.giving_up.load(Ordering::Relaxed)
    }

    pub(crate) fn services(&self) -> Vec<String> {
        self.shop.system.services().map(str::to_owned).collect()
    }

    pub(crate) fn any_service(&self, random: &mut Random) -> String {
        random.pick(&self.services()).clone()
    }

    /// The first instance of a random service.
    pub(crate) fn any(&self, random: &mut Random) -> &Daemon {
        self.shop.system.service(&self.any_service(random))
    }

    pub(crate) fn second(&self, service: &str) -> &Daemon {
        self.shop.system.instance(service, INSTANCES)
    }

    pub(crate) fn daemons(&self) -> impl Iterator<Item = &Daemon> {
        let system = &self.shop.system;
        system.services().flat_map(|service| (1..=INSTANCES).map(|number| system.instance(service, number)))
    }

    /// The logs of the services' processes, with their names.
    pub fn logs(&self) -> impl Iterator<Item = (&str, String)> {
        self.daemons().map(|daemon| (daemon.name(), daemon.all_output()))
    }

    /// The time since the start, in milliseconds.
    pub(crate) fn now(&self) -> u64 {
        self.since(Instant::now())
    }

    /// The time of an instant, in milliseconds since the start.
    pub(crate) fn since(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    /// Counts an event that may have cut a mail in flight: a crash, a freeze, a cut connection.
    pub(crate) fn interrupt(&self) {
        self.interruptions.fetch_add(1, Ordering::Relaxed);
    }

    /// The events of the run so far.
    pub(crate) fn record(&self) -> MutexGuard<'_, Recording> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request and records it with its answer. Returns status and body; 0 without an answer.
    pub(crate) async fn send(&self, request: Request, http: RequestBuilder) -> (u16, String) {
        let sent = self.now();
        let answer = async {
            let answer = http.send().await?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>((status, answer.text().await?))
        };
        let answer = answer.await.ok();
        let answered = answer.as_ref().map(|_| self.now());
        let (status, answer) = answer.unwrap_or_default();
        self.record().calls.push(Call { request, sent, answered, status, answer: answer.clone() });
        (status, answer)
    }
}
