//! `start`, `stop` and `kill` for one service or server, and `down` for all.

use crate::local::{Local, NOTHING_RUNS};
use crate::lock;
use crate::screen::say;
use stack::process::{instance_name, instance_number};
use stack::service::Endpoints;
use stack::{Daemon, Home, kafka, maven, ports, process, running};
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A service, one instance of it (`payment-2`), `kafka` or `postgres`.
    name: String,
    /// The number of instances: for `start` the total, for `stop` and `kill` how many to end (default: all).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=50))]
    instances: Option<u16>,
}

/// The process or processes that a name on the command line means.
enum Target {
    Server(String),
    Service(String),
    Instance(String, usize),
}

pub(crate) async fn start(arguments: &Arguments) -> anyhow::Result<()> {
    let local = Local::load()?;
    let target = target(&local.home, arguments)?;
    // Two concurrent starts would start the same instance twice, and the pid file would name only one of them.
    let _lock = lock::start(&local.home)?;
    match target {
        Target::Server(name) => start_server(&local, &name).await,
        Target::Instance(name, number) => start_instance(&local, &name, number).await,
        Target::Service(name) => {
            for number in 1..=usize::from(arguments.instances.unwrap_or(1)) {
                start_instance(&local, &name, number).await?;
            }
            Ok(())
        }
    }
}

pub(crate) async fn stop(arguments: &Arguments) -> anyhow::Result<()> {
    let home = Home::find()?;
    let names = chosen(&home, arguments)?;
    running::stop(&home.run(), &names, |what| say(what)).await;
    Ok(())
}

pub(crate) fn kill(arguments: &Arguments) -> anyhow::Result<()> {
    let home = Home::find()?;
    for name in chosen(&home, arguments)? {
        if running::kill(&home.run(), &name) {
            say(format_args!("{name} killed"));
        }
    }
    Ok(())
}

pub(crate) async fn down() -> anyhow::Result<()> {
    let home = Home::find()?;
    let dir = home.run();
    if let Some(pid) = lock::holder(&home) {
        say(format_args!("stopping the up of another terminal (pid {pid})"));
        lock::ask_to_stop(pid);
        while lock::holder(&home) == Some(pid) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    } else if running::names(&dir).is_empty() {
        say("nothing is running");
    }
    running::stop_all(&dir, |what| say(what)).await;
    Ok(())
}

async fn start_server(local: &Local, name: &str) -> anyhow::Result<()> {
    let node = instance_number(name, "kafka").and_then(|id| u16::try_from(id).ok());
    anyhow::ensure!(
        !local.is_given(name),
        "./scripts/up uses an external {name}, which is not started or stopped here"
    );
    let exists = node.is_none_or(|id| local.node_ids().contains(&id));
    let nodes = *local.node_ids().end();
    anyhow::ensure!(
        exists,
        "there is no {name}: this Kafka has {nodes} node(s); with more it starts empty: ./scripts/up --fresh --brokers N"
    );
    if running::is_running(&local.home.run(), name) {
        say(format_args!("{name} is running already"));
        return Ok(());
    }
    let port = node.map_or(local.ports.postgres(), |id| local.ports.kafka(id));
    ports::require_free(port, name)?;
    let installed = maven::install(&local.home, |what| say(what)).await?;
    let daemon = match node {
        Some(id) => kafka::prepare(&installed, &local.kafka_node(id)?).await?,
        None => local.postgres(&installed).await?,
    };
    started(&daemon, &format!("127.0.0.1:{port}")).await
}

async fn start_instance(local: &Local, service: &str, number: usize) -> anyhow::Result<()> {
    let dir = local.home.run();
    let private: Vec<&str> = process::SERVERS.into_iter().filter(|name| !local.is_given(name)).collect();
    let is_down = !private.is_empty() && !private.iter().any(|name| running::is_running(&dir, name));
    anyhow::ensure!(!is_down, NOTHING_RUNS);
    let name = instance_name(service, number);
    if running::is_running(&dir, &name) {
        say(format_args!("{name} is running already"));
        return Ok(());
    }
    let endpoints = match number {
        1 => local.endpoints(service)?,
        _ => Endpoints { http: ports::free()?, ops: ports::free()? },
    };
    ports::require_free(endpoints.http, &name)?;
    ports::require_free(endpoints.ops, &format!("{name}'s health and metrics"))?;
    let daemon = local.service(service)?.instance(number, endpoints, &dir);
    started(&daemon, &endpoints.url()).await
}

/// Starts a process and waits until it is ready; kills the process when it does not become ready.
async fn started(daemon: &Daemon, place: &str) -> anyhow::Result<()> {
    if let Err(error) = daemon.start().await {
        daemon.clean_up();
        return Err(error.into());
    }
    say(format_args!("{} is ready on {place}", daemon.name()));
    Ok(())
}

/// Returns the running processes that a `stop` or `kill` means, the latest instances first.
fn chosen(home: &Home, arguments: &Arguments) -> anyhow::Result<Vec<String>> {
    let dir = home.run();
    let living = running::names(&dir);
    let mut names: Vec<String> = match target(home, arguments)? {
        Target::Server(name) => vec![name],
        Target::Instance(name, number) => vec![instance_name(&name, number)],
        Target::Service(name) => {
            let of = |candidate: &String| instance_number(candidate, &name).is_some();
            let mut names: Vec<String> = living.iter().filter(|candidate| of(candidate)).cloned().collect();
            names.sort_by_key(|candidate| std::cmp::Reverse(instance_number(candidate, &name)));
            names
        }
    };
    names.retain(|name| living.contains(name));
    names.truncate(usize::from(arguments.instances.unwrap_or(u16::MAX)));
    if living.is_empty() {
        say(NOTHING_RUNS);
    } else if names.is_empty() {
        say(format_args!("{} is not running", arguments.name));
    }
    Ok(names)
}

fn target(home: &Home, arguments: &Arguments) -> anyhow::Result<Target> {
    let name = &arguments.name;
    let services = home.services()?;
    let node = instance_number(name, "kafka").filter(|id| *id > 1 && *id <= usize::from(ports::NODES));
    if process::SERVERS.contains(&name.as_str()) || node.is_some() {
        anyhow::ensure!(arguments.instances.is_none(), "there is one {name}: --instances is for services");
        return Ok(Target::Server(name.clone()));
    }
    if services.contains(name) {
        return Ok(Target::Service(name.clone()));
    }
    let instance = services.iter().find_map(|service| Some((service, instance_number(name, service)?)));
    if let (Some((service, number)), None) = (instance, arguments.instances) {
        return Ok(Target::Instance(service.clone(), number));
    }
    anyhow::bail!("there is no `{name}`; the names are {}, kafka, postgres", services.join(", "))
}

/// Returns the names of all processes that have a log.
pub(crate) fn logged(home: &Home) -> anyhow::Result<Vec<String>> {
    let mut names = home.services()?;
    names.extend(process::SERVERS.map(str::to_owned));
    let usual = names.clone();
    names.extend(process::names(&home.run()).into_iter().filter(|name| !usual.contains(name)));
    Ok(names)
}
