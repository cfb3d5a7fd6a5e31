//! Creates and deletes rights (ACLs) at Kafka, as the lines of `SERVICE acls` describe them.
//!
//! Kafka's own tool needs a JVM per line, and rdkafka has no call for it; so this module sends the two requests itself.

use crate::error::{Error, Result};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const CREATE_ACLS: u16 = 30;
const DELETE_ACLS: u16 = 31;
const SASL_HANDSHAKE: u16 = 17;
const SASL_AUTHENTICATE: u16 = 36;
/// All versions used here are the first that Kafka 4 supports, which have no tagged fields.
const VERSION: u16 = 1;

const TIMEOUT: Duration = Duration::from_secs(10);

const ALLOW: u8 = 3;
const LITERAL: u8 = 3;

/// The operations with Kafka's codes, as `kafka-acls` names them.
const OPERATIONS: [(&str, u8); 6] = [
    ("Read", 3),
    ("Write", 4),
    ("Create", 5),
    ("Describe", 8),
    ("DescribeConfigs", 10),
    ("AlterConfigs", 11),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    principal: String,
    /// The option of `kafka-acls`: `--topic` or `--group`.
    resource: String,
    name: String,
    operation: String,
}

impl std::fmt::Display for Acl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { principal, resource, name, operation } = self;
        write!(formatter, "{principal}: {operation} {resource} {name}")
    }
}

/// Parses lines such as `kafka-acls … --allow-principal User:order --operation Read --topic orders`.
pub fn parse(lines: &str) -> Result<Vec<Acl>> {
    let mut acls = Vec::new();
    for line in lines.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let values = |option: &'static str| {
            words.windows(2).filter(move |pair| pair[0] == option).map(|pair| pair[1].to_owned())
        };
        let principal = values("--allow-principal").next();
        let principal = principal.ok_or_else(|| Error::Failed(format!("no line of kafka-acls: {line}")))?;
        for operation in values("--operation") {
            for resource in ["--topic", "--group"] {
                acls.extend(values(resource).map(|name| Acl {
                    principal: principal.clone(),
                    resource: resource.to_owned(),
                    name,
                    operation: operation.clone(),
                }));
            }
        }
    }
    Ok(acls)
}

/// The login of an administrator: name and password (PLAIN); `None` where the listener asks for none.
pub type Login<'a> = Option<(&'a str, &'a str)>;

/// Creates these rights; those that exist stay.
pub async fn create(broker: &str, login: Login<'_>, acls: &[Acl]) -> Result<()> {
    send(broker, login, CREATE_ACLS, acls).await
}

pub async fn delete(broker: &str, login: Login<'_>, acls: &[Acl]) -> Result<()> {
    send(broker, login, DELETE_ACLS, acls).await
}

impl Acl {
    /// Writes the right to create, or the filter that selects only this right to delete: both have the same fields.
    fn write(&self, body: &mut Vec<u8>) {
        body.push(self.resource_code());
        string(body, &self.name);
        body.push(LITERAL);
        string(body, &self.principal);
        string(body, "*");
        body.extend([self.operation_code(), ALLOW]);
    }

    fn resource_code(&self) -> u8 {
        if self.resource == "--topic" { 2 } else { 3 }
    }

    /// Returns the operation's code; an unknown one gets a code that Kafka refuses.
    fn operation_code(&self) -> u8 {
        OPERATIONS.iter().find(|(name, _)| *name == self.operation).map_or(0, |(_, code)| *code)
    }
}

async fn send(broker: &str, login: Login<'_>, request: u16, acls: &[Acl]) -> Result<()> {
    let sending = tokio::time::timeout(TIMEOUT, send_now(broker, login, request, acls));
    sending.await.unwrap_or_else(|_| Err(failed(&format!("no answer within {} s", TIMEOUT.as_secs()))))
}

async fn send_now(broker: &str, login: Login<'_>, request: u16, acls: &[Acl]) -> Result<()> {
    let mut stream = TcpStream::connect(broker).await.map_err(|error| failed(&error))?;
    if let Some((name, password)) = login {
        let mut handshake = Vec::new();
        string(&mut handshake, "PLAIN");
        refuse_error(&ask(&mut stream, SASL_HANDSHAKE, &handshake).await?, 0)?;
        let token = format!("\0{name}\0{password}");
        let mut authenticate = count(token.len());
        authenticate.extend(token.as_bytes());
        refuse_error(&ask(&mut stream, SASL_AUTHENTICATE, &authenticate).await?, 0)?;
    }
    let mut body = count(acls.len());
    for acl in acls {
        acl.write(&mut body);
    }
    let answer = ask(&mut stream, request, &body).await?;
    // After the throttle time and the number of results, the first error. The others are of the same kind.
    if acls.is_empty() { Ok(()) } else { refuse_error(&answer, 8) }
}

async fn ask(stream: &mut TcpStream, request: u16, body: &[u8]) -> Result<Vec<u8>> {
    let mut message = Vec::new();
    message.extend(request.to_be_bytes());
    message.extend(VERSION.to_be_bytes());
    // A correlation id, which the next request may repeat, and no client id.
    message.extend([0, 0, 0, 1, 0xff, 0xff]);
    message.extend(body);
    let exchange = async {
        stream.write_all(&[count(message.len()), message].concat()).await?;
        let size = stream.read_u32().await?;
        let mut answer = vec![0; size as usize];
        stream.read_exact(&mut answer).await?;
        Ok(answer.split_off(answer.len().min(4)))
    };
    exchange.await.map_err(|error: std::io::Error| failed(&error))
}

fn refuse_error(answer: &[u8], at: usize) -> Result<()> {
    match answer.get(at..at + 2) {
        Some([0, 0]) => Ok(()),
        Some(code) => Err(failed(&format!("error {}", i16::from_be_bytes([code[0], code[1]])))),
        None => Err(failed(&"an answer that is too short")),
    }
}

fn failed(why: &dyn std::fmt::Display) -> Error {
    Error::Failed(format!("Kafka does not change the ACLs: {why}"))
}

fn string(body: &mut Vec<u8>, text: &str) {
    body.extend(u16::try_from(text.len()).unwrap_or_default().to_be_bytes());
    body.extend(text.as_bytes());
}

fn count(number: usize) -> Vec<u8> {
    u32::try_from(number).unwrap_or_default().to_be_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_line_gives_each_operation_on_each_resource() {
        let line = "kafka-acls --bootstrap-server a:1 --add --allow-principal User:order --operation Read --operation \
                    DescribeConfigs --topic orders --topic stock";
        let parsed = parse(line).unwrap();
        let texts: Vec<String> = parsed.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "User:order: Read --topic orders",
                "User:order: Read --topic stock",
                "User:order: DescribeConfigs --topic orders",
                "User:order: DescribeConfigs --topic stock",
            ]
        );
        assert!(parse("nonsense").is_err());
    }
}
