//! Why TLS with Postgres fails, in words: what is wrong and what to check.

use std::io::ErrorKind::{InvalidData, NotFound, PermissionDenied};

/// The begin of the driver's message about a certificate that it does not accept.
const CERTIFICATE: &str = "invalid peer certificate";

/// Returns what is wrong with TLS, and what to check; `None`: the error is of another kind.
pub fn refusal_of_tls(error: &sqlx::Error) -> Option<String> {
    let (cause, what) = match error {
        // The driver wraps the errors of the handshake.
        sqlx::Error::Io(cause) if cause.kind() == InvalidData => (cause.to_string(), "TLS fails"),
        sqlx::Error::Io(cause) if matches!(cause.kind(), NotFound | PermissionDenied) => {
            (cause.to_string(), "a file that the URL names cannot be read")
        }
        sqlx::Error::Tls(cause) => (cause.to_string(), "TLS fails"),
        _ => return None,
    };
    if cause.starts_with(CERTIFICATE) {
        return Some(format!(
            "the server's certificate is not accepted ({cause}): check that the file at sslrootcert holds the authority that \
             signed it, that it is for the host of the URL (subjectAltName), and that it is not expired; see: openssl s_client \
             -starttls postgres -connect HOST:PORT -CAfile FILE"
        ));
    }
    Some(format!(
        "{what} ({cause}): check sslmode, sslrootcert, sslcert and sslkey of the URL, and ssl of the server"
    ))
}

#[cfg(test)]
mod tests {
    use super::refusal_of_tls;
    use std::io::{Error, ErrorKind};

    #[test]
    fn errors_of_tls_say_what_to_check_and_others_are_left_alone() {
        let refusal = |error: sqlx::Error| refusal_of_tls(&error).unwrap_or_default();
        let unknown = Error::new(ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer");
        assert!(
            refusal(unknown.into())
                .contains("(invalid peer certificate: UnknownIssuer): check that the file at sslrootcert")
        );
        assert!(refusal(Error::from(ErrorKind::NotFound).into()).contains("check sslmode, sslrootcert"));
        let without = sqlx::Error::Tls("server does not support TLS".into());
        assert!(refusal(without).contains("(server does not support TLS): check sslmode"));
        assert!(refusal_of_tls(&Error::from(ErrorKind::ConnectionRefused).into()).is_none());
        assert!(refusal_of_tls(&sqlx::Error::PoolTimedOut).is_none());
    }
}
