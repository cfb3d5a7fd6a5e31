use super::*;
use clap::{Args as _, Command, FromArgMatches as _};

const USER: [&str; 6] = [
    "--kafka-security-protocol=sasl_plaintext",
    "--kafka-sasl-mechanism=plain",
    "--kafka-sasl-username=order",
    "--kafka-sasl-password=s3cret",
    "",
    "",
];

fn connect(options: &[&str], variables: &[(&str, &str)]) -> Result<Connection, String> {
    connect_by_default_as(None, options, variables)
}

fn connect_by_default_as(
    user: Option<&str>,
    options: &[&str],
    variables: &[(&str, &str)],
) -> Result<Connection, String> {
    let command = Options::augment_args(Command::new("order"));
    let given = options.iter().filter(|option| !option.is_empty());
    let found = command.try_get_matches_from(std::iter::once(&"order").chain(given)).unwrap();
    let options = Options::from_arg_matches(&found).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Connection::with_variables(&options, user, variables).map_err(|error| error.to_string())
}

fn property(connection: &Connection, name: &str) -> Option<String> {
    connection.properties().into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

#[test]
fn settings_and_passed_variables_become_properties_and_stay_out_of_logs() {
    let passed = [("KAFKA_CLIENT_SOCKET_KEEPALIVE_ENABLE", "true"), ("KAFKA_BROKERS", "ignored")];
    let connection = connect(&USER, &passed).unwrap();
    for (name, value) in [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "order"),
        ("sasl.password", "s3cret"),
        ("socket.keepalive.enable", "true"),
    ] {
        assert_eq!(property(&connection, name).as_deref(), Some(value), "{name}");
    }
    assert!(!format!("{connection:?}").contains("s3cret"));
    assert_eq!(connect(&[], &[]).unwrap().properties(), []);
}

#[test]
fn the_default_user_logs_in_where_the_settings_name_none_and_the_cluster_asks_for_one() {
    let user = |options: &[&str]| {
        property(&connect_by_default_as(Some("payment"), options, &[]).unwrap(), "sasl.username")
    };
    assert_eq!(user(&[USER[0], USER[1], USER[3]]).as_deref(), Some("payment"));
    assert_eq!(user(&USER).as_deref(), Some("order"));
    assert_eq!(user(&[]), None);
}

#[test]
fn a_password_file_is_read_again_for_each_client() {
    let path = std::env::temp_dir().join(format!("connection-password-{}", std::process::id()));
    std::fs::write(&path, "old\n").unwrap();
    let file = format!("--kafka-sasl-password-file={}", path.display());
    let connection = connect(&[USER[0], USER[1], USER[2], &file], &[]).unwrap();
    assert_eq!(property(&connection, "sasl.password").as_deref(), Some("old"));
    std::fs::write(&path, "new\n").unwrap();
    assert_eq!(property(&connection, "sasl.password").as_deref(), Some("new"));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn settings_that_do_not_fit_together_are_refused_with_what_helps() {
    for (options, said) in [
        (&["--kafka-sasl-username=order"][..], "KAFKA_SASL_USERNAME is set, but KAFKA_SECURITY_PROTOCOL"),
        (&["--kafka-ssl-ca-location=/nowhere"], "KAFKA_SSL_CA_LOCATION is set, but KAFKA_SECURITY_PROTOCOL"),
        (&USER[..1], "KAFKA_SASL_MECHANISM is not set: SCRAM-SHA-512"),
        (&USER[..2], "KAFKA_SASL_USERNAME is not set"),
        (&USER[..3], "KAFKA_SASL_PASSWORD is not set"),
    ] {
        let refused = connect(options, &[]).unwrap_err();
        assert!(refused.starts_with(said), "{refused}");
    }
    let refused =
        connect(&[USER[0], USER[1], USER[2], "--kafka-sasl-password-file=/nowhere"], &[]).unwrap_err();
    assert!(refused.starts_with("KAFKA_SASL_PASSWORD_FILE cannot be read: /nowhere: "), "{refused}");
}

#[cfg(not(feature = "tls"))]
#[test]
fn without_tls_in_the_build_the_settings_that_need_it_are_refused() {
    for options in
        [&["--kafka-security-protocol=SSL"][..], &[USER[0], "--kafka-sasl-mechanism=SCRAM-SHA-512"]]
    {
        let refused = connect(options, &[]).unwrap_err();
        assert!(refused.contains(" needs a program that is built with --features broker/tls"), "{refused}");
    }
}

#[test]
fn properties_on_which_correctness_depends_are_refused_by_name_and_with_the_reason() {
    for (variable, said) in [
        (
            "KAFKA_CLIENT_ENABLE_IDEMPOTENCE",
            "KAFKA_CLIENT_ENABLE_IDEMPOTENCE is refused: an event leaves the outbox only",
        ),
        (
            "KAFKA_CLIENT_AUTO_OFFSET_RESET",
            "KAFKA_CLIENT_AUTO_OFFSET_RESET is refused: the position in the database",
        ),
        ("KAFKA_CLIENT_SASL_PASSWORD", "KAFKA_CLIENT_SASL_PASSWORD is refused: set KAFKA_SASL_PASSWORD"),
        (
            "KAFKA_CLIENT_SOCKET_KEEPALIVE",
            "KAFKA_CLIENT_SOCKET_KEEPALIVE is not a property of this librdkafka",
        ),
    ] {
        let refused = connect(&[], &[(variable, "s3cret")]).unwrap_err();
        assert!(refused.starts_with(said) && !refused.contains("s3cret"), "{refused}");
    }
}

#[test]
fn refusals_say_what_to_check_and_outages_are_none() {
    let connection = Connection::default();
    for outage in
        ["Connect to ipv4#127.0.0.1:1 failed: Connection refused", "Disconnected (after 9ms in state UP)"]
    {
        connection.note(outage);
        assert_eq!(connection.refusal(), None);
    }
    let other = connection.clone();
    for (message, said) in [
        (
            "SASL authentication error: Authentication failed: Invalid username",
            "the user or the password is wrong",
        ),
        (
            "SSL handshake failed: error:0A000086: certificate verify failed: broker",
            "the broker's certificate is not",
        ),
        ("SSL handshake failed: error:0A00010B: wrong version number", "the brokers expect another"),
        ("Disconnected (after 3ms in state APIVERSION_QUERY)", "the brokers expect another"),
    ] {
        connection.note(message);
        let refusal = other.refusal().unwrap();
        assert!(refusal.starts_with(said), "{refusal}");
    }
    connection.note("localhost:9092/1: Connect to ipv6#[::1]:9092 failed: Connection refused");
    assert!(connection.refusal().is_some(), "the broker may listen on the other address of its host");
    connection.note("localhost:9092/1: Connect to ipv4#127.0.0.1:9092 failed: Connection refused");
    assert_eq!(connection.refusal(), None, "a killed broker closed its connections as one with TLS does");
    connection.note("SSL handshake failed: error:0A00010B: wrong version number");
    other.clear();
    assert_eq!(connection.refusal(), None);
}
