//! The vocabulary of faults. Each is a function that breaks the site, and leaves it whole again.

mod kafka;
mod neighbours;
mod postgres;
mod processes;
mod records;
mod rewritten;

use std::pin::Pin;
use std::time::Duration;

use system_tests::Random;
use tokio::time::sleep;

use crate::site::{Kind, Site};

type Running<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The name on the command line.
    pub name: &'static str,
    /// A sentence about what happens.
    pub what: &'static str,
    pub kind: Kind,
    run: for<'a> fn(&'a Site, &'a mut Random) -> Running<'a>,
}

macro_rules! fault {
    ($name:literal, $run:path, $what:literal) => {
        fault!($name, $run, $what, Ordinary)
    };
    ($name:literal, $run:path, $what:literal, $kind:ident) => {
        Fault {
            name: $name,
            what: $what,
            kind: Kind::$kind,
            run: |site, random| Box::pin($run(site, random)),
        }
    };
}

impl Fault {
    /// Stands for a fault that is picked at random each round.
    pub const MIX: Self = fault!("mix", nothing, "one of the faults above, picked at random each round");

    /// Breaks the site, and leaves it whole again.
    pub async fn run(&self, site: &Site, random: &mut Random) -> anyhow::Result<()> {
        (self.run)(site, random).await
    }
}

/// All faults, in the order of the report.
pub const FAULTS: &[Fault] = &[
    fault!("none", nothing, "nothing breaks: the load alone"),
    fault!("kill", processes::kill, "a service is killed with SIGKILL and started again within 2 s"),
    fault!("kill-all", processes::kill_all, "all services are killed at once, and started again"),
    fault!(
        "pause-point",
        processes::pause_point,
        "a service is killed at a named point of its consumer or relay"
    ),
    fault!(
        "second-instance",
        processes::second_instance,
        "a second instance of a service comes, and one of the two is killed"
    ),
    fault!("freeze", processes::freeze, "a service is frozen (SIGSTOP) for up to twice its session of 6 s"),
    fault!(
        "freeze-beside-another",
        processes::freeze_beside,
        "one of two instances is frozen (SIGSTOP), and wakes as a zombie"
    ),
    fault!(
        "rolling-restart",
        processes::rolling_restart,
        "each service is replaced, a second instance serving meanwhile"
    ),
    fault!("clock", processes::clock, "the wall clock of a service jumps an hour ahead, back, and behind"),
    fault!("kafka-kill", kafka::kill, "Kafka is killed with SIGKILL and started again"),
    fault!("kafka-freeze", kafka::freeze, "Kafka is frozen (SIGSTOP) for up to 12 s"),
    fault!("kafka-slow", kafka::slow, "each packet to and from Kafka takes 20 to 200 ms more, for 5 s"),
    fault!("kafka-cut", kafka::cut, "all connections to Kafka are cut again and again for 4 s"),
    fault!("kafka-one-way", kafka::one_way, "requests or answers of Kafka are held for up to 10 s"),
    fault!("postgres-kill", postgres::kill, "Postgres is killed with SIGKILL and started again"),
    fault!("postgres-freeze", postgres::freeze, "Postgres is frozen (SIGSTOP) for up to 8 s"),
    fault!("postgres-cut", postgres::cut, "all connections to Postgres are cut again and again for 4 s"),
    fault!("postgres-commit-lost", postgres::commit_lost, "the answers to COMMIT are lost for 3 s"),
    fault!("postgres-full", postgres::full, "another client takes all connections of Postgres for 4 s"),
    fault!("postgres-lock", postgres::lock, "another client locks a table for 5 s"),
    fault!(
        "postgres-cancel",
        postgres::cancel,
        "all statements of a service are cancelled again and again for 3 s"
    ),
    fault!("gateway-outage", neighbours::gateway_outage, "the payment gateway fails every call for 4 s"),
    fault!("gateway-slow", neighbours::gateway_slow, "the payment gateway answers after 3 s"),
    fault!("mail-refuses", neighbours::mail_refuses, "the mail server rejects every mail for 4 s (4xx)"),
    fault!("mail-silent", neighbours::mail_silent, "the mail server takes mails and does not answer for 5 s"),
    fault!("mail-late", neighbours::mail_late, "the mail server accepts each mail after 2 s"),
    fault!(
        "poison",
        records::poison,
        "records that do not parse, of the owner's type and key, on each topic"
    ),
    fault!("foreign", records::foreign, "records of a publisher that is not the owner, on each topic"),
    fault!(
        "hostile-headers",
        records::hostile_headers,
        "records whose headers are missing, too long, not text, or out of range, on each topic"
    ),
    fault!("oversized", records::oversized, "a record of 1 MB that does not parse"),
    fault!("kafka-disk-full", kafka::disk_full, "the disk of Kafka is full for 3 s (needs root)", SmallDisks),
    fault!(
        "postgres-disk-full",
        postgres::disk_full,
        "the disk of Postgres is full for 3 s (needs root)",
        SmallDisks
    ),
    fault!("rewind", records::rewind, "a service reads a topic again from its beginning while it runs"),
    fault!(
        "database-restored",
        rewritten::restore,
        "the database of a service is replaced by a copy some seconds old, and repaired (`restored`)",
        Rewritten
    ),
    fault!(
        "retention",
        rewritten::retention,
        "records are deleted that a stopped service has not read; their owner publishes them again (`republish`)",
        Rewritten
    ),
    fault!(
        "topic-recreated",
        rewritten::recreate,
        "a topic is deleted and created again, and read from its beginning (`rewind`)",
        Rewritten
    ),
];

async fn nothing(_: &Site, _: &mut Random) -> anyhow::Result<()> {
    sleep(Duration::from_secs(1)).await;
    Ok(())
}

/// Waits for a random time between two bounds, in milliseconds.
async fn between(random: &mut Random, least: u64, most: u64) {
    sleep(Duration::from_millis(least + random.below(most - least))).await;
}
