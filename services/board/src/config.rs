//! The service's own settings. These comments are its `--help`.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::Args;
use secrecy::SecretString;
use url::Url;

/// The settings of the board.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings of the board")]
pub struct Config {
    /// Addresses of the services' APIs for the browser. Each service must name this board in its `CORS_ORIGINS`
    #[arg(
        long,
        env,
        value_name = "NAME=URL,…",
        default_value = "order=http://localhost:8080,payment=http://localhost:8081,inventory=http://localhost:8082,\
                         notification=http://localhost:8083"
    )]
    pub service_urls: Addresses,

    /// Addresses of the services' ops ports for the browser, for the operator's page
    #[arg(
        long,
        env,
        value_name = "NAME=URL,…",
        default_value = "order=http://localhost:9080,payment=http://localhost:9081,inventory=http://localhost:9082,\
                         notification=http://localhost:9083"
    )]
    pub service_ops_urls: Addresses,

    /// The shop's name
    #[arg(long, env, default_value = "Notify Me Shop", value_name = "NAME")]
    pub shop_name: String,

    /// Whether the notification service shows its mails at /inbox; the storefront then links to it
    #[arg(long, env, default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub demo_inbox: bool,

    /// Address at which `./scripts/up` starts, stops and kills processes for the board's buttons; without it the board shows the
    /// commands to type
    #[arg(long, env, value_name = "URL")]
    pub control_url: Option<Url>,

    /// Token for `CONTROL_URL`
    #[arg(long, env, hide_env_values = true, value_name = "TOKEN")]
    pub control_token: Option<SecretString>,
}

/// The web origin of each service, by the service's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses(pub BTreeMap<String, String>);

impl FromStr for Addresses {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(address).collect::<Result<_, _>>().map(Self)
    }
}

/// Parses one entry. The origin becomes part of a content security policy, so nothing else may be in it.
fn address(entry: &str) -> Result<(String, String), String> {
    let wrong = || format!("{entry:?} is not NAME=URL, such as order=http://localhost:8080");
    let (name, url) = entry.split_once('=').ok_or_else(wrong)?;
    let url = Url::parse(url).map_err(|_| wrong())?;
    let is_origin = matches!(url.scheme(), "http" | "https") && url.path() == "/" && url.query().is_none();
    if is_origin { Ok((name.to_owned(), url.origin().ascii_serialization())) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_name_and_a_web_origin() {
        let read: Addresses = "order=http://localhost:8080, shop=https://Shop.example:443/".parse().unwrap();
        assert_eq!(read.0["order"], "http://localhost:8080");
        assert_eq!(read.0["shop"], "https://shop.example");
        for wrong in [
            "order",
            "order=",
            "order=localhost",
            "order=http://a/b",
            "order=javascript:x",
            "order=http://a/?b",
        ] {
            assert!(wrong.parse::<Addresses>().is_err(), "{wrong}");
        }
    }
}
