//! A service as a value: its name, schema and topics, and the function that creates its parts.

use std::sync::Arc;

use broker::{Compacted, Outbox, Subscription};
use broker_ops::{History, HistorySource, Waits};
use clap::{ArgMatches, Args, Parser};
use envelope::Topic;
use futures::future::BoxFuture;
use sqlx::migrate::Migrator;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use crate::settings::Common;
use crate::upgrade::Upgrade;

/// A service for [`crate::run`].
pub struct Service<C> {
    /// The name, such as `order`: of the program, of its consumer group, and of the source of its events.
    pub name: &'static str,
    /// The description, one line for `--help`.
    pub about: &'static str,
    /// The default port of the API; the ops port is 1000 above.
    pub port: u16,
    /// The service's own schema, applied after those of the crates below.
    pub migrations: &'static Migrator,
    /// The upgrades of older rows that `migrate` applies after the schema, in this order.
    pub upgrades: &'static [Upgrade],
    /// The topics that the service publishes or consumes; `migrate` creates them.
    pub topics: &'static [Topic],
    /// The services whose consumer group and dead letters the service shows; only the rights at Kafka need them.
    pub shows: &'static [&'static str],
    /// Creates the parts; nothing runs yet.
    pub wire: fn(Context<C>) -> anyhow::Result<Parts>,
    /// The operator's commands that this service alone has.
    pub commands: Vec<Command<C>>,
}

impl<C> Service<C> {
    /// The migrations of the service's database, in the order in which they are applied.
    pub(crate) fn migrators(&self) -> [&'static Migrator; 3] {
        [&broker::MIGRATIONS, &web::MIGRATIONS, self.migrations]
    }
}

/// The settings of a service, from the command line and the environment.
#[derive(Debug, Parser)]
pub(crate) struct Cli<C: Args> {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) config: C,
}

impl<C: Args + Clone> Cli<C> {
    pub(crate) fn context(&self, outbox: Outbox) -> Context<C> {
        Context { config: self.config.clone(), common: self.common.clone(), outbox }
    }
}

/// The values from which a service creates its parts.
pub struct Context<C> {
    /// The service's own settings.
    pub config: C,
    pub common: Common,
    /// The outbox, which begins transactions and has the pool.
    pub outbox: Outbox,
}

#[derive(Default)]
pub struct Parts {
    pub api: OpenApiRouter,
    /// The topics that the service consumes, each with its handler.
    pub subscriptions: Vec<Subscription>,
    /// The topics that the service owns, each with a handler that rolls a restored database forward. There `last_sequence`
    /// is the aggregate's own version, and `handle` takes the event as a fact: it changes the state as the event says, and
    /// appends, publishes and calls nothing.
    pub own: Vec<Subscription>,
    /// The compacted topics that the service owns.
    pub compacted: Vec<Arc<dyn Compacted>>,
    /// The other topics that the service owns, each with the query that rebuilds its events.
    pub histories: Vec<History>,
    /// The aggregates that wait for an event of a consumed topic.
    pub waits: Vec<Waits>,
    pub tasks: Vec<Task>,
}

impl Parts {
    /// Returns the topics that show what the service has published and read.
    pub(crate) fn history_source(&self, settings: broker::Settings, outbox: Outbox) -> HistorySource {
        let followed = self.subscriptions.iter().map(Subscription::topic).collect();
        HistorySource { settings, outbox, own: self.own.clone(), followed }
    }
}

/// An operator's command of one service, as `SERVICE NAME [OPTIONS]`.
pub struct Command<C> {
    pub(crate) definition: clap::Command,
    pub(crate) run: Run<C>,
}

type Run<C> =
    Box<dyn Fn(Context<C>, &ArgMatches) -> clap::error::Result<BoxFuture<'static, anyhow::Result<()>>>>;

impl<C> Command<C> {
    /// Creates a command called `name`; the comments of its options `A` are its manual. The service may be running while the
    /// command runs. The database is verified before.
    pub fn new<A, F>(name: &'static str, about: &'static str, run: fn(Context<C>, A) -> F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
        C: 'static,
        A: Args + 'static,
    {
        let run: Run<C> = Box::new(move |context, matches| {
            Ok(Box::pin(run(context, A::from_arg_matches(matches)?)) as BoxFuture<'static, _>)
        });
        Self { definition: A::augment_args(clap::Command::new(name).about(about)), run }
    }

    pub(crate) fn name(&self) -> &str {
        self.definition.get_name()
    }
}

type Start = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// A worker that runs until its token is cancelled.
pub struct Task {
    pub(crate) name: &'static str,
    /// Whether the task starts with the API, before the database's age is known.
    pub(crate) serves: bool,
    pub(crate) start: Start,
    pub(crate) stalled: Option<watch::Receiver<bool>>,
}

impl Task {
    /// Creates a task called `name` in the log. The task starts once the database is known not to be older than the published
    /// records, which needs Kafka.
    pub fn new<F>(name: &'static str, run: impl FnOnce(CancellationToken) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { name, serves: false, start: Box::new(move |stop| Box::pin(run(stop))), stalled: None }
    }

    /// Starts the task with the API, also without Kafka: it answers requests.
    #[must_use]
    pub fn serving(self) -> Self {
        Self { serves: true, ..self }
    }

    /// Fails `/health/consuming` while `stalled` is true: work is due, and none completes.
    #[must_use]
    pub fn watched_by(self, stalled: watch::Receiver<bool>) -> Self {
        Self { stalled: Some(stalled), ..self }
    }
}
