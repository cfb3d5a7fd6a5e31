//! `kafka TOOL ARGS`: runs one of Kafka's own tools with this system's bootstrap servers.

use crate::local::Local;
use crate::screen::complain;
use crate::secured::ADMIN_PROPERTIES;
use crate::tool_properties;
use stack::{Home, home, kafka, maven};
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

/// The main class of each tool, by the name of Kafka's script without `kafka-` and `.sh`.
const TOOLS: [(&str, &str); 21] = [
    ("acls", "org.apache.kafka.tools.AclCommand"),
    ("broker-api-versions", "org.apache.kafka.tools.BrokerApiVersionsCommand"),
    ("cluster", "org.apache.kafka.tools.ClusterTool"),
    ("configs", "kafka.admin.ConfigCommand"),
    ("console-consumer", "org.apache.kafka.tools.consumer.ConsoleConsumer"),
    ("console-producer", "org.apache.kafka.tools.ConsoleProducer"),
    ("consumer-groups", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
    ("consumer-perf-test", "org.apache.kafka.tools.ConsumerPerformance"),
    ("delete-records", "org.apache.kafka.tools.DeleteRecordsCommand"),
    ("dump-log", "org.apache.kafka.tools.DumpLogSegments"),
    ("features", "org.apache.kafka.tools.FeatureCommand"),
    ("get-offsets", "org.apache.kafka.tools.GetOffsetShell"),
    ("groups", "org.apache.kafka.tools.GroupsCommand"),
    ("leader-election", "org.apache.kafka.tools.LeaderElectionCommand"),
    ("log-dirs", "org.apache.kafka.tools.LogDirsCommand"),
    ("metadata-quorum", "org.apache.kafka.tools.MetadataQuorumCommand"),
    ("producer-perf-test", "org.apache.kafka.tools.ProducerPerformance"),
    ("reassign-partitions", "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"),
    ("storage", "kafka.tools.StorageTool"),
    ("topics", "org.apache.kafka.tools.TopicCommand"),
    ("transactions", "org.apache.kafka.tools.TransactionsCommand"),
];

/// The tools that work on files.
const WITHOUT_SERVER: [&str; 2] = ["dump-log", "storage"];
/// The tool whose address is an option of its subcommands, and so follows the other arguments.
const ADDRESS_LAST: &str = "cluster";

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// The tool's name: `topics`, `consumer-groups`, `metadata-quorum`, …
    tool: String,
    /// The tool's arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let home = Home::find()?;
    let name = arguments.tool.trim_start_matches("kafka-").trim_end_matches(".sh");
    let Some((_, class)) = TOOLS.iter().find(|(tool, _)| *tool == name) else {
        let names: Vec<&str> = TOOLS.iter().map(|(tool, _)| *tool).collect();
        anyhow::bail!("there is no tool `{}`; the tools are {}", arguments.tool, names.join(", "));
    };
    let installed = maven::install(&home, |what| complain(what)).await?;
    let (mut command, mut address) = (kafka::tool(&installed, class)?, Vec::<OsString>::new());
    let needs_no_address =
        arguments.arguments.iter().any(|word| word.starts_with("--bootstrap-") || word == "--help");
    if !needs_no_address && !WITHOUT_SERVER.contains(&name) {
        let local = Local::load()?;
        local.require_running(&["kafka"])?;
        address.extend(["--bootstrap-server".into(), local.brokers().into()]);
        if !arguments.arguments.iter().any(|word| word.starts_with("--command-config")) {
            address
                .extend(login(&local)?.into_iter().flat_map(|file| ["--command-config".into(), file.into()]));
        }
    }
    let given = arguments.arguments.iter().map(OsString::from).collect();
    let (first, last) = if name == ADDRESS_LAST { (given, address) } else { (address, given) };
    Err(command.as_std_mut().args(first).args(last).exec().into())
}

/// Returns the file with which a tool logs in; `None`: this Kafka asks for no login.
fn login(local: &Local) -> anyhow::Result<Option<PathBuf>> {
    if local.secure {
        return Ok(Some(local.home.data(ADMIN_PROPERTIES)));
    }
    let Some(properties) = tool_properties::of_this_process()? else { return Ok(None) };
    let file = local.home.data("kafka-client.properties");
    home::write_private(&file, &properties)?;
    Ok(Some(file))
}
