//! A service as a value: its name, schema and topics, and the function that creates its parts.

use std::sync::Arc;

use broker::{Compacted, Outbox, Subscription};
use broker_ops::{History, HistorySource, Waits};
use clap::{ArgMatches, Args};
use envelope::Topic;
use futures::future::BoxFuture;
use sqlx::migrate::Migrator;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use crate::settings::Common;
use crate::upgrade::Upgrade;

/// A service for [`crate::run`].
pub struct Service {
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
    pub wire: Wire,
    /// The operator's commands that this service alone has.
    pub commands: Vec<Command>,
}

impl Service {
    /// The migrations of the service's database, in the order in which they are applied.
    pub(crate) fn migrators(&self) -> [&'static Migrator; 3] {
        [&broker::MIGRATIONS, &web::MIGRATIONS, self.migrations]
    }
}

/// The settings of a service, from the command line and the environment.
#[derive(Debug)]
pub(crate) struct Cli {
    pub(crate) common: Common,
    /// Everything that was given; the service's own settings are read from it.
    pub(crate) matches: ArgMatches,
}

/// The function that creates a service's parts, and the settings of its own that it needs. Nothing runs yet.
pub struct Wire {
    pub(crate) add_settings: fn(clap::Command) -> clap::Command,
    pub(crate) create: Create,
}

type Create = Box<dyn Fn(&Cli, Outbox) -> anyhow::Result<Parts>>;

impl Wire {
    /// Creates it from a function that takes the own settings `C`. Their comments are the manual in `--help`.
    pub fn new<C: Args + 'static>(wire: fn(Context<C>) -> anyhow::Result<Parts>) -> Self {
        Self {
            add_settings: C::augment_args,
            create: Box::new(move |cli, outbox| wire(Context::new(cli, outbox)?)),
        }
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

impl<C: Args> Context<C> {
    fn new(cli: &Cli, outbox: Outbox) -> clap::error::Result<Self> {
        let config = C::from_arg_matches(&cli.matches)?;
        Ok(Self { config, common: cli.common.clone(), outbox })
    }
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
pub struct Command {
    pub(crate) definition: clap::Command,
    pub(crate) run: Run,
}

/// Takes the service's settings and the command's options.
type Run =
    Box<dyn Fn(&Cli, Outbox, &ArgMatches) -> clap::error::Result<BoxFuture<'static, anyhow::Result<()>>>>;

impl Command {
    /// Creates a command called `name`; the comments of its options `A` are its manual. The service may be running while the
    /// command runs. The database is verified before.
    pub fn new<C, A, F>(name: &'static str, about: &'static str, run: fn(Context<C>, A) -> F) -> Self
    where
        C: Args + 'static,
        A: Args + 'static,
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let run: Run = Box::new(move |cli, outbox, options| {
            let done = run(Context::new(cli, outbox)?, A::from_arg_matches(options)?);
            Ok(Box::pin(done) as BoxFuture<'static, _>)
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
