//! Renders the pages, with the headers that restrict what a browser may do with them.

use std::collections::BTreeMap;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{Environment, Error};
use serde::Serialize;
use serde_json::{Value, json};
use web::Problem;

use crate::config::Config;

/// The addresses and names that all pages use.
#[derive(Debug, Serialize)]
pub(crate) struct Site {
    shop: String,
    /// The services' APIs by name, for the browser.
    services: BTreeMap<String, String>,
    /// Their ops ports.
    ops: BTreeMap<String, String>,
    /// The page with the mails of a demonstration.
    inbox: Option<String>,
    /// Whether the buttons work; otherwise the pages show the commands to type.
    control: bool,
    /// The origins of this board's own pages.
    #[serde(skip)]
    pub origins: Vec<String>,
}

impl Site {
    pub(crate) fn new(config: &Config, public_url: &str) -> Self {
        let services = config.service_urls.0.clone();
        let inbox =
            services.get("notification").filter(|_| config.demo_inbox).map(|url| format!("{url}/inbox"));
        Self {
            shop: config.shop_name.clone(),
            ops: config.service_ops_urls.0.clone(),
            inbox,
            control: config.control_url.is_some(),
            origins: origins(public_url),
            services,
        }
    }
}

/// The origin of `public_url`; for `localhost` also that of the loopback address, which people type too.
fn origins(public_url: &str) -> Vec<String> {
    let origin =
        url::Url::parse(public_url).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    let [name, address] = ["http://localhost:", "http://127.0.0.1:"];
    let other = origin.strip_prefix(name).map(|port| format!("{address}{port}"));
    let other = other.or_else(|| origin.strip_prefix(address).map(|port| format!("{name}{port}")));
    [Some(origin), other].into_iter().flatten().collect()
}

/// The templates of the pages.
pub(crate) struct Pages {
    environment: Environment<'static>,
    pub site: Site,
    /// The site as JSON, for the scripts.
    json: String,
    headers: [(HeaderName, HeaderValue); 3],
}

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../templates/", $name)))),*]
    };
}

const TEMPLATES: [(&str, &str); 14] = templates![
    "layout.html",
    "shop.html",
    "product.html",
    "order.html",
    "stations.html",
    "eventtable.html",
    "part.html",
    "board.html",
    "groups.html",
    "tour.html",
    "event.html",
    "events.html",
    "operator.html",
    "missing.html",
];

/// The variables of a template.
#[derive(Serialize)]
struct Variables<'a> {
    site: &'a Site,
    site_json: &'a str,
    #[serde(flatten)]
    content: Value,
}

impl Pages {
    /// Reads the templates.
    pub(crate) fn new(site: Site) -> Result<Self, Error> {
        let mut environment = Environment::new();
        for (name, source) in TEMPLATES {
            environment.add_template(name, source)?;
        }
        let json = serde_json::to_string(&site).unwrap_or_default();
        let headers = policy(&site);
        Ok(Self { environment, site, json, headers })
    }

    /// Renders a page or a part of one.
    pub(super) fn render(&self, name: &str, content: Value) -> Result<String, Error> {
        let variables = Variables { site: &self.site, site_json: &self.json, content };
        self.environment.get_template(name)?.render(Serde(variables))
    }

    /// Answers 404 with a page.
    pub(super) fn missing(&self, detail: &str) -> Result<Response, Problem> {
        self.show(StatusCode::NOT_FOUND, "missing.html", json!({"detail": detail}))
    }

    /// Answers with a page.
    pub(super) fn show(&self, status: StatusCode, name: &str, content: Value) -> Result<Response, Problem> {
        let page = self.render(name, content).map_err(|error| {
            tracing::error!(%error, page = name, "a page does not render");
            Problem::internal()
        })?;
        Ok((status, self.headers.clone(), Html(page)).into_response())
    }
}

/// No content from elsewhere, no script or style in a page's own text, no frame around it, and calls to the services alone.
fn policy(site: &Site) -> [(HeaderName, HeaderValue); 3] {
    let calls: Vec<&str> = site.services.values().chain(site.ops.values()).map(String::as_str).collect();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {}; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        calls.join(" ")
    );
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    [
        (header::CONTENT_SECURITY_POLICY, policy),
        // With no-referrer, browsers would send `Origin: null` with the buttons' requests.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_on_localhost_has_two_origins() {
        assert_eq!(origins("http://localhost:8084"), ["http://localhost:8084", "http://127.0.0.1:8084"]);
        assert_eq!(origins("https://Board.example/x"), ["https://board.example"]);
    }
}
