//! A Kafka that does not apply what it is asked to: a proxy in front of the real one, which replaces bytes of the requests.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Bank;

/// Bytes to replace, and those that replace them, of the same length.
type Replacement = (Vec<u8>, Vec<u8>);

impl Bank {
    /// Starts a proxy that replaces the value of a setting in every request, and returns its bootstrap servers.
    pub(crate) async fn kafka_that_replaces(&self, setting: &str, value: &str, by: &str) -> String {
        // Both encodings of the protocol: the length of a string in two bytes, or plus one in a single byte.
        let encodings =
            [vec![0, u8::try_from(value.len()).unwrap()], vec![u8::try_from(value.len()).unwrap() + 1]];
        let entry = |length: &[u8], value: &str| [setting.as_bytes(), length, value.as_bytes()].concat();
        let replaced = encodings.iter().map(|length| (entry(length, value), entry(length, by))).collect();
        self.proxy(replaced).await
    }

    async fn proxy(&self, in_requests: Vec<Replacement>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        let kafka = self.servers.kafka.clone();
        // Kafka's metadata names its address: clients must find the proxy there.
        let address = |port: u16| [b"127.0.0.1".as_slice(), &u32::from(port).to_be_bytes()].concat();
        let real = kafka.rsplit_once(':').unwrap().1.parse().unwrap();
        let in_answers = Arc::new(vec![(address(real), address(own.port()))]);
        let in_requests = Arc::new(in_requests);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (from_client, to_client) = client.into_split();
                let (from_kafka, to_kafka) = TcpStream::connect(&kafka).await.unwrap().into_split();
                tokio::spawn(forward(from_client, to_kafka, Arc::clone(&in_requests)));
                tokio::spawn(forward(from_kafka, to_client, Arc::clone(&in_answers)));
            }
        });
        own.to_string()
    }
}

/// Forwards messages, each with its size before it, until one side closes.
async fn forward(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    replacements: Arc<Vec<Replacement>>,
) -> std::io::Result<()> {
    loop {
        let size = from.read_u32().await?;
        let mut message = vec![0; size as usize];
        from.read_exact(&mut message).await?;
        for (old, new) in replacements.iter() {
            for start in 0..message.len().saturating_sub(old.len() - 1) {
                if message[start..].starts_with(old) {
                    message[start..start + new.len()].copy_from_slice(new);
                }
            }
        }
        to.write_u32(size).await?;
        to.write_all(&message).await?;
    }
}
