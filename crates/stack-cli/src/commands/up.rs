//! `up`: starts the servers, applies the migrations, starts the services, creates the sample catalogue; then shows the
//! logs until Ctrl-C.

use crate::commands::buttons;
use crate::local::Local;
use crate::screen::{Step, say};
use crate::{env_file, follow, lock, prepare, seed, tour};
use stack::ports::NODES;
use stack::{Daemon, Home, Stop, home, running};

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of a command line")]
pub(crate) struct Arguments {
    /// Return when everything is ready, and leave the system running.
    #[arg(long)]
    detach: bool,
    /// Delete all data of an earlier run first.
    #[arg(long)]
    fresh: bool,
    /// The number of nodes of the private Kafka, each of which is broker and controller (default: 1).
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(NODES)))]
    brokers: u16,
    /// Give each service a Kafka user of its own, with the rights that it needs.
    #[arg(long)]
    secure: bool,
    /// Start although the cluster does not apply the topics' settings; see docs/cluster.md.
    #[arg(long)]
    accept_differences: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut local = Local::from_env()?;
    let home = local.home.clone();
    (local.nodes, local.secure) = (arguments.brokers, arguments.secure);
    let adds_to_given = local.given_brokers.is_some() && (local.nodes > 1 || local.secure);
    anyhow::ensure!(
        !adds_to_given,
        "--brokers and --secure are for a private Kafka; KAFKA_BROKERS names another one"
    );
    anyhow::ensure!(
        program::variable("KAFKA_BROKERS").is_some()
            || program::variable("KAFKA_SECURITY_PROTOCOL").is_none(),
        "KAFKA_SECURITY_PROTOCOL is set, but KAFKA_BROKERS is not: it applies to an external cluster only; for a private Kafka \
         with users: ./scripts/up --secure"
    );
    let nodes = Local::read(home.clone()).map_or(local.nodes, |before| *before.node_ids().end());
    let keeps_data = local.home.data("kafka").exists() && !arguments.fresh && local.given_brokers.is_none();
    anyhow::ensure!(
        nodes == local.nodes || !keeps_data,
        "the data are those of a Kafka with {nodes} node(s): ./scripts/up --brokers {nodes}, or add --fresh, which deletes them"
    );
    home::create_private_dir(&local.home.run())?;
    let _lock = lock::hold(&home)?;
    // A setting that is refused leaves a running system alone.
    local.settings = local.settings_in_environment()?;
    local.connect()?;
    prepare::check_settings(&local).await?;
    let mut stop = Stop::new()?.or_hang_up()?;
    let started = tokio::select! {
        started = Box::pin(start(local, arguments)) => started,
        which = stop.asked() => Err(anyhow::anyhow!("stopped by {which}")),
    };
    let (local, daemons) = match started {
        Ok(started) => started,
        Err(error) => {
            end(&home, &mut stop, |_| ()).await;
            return Err(error);
        }
    };
    tour::print(&local, arguments.detach)?;
    if arguments.detach {
        return Ok(());
    }
    let ended = tokio::select! {
        ended = follow::logs_and_exits(&home, daemons) => ended,
        which = stop.asked() => { say(format_args!("\n{which}: stopping")); Ok(()) }
    };
    end(&home, &mut stop, |what| say(format_args!("  {what}"))).await;
    ended
}

async fn start(local: Local, arguments: &Arguments) -> anyhow::Result<(Local, Vec<Daemon>)> {
    let left = running::names(&local.home.run());
    if !left.is_empty() {
        say(format_args!("  … stopping processes of an earlier up: {}", left.join(", ")));
        running::stop_all(&local.home.run(), |_| ()).await;
    }
    prepare::require_ports(&local)?;
    if arguments.fresh {
        prepare::delete_data(&local)?;
    }
    local.save()?;
    let mut daemons = Box::pin(prepare::servers(&local)).await?;
    if arguments.fresh {
        prepare::delete_on_given_servers(&local).await?;
    }
    prepare::databases(&local, arguments.accept_differences).await?;
    env_file::write(&local)?;
    daemons.extend(services(&local).await?);
    let buttons = buttons::daemon(local.ports.control(), &local.home.run())?;
    buttons.start().await?;
    daemons.push(buttons);
    seed::once(&local, &local.home.services()?).await?;
    Ok((local, daemons))
}

/// Starts all services at once, then waits until each is ready and consumes its topics.
async fn services(local: &Local) -> anyhow::Result<Vec<Daemon>> {
    let names = local.home.services()?;
    let step = Step::begin(format_args!("starting {}", names.join(", ")));
    let mut daemons = Vec::new();
    for name in &names {
        let daemon = local.first_instance(name)?;
        daemon.spawn()?;
        daemons.push(daemon);
    }
    for (name, daemon) in names.iter().zip(&daemons) {
        daemon.wait_ready().await?;
        step.done(format_args!("{name} is ready on {}", local.endpoints(name)?.url()));
    }
    for name in &names {
        prepare::consuming(local, name).await?;
    }
    Ok(daemons)
}

/// Stops everything; a second Ctrl-C kills what still runs.
async fn end(home: &Home, stop: &mut Stop, report: impl Fn(&str)) {
    let dir = home.run();
    tokio::select! {
        () = running::stop_all(&dir, report) => {}
        _ = stop.asked() => running::kill_all(&dir),
    }
}
