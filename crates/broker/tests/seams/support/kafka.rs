//! Kafka as an outsider sees it: any record on any topic, and what an administrator can do to one.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

use super::Bank;

impl Bank {
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.servers.brokers());
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }

    pub(crate) async fn delete_topics(&self, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|name| self.topic(name)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.admin().delete_topics(&names, &AdminOptions::new()).await.unwrap();
    }
}
