//! The mail server of `SMTP_URL`.

use std::sync::Arc;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::TlsParameters;
use lettre::transport::smtp::{SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT};
use percent_encoding::percent_decode_str;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::ehlo::EhloName;

/// A mail server, and how to log in.
pub(super) struct Server {
    pub host: String,
    pub port: u16,
    pub security: Security,
    pub credentials: Option<Credentials>,
    /// The name of this client in EHLO, where one is set.
    pub ehlo: Option<EhloName>,
}

/// How the connection is encrypted.
pub(super) enum Security {
    /// Not at all.
    None,
    /// By STARTTLS where the server offers it.
    Opportunistic(TlsParameters),
    /// By STARTTLS, or no mail is sent.
    Required(TlsParameters),
    /// From the first byte (`smtps`).
    Wrapper(TlsConnector, ServerName<'static>),
}

#[derive(Debug, thiserror::Error)]
#[error(
    "SMTP_URL is not usable ({0}); an example of a usable one is smtp://user:password@host:587?tls=required"
)]
pub(crate) struct BadUrl(String);

impl Server {
    /// Parses `SMTP_URL`. Its path is the name in EHLO, unless `ehlo` gives one.
    pub(super) fn parse(url: &str, ehlo: Option<EhloName>) -> Result<Self, BadUrl> {
        let bad = |why: &dyn ToString| BadUrl(why.to_string());
        let url = Url::parse(url).map_err(|error| bad(&error))?;
        let host = host(&url)?;
        let starttls = || TlsParameters::new(host.clone()).map_err(|error| bad(&error));
        let tls = url.query_pairs().find_map(|(name, value)| (name == "tls").then(|| value.into_owned()));
        let (security, port) = match (url.scheme(), tls.as_deref()) {
            ("smtp", None | Some("none")) => (Security::None, SMTP_PORT),
            ("smtp", Some("opportunistic")) => (Security::Opportunistic(starttls()?), SUBMISSION_PORT),
            ("smtp", Some("required")) => (Security::Required(starttls()?), SUBMISSION_PORT),
            ("smtp", Some(_)) => return Err(bad(&"tls must be required, opportunistic or none")),
            ("smtps", _) => (wrapper(&host)?, SUBMISSIONS_PORT),
            _ => return Err(bad(&"it must begin with smtp:// or smtps://")),
        };
        let own = match url.path().trim_matches('/') {
            "" => None,
            name => Some(name.parse::<EhloName>().map_err(|error| bad(&error))?),
        };
        let credentials = match url.password() {
            Some(password) => Some(Credentials::new(decoded(url.username())?, decoded(password)?)),
            None => None,
        };
        Ok(Self { port: url.port().unwrap_or(port), host, security, credentials, ehlo: ehlo.or(own) })
    }
}

/// The host: an IPv6 address without its brackets, a name as A-labels.
fn host(url: &Url) -> Result<String, BadUrl> {
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or_else(|| BadUrl("it names no host".to_owned()))?;
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return Ok(address.to_owned());
    }
    idna::domain_to_ascii(&decoded(host)?).map_err(|_| BadUrl("its host is not a valid name".to_owned()))
}

fn decoded(part: &str) -> Result<String, BadUrl> {
    let text = percent_decode_str(part).decode_utf8().map_err(|error| BadUrl(error.to_string()))?;
    Ok(text.into_owned())
}

fn wrapper(host: &str) -> Result<Security, BadUrl> {
    let bad = |why: &dyn ToString| BadUrl(why.to_string());
    let name = ServerName::try_from(host.to_owned()).map_err(|error| bad(&error))?;
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Security::Wrapper(TlsConnector::from(Arc::new(config)), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Result<(String, u16, &'static str), String> {
        let server = Server::parse(url, None).map_err(|error| error.to_string())?;
        let security = match server.security {
            Security::None => "none",
            Security::Opportunistic(_) => "opportunistic",
            Security::Required(_) => "required",
            Security::Wrapper(..) => "wrapper",
        };
        Ok((server.host, server.port, security))
    }

    #[test]
    fn the_scheme_and_tls_decide_on_encryption_and_port() {
        for (url, host, port, security) in [
            ("smtp://mail.example", "mail.example", 25, "none"),
            ("smtp://mail.example:2525?tls=none", "mail.example", 2525, "none"),
            ("smtp://mail.example?tls=opportunistic", "mail.example", 587, "opportunistic"),
            ("smtp://u:p@mail.example?tls=required", "mail.example", 587, "required"),
            ("smtps://u:p@mail.example", "mail.example", 465, "wrapper"),
            ("smtp://[::1]:2525", "::1", 2525, "none"),
            ("smtps://[::1]", "::1", 465, "wrapper"),
            ("smtp://mail.bücher.example", "mail.xn--bcher-kva.example", 25, "none"),
        ] {
            assert_eq!(server(url), Ok((host.to_owned(), port, security)), "{url}");
        }
    }

    #[test]
    fn user_and_password_are_decoded_and_the_setting_precedes_the_path() {
        let server = Server::parse("smtp://a%40b.example:p%2Fw@mail.example/shop.example", None).unwrap();
        assert_eq!(server.credentials, Some(Credentials::new("a@b.example".to_owned(), "p/w".to_owned())));
        assert_eq!(server.ehlo, Some("shop.example".parse().unwrap()));
        let set = Some("other.example".parse().unwrap());
        assert_eq!(Server::parse("smtp://mail.example/shop.example", set.clone()).unwrap().ehlo, set);
    }

    #[test]
    fn an_error_does_not_show_the_password() {
        for url in [
            "mail.example",
            "http://u:secret@mail.example",
            "smtp://u:secret@mail.example?tls=yes",
            "smtp://",
            "smtp:///x",
        ] {
            let error = server(url).unwrap_err();
            assert!(error.starts_with("SMTP_URL is not usable") && !error.contains("secret"), "{error}");
        }
    }
}
