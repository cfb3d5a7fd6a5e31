//! A service as a value: its name, what it keeps and follows, and how its parts are wired.

use std::sync::Arc;

use broker::{Compacted, History, HistorySource, Outbox, Subscription, Waits};
use clap::{ArgMatches, Args};
use envelope::Topic;
use futures::future::BoxFuture;
use sqlx::migrate::Migrator;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use crate::settings::Common;
use crate::upgrade::Upgrade;

/// What [`crate::run`] runs.
pub struct Service<C> {
    /// `order`: the binary's name, its consumer group, the source of its events.
    pub name: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// Where it listens by default; the ops port is 1000 above.
    pub port: u16,
    /// The service's own schema, after the broker's.
    pub migrations: &'static Migrator,
    /// What `migrate` does to older rows after the schema is up to date, in this order.
    pub upgrades: &'static [Upgrade],
    /// The topics that it publishes and those that it follows; `migrate` creates them.
    pub topics: &'static [Topic],
    /// Puts the parts together; nothing runs yet.
    pub wire: fn(Context<C>) -> anyhow::Result<Parts>,
    /// An operator's commands that this service alone has, beside those that all have.
    pub commands: Vec<Command<C>>,
}

/// What a service's parts are made of.
pub struct Context<C> {
    /// The service's own settings.
    pub config: C,
    /// The settings that all services share.
    pub common: Common,
    /// Where transactions begin, and the pool.
    pub outbox: Outbox,
}

/// A service's parts.
#[derive(Default)]
pub struct Parts {
    /// Its HTTP contract.
    pub api: OpenApiRouter,
    /// What it follows.
    pub subscriptions: Vec<Subscription>,
    /// A fold of each topic that it owns, by which a database that was restored from an older copy is rolled forward from
    /// what was published. `seen` is the aggregate's own version; `decide` takes the event for a fact: it changes the
    /// state as the event says, appends nothing, announces nothing and calls nobody.
    pub own: Vec<Subscription>,
    /// The compacted topics that it owns.
    pub compacted: Vec<Arc<dyn Compacted>>,
    /// The topics with cleanup by deletion that it owns, and how their events are rebuilt.
    pub histories: Vec<History>,
    /// Its aggregates that wait for an event of a topic that it follows.
    pub waits: Vec<Waits>,
    /// Its workers.
    pub tasks: Vec<Task>,
}

impl Parts {
    /// What remembers the service's history.
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

pub(crate) type Run<C> =
    Box<dyn Fn(Context<C>, &ArgMatches) -> clap::error::Result<BoxFuture<'static, anyhow::Result<()>>>>;

impl<C> Command<C> {
    /// A command called `name`; the options `A` with their comments are its manual. It runs beside the service, which may be
    /// running or not; the database is there, with the schema that this program expects.
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

/// Something that runs beside the rest until it is told to stop.
pub struct Task {
    pub(crate) name: &'static str,
    /// Whether it begins before it is known that the database is not older than what was published.
    pub(crate) serves: bool,
    pub(crate) start: Start,
    pub(crate) stalled: Option<watch::Receiver<bool>>,
}

impl Task {
    /// A task called `name` in the log. It begins when it is known that the database is not older than what was published:
    /// not while Kafka does not answer.
    pub fn new<F>(name: &'static str, run: impl FnOnce(CancellationToken) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { name, serves: false, start: Box::new(move |stop| Box::pin(run(stop))), stalled: None }
    }

    /// A task that answers requests: it begins with the API, also without Kafka.
    #[must_use]
    pub fn serving(self) -> Self {
        Self { serves: true, ..self }
    }

    /// Fails `/health/consuming` while `stalled` is true: work is due, and none of it is done.
    #[must_use]
    pub fn watched_by(self, stalled: watch::Receiver<bool>) -> Self {
        Self { stalled: Some(stalled), ..self }
    }
}
