//! A bank on a Kafka and a Postgres of its own, which a test may kill, freeze and change.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;

use stack::{Daemon, Servers};

use crate::support::{Addresses, Bank, Plan};

pub(crate) struct PrivateBank {
    bank: Bank,
    servers: Arc<Servers>,
}

impl PrivateBank {
    pub(crate) async fn open() -> Self {
        let servers = Servers::private().await.unwrap();
        let (kafka, postgres) = (servers.brokers().to_owned(), servers.postgres_url().to_owned());
        Self { bank: Bank::on(Addresses { kafka, postgres }, Plan::default()).await, servers }
    }

    pub(crate) fn kafka(&self) -> &Daemon {
        self.servers.kafka().unwrap()
    }

    pub(crate) fn postgres(&self) -> &Daemon {
        self.servers.postgres().unwrap()
    }

    /// Returns the folder of a partition's log.
    pub(crate) fn partition_log(&self, topic: &str, partition: i32) -> PathBuf {
        self.servers.partition_log(&self.topic(topic), partition).unwrap()
    }

    pub(crate) async fn close(self) {
        self.bank.close().await;
    }
}

impl Deref for PrivateBank {
    type Target = Bank;

    fn deref(&self) -> &Bank {
        &self.bank
    }
}

impl DerefMut for PrivateBank {
    fn deref_mut(&mut self) -> &mut Bank {
        &mut self.bank
    }
}
