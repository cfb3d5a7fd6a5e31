//! The connection to a given Kafka as properties of Kafka's own tools, which are Java programs.

use rdkafka::ClientConfig;
use stack::kafka;

const ITS_OWN: &str = "write a properties file for Kafka's tools, and name it with --command-config FILE";

/// Returns the properties with which the clients of this process connect (see [`of`]).
pub(crate) fn of_this_process() -> anyhow::Result<Option<String>> {
    of(&kafka::client(""))
}

/// Converts the settings of a client; `None` when this Kafka asks for no login and no TLS. Fails for settings that have no such
/// form.
fn of(client: &ClientConfig) -> anyhow::Result<Option<String>> {
    let get = |name: &str| client.get(name).unwrap_or_default();
    let protocol = get("security.protocol").to_uppercase();
    if protocol.is_empty() || protocol == "PLAINTEXT" {
        return Ok(None);
    }
    let mut lines = vec![("security.protocol", protocol.clone())];
    if protocol.starts_with("SASL") {
        let mechanism = get("sasl.mechanism");
        let module = match mechanism {
            "PLAIN" => "plain.PlainLoginModule",
            "SCRAM-SHA-256" | "SCRAM-SHA-512" => "scram.ScramLoginModule",
            _ => anyhow::bail!("Kafka's tools do not take the settings of {mechanism}: {ITS_OWN}"),
        };
        let (user, password) = (quoted(get("sasl.username")), quoted(get("sasl.password")));
        let login = format!(
            "org.apache.kafka.common.security.{module} required username={user} password={password};"
        );
        lines.extend([("sasl.mechanism", mechanism.to_owned()), ("sasl.jaas.config", login)]);
    }
    anyhow::ensure!(
        get("ssl.certificate.location").is_empty(),
        "Kafka's tools do not take KAFKA_SSL_CERTIFICATE_LOCATION: {ITS_OWN}"
    );
    let authority = get("ssl.ca.location");
    if !authority.is_empty() {
        lines.extend([
            ("ssl.truststore.type", "PEM".to_owned()),
            ("ssl.truststore.location", authority.to_owned()),
        ]);
    }
    // In Java's properties, a backslash begins an escape.
    let line = |(name, value): (&str, String)| format!("{name}={}\n", value.replace('\\', "\\\\"));
    Ok(Some(lines.into_iter().map(line).collect()))
}

/// A text in the quotes of JAAS.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(settings: &[(&str, &str)]) -> ClientConfig {
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_login_over_tls_becomes_properties_of_java() {
        assert_eq!(of(&client(&[])).unwrap(), None);
        let scram = client(&[
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "shop"),
            ("sasl.password", r#"a"b\c"#),
            ("ssl.ca.location", "/etc/ca.pem"),
        ]);
        let expected = r#"security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="shop" password="a\\"b\\\\c";
ssl.truststore.type=PEM
ssl.truststore.location=/etc/ca.pem
"#;
        assert_eq!(of(&scram).unwrap().unwrap(), expected);
        let token = client(&[("security.protocol", "SASL_SSL"), ("sasl.mechanism", "OAUTHBEARER")]);
        assert!(of(&token).unwrap_err().to_string().contains("--command-config"));
    }
}
