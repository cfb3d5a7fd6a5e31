//! `SERVICE acls`

use broker_ops::acls;
use clap::{Args, ValueEnum};

use crate::parts;
use crate::service::Service;
use crate::settings::Common;

#[derive(Debug, Clone, Args)]
#[expect(clippy::doc_markdown, reason = "these comments are the text of --help")]
pub(crate) struct Options {
    /// Lines of kafka-acls, or a KafkaUser of Strimzi
    #[arg(long, value_enum, default_value_t = Format::KafkaAcls)]
    format: Format,
    /// The user of the running service [default: KAFKA_SASL_USERNAME, else the service's name]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Print the rights of the user that runs `migrate` instead; this user creates topics and changes their settings
    #[arg(long)]
    migrate: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    KafkaAcls,
    Strimzi,
}

pub(super) fn run(service: &Service, common: &Common, options: &Options) {
    let settings = parts::broker_settings(service.name, common);
    let needed = if options.migrate {
        acls::of_migration(&settings, service.topics)
    } else {
        acls::of_service(&settings, service.topics, service.shows)
    };
    let given = options.user.as_ref().or(common.kafka.kafka_sasl_username.as_ref());
    let user = given.map_or(service.name, String::as_str);
    let text = match options.format {
        Format::KafkaAcls => acls::kafka_acls(&needed, user, &common.kafka_brokers),
        Format::Strimzi => acls::strimzi(&needed, user),
    };
    program::print(text.trim_end());
}
