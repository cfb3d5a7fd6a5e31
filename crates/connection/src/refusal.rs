//! Refusals of a connection in words: what is wrong and what to check.

/// A part of librdkafka's message, and the text for it. The first that matches counts.
const TEXTS: [(&[&str], &str); 12] = [
    (&["SASL", "mechanism", "not enabled"], MECHANISM),
    (&["SASL", "Supported", "mechanisms"], MECHANISM),
    (
        &["SASL authentication error", "invalid_token"],
        "the brokers do not accept the identity provider's token: check that they trust this provider, and its clock",
    ),
    (
        &["OAUTHBEARER token"],
        "the identity provider gives no token: check KAFKA_CLIENT_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL, …_CLIENT_ID and \
         …_CLIENT_SECRET",
    ),
    (
        &["SASL authentication error"],
        "the user or the password is wrong: check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD (or its file) and \
         KAFKA_SASL_MECHANISM",
    ),
    (
        &["SSL", "alert", "expired"],
        "the service's own certificate is expired: renew the file at KAFKA_SSL_CERTIFICATE_LOCATION",
    ),
    (
        &["SSL", "alert", "certificate"],
        "the brokers do not accept the service's own certificate: check KAFKA_SSL_CERTIFICATE_LOCATION and \
         KAFKA_SSL_KEY_LOCATION",
    ),
    (
        &["certificate verify failed"],
        "the broker's certificate is not valid: it is expired, for another host name, or not signed by an authority in \
         KAFKA_SSL_CA_LOCATION; see: openssl s_client -connect HOST:PORT -CAfile FILE",
    ),
    (&["SSL handshake failed"], PROTOCOL),
    // A broker with TLS closes the connection of a client without it. librdkafka 2.12 no longer says what that may mean.
    (&["Disconnected", "in state APIVERSION_QUERY"], PROTOCOL),
    // A broker with TLS or SASL closes the connection of a client that speaks neither.
    (&["security.protocol"], PROTOCOL),
    (&["might be caused by", "SSL"], PROTOCOL),
];

const MECHANISM: &str = "the brokers do not offer this KAFKA_SASL_MECHANISM";
const PROTOCOL: &str =
    "the brokers expect another KAFKA_SECURITY_PROTOCOL, or KAFKA_BROKERS names the port of another listener";

/// Returns the text for librdkafka's message; `None`: the message is about no refusal.
pub(crate) fn explain(message: &str) -> Option<&'static str> {
    let found = TEXTS.iter().find(|(parts, _)| parts.iter().all(|part| message.contains(part)));
    found.map(|(_, text)| *text)
}

/// Returns whether librdkafka's message says that nobody listens at a broker's address. A refused IPv6 address says nothing:
/// a host name often has both, and the broker listens on one.
pub(crate) fn is_unreachable(message: &str) -> bool {
    message.contains("Connect to ipv4#") && message.contains(" failed: ")
}
