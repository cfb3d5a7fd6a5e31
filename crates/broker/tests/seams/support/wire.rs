//! Writes a record that no client library would write, with a header name that is not UTF-8, byte by byte (Kafka protocol,
//! Produce version 3, record batch version 2).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::Bank;

impl Bank {
    /// Writes one record with this header name, and returns when the broker has accepted it.
    pub(crate) fn produce_with_header_name(&self, topic: &str, partition: i32, name: &[u8]) {
        let request = produce(&self.topic(topic), partition, &batch(name));
        let mut broker = TcpStream::connect(&self.servers.kafka).unwrap();
        broker.write_all(&sized(&request)).unwrap();
        let mut size = [0; 4];
        broker.read_exact(&mut size).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(size) as usize];
        broker.read_exact(&mut answer).unwrap();
        // After the correlation id, one topic with its name, and one partition with its number.
        let error = 4 + 4 + 2 + self.topic(topic).len() + 4 + 4;
        assert_eq!(answer[error..error + 2], [0, 0], "the broker accepted it");
    }
}

fn produce(topic: &str, partition: i32, batch: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    // Api key 0 (Produce), version 3, correlation id 1, client "t"; no transaction, acks 1, ten seconds.
    request.extend([0, 0, 0, 3, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0, 1, 0, 0, 0x27, 0x10]);
    request.extend([0, 0, 0, 1]);
    request.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
    request.extend(topic.as_bytes());
    request.extend([0, 0, 0, 1]);
    request.extend(partition.to_be_bytes());
    request.extend(sized(batch));
    request
}

fn batch(header_name: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0, 0]; // attributes, time delta, offset delta
    for bytes in [b"alice".as_slice(), b"{}"] {
        record.extend(varint(bytes.len()));
        record.extend(bytes);
    }
    record.extend(varint(1));
    for bytes in [header_name, b"value"] {
        record.extend(varint(bytes.len()));
        record.extend(bytes);
    }
    let mut checked = vec![0; 2 + 4 + 8 + 8]; // attributes, last offset delta, first and last time
    checked.extend([0xff; 8 + 2 + 4]); // no producer
    checked.extend([0, 0, 0, 1]);
    checked.extend(varint(record.len()));
    checked.extend(record);
    let mut rest = vec![0, 0, 0, 0, 2]; // leader epoch, version
    rest.extend(crc32c(&checked).to_be_bytes());
    rest.extend(checked);
    let mut batch = vec![0; 8]; // offset
    batch.extend(sized(&rest));
    batch
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    let mut sized = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    sized.extend(bytes);
    sized
}

/// Zigzag, for lengths below 64.
fn varint(length: usize) -> [u8; 1] {
    [u8::try_from(length * 2).unwrap()]
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 }
            },
        )
    })
}
