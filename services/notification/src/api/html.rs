//! Renders the pages, with the headers that restrict what a browser may do with them.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{Environment, Error};
use serde::Serialize;
use web::Problem;

use crate::delivery::templates::{Shop, escape};

pub(crate) struct Pages {
    environment: Environment<'static>,
    shop: Shop,
}

const TEMPLATES: [(&str, &str); 13] = [
    ("page.html", include_str!("../../templates/pages/page.html")),
    ("confirm.html", include_str!("../../templates/pages/confirm.html")),
    ("confirmed.html", include_str!("../../templates/pages/confirmed.html")),
    ("unsubscribe.html", include_str!("../../templates/pages/unsubscribe.html")),
    ("unsubscribed.html", include_str!("../../templates/pages/unsubscribed.html")),
    ("refuse.html", include_str!("../../templates/pages/refuse.html")),
    ("lift.html", include_str!("../../templates/pages/lift.html")),
    ("lifted.html", include_str!("../../templates/pages/lifted.html")),
    ("join.html", include_str!("../../templates/pages/join.html")),
    ("claim.html", include_str!("../../templates/pages/claim.html")),
    ("ended.html", include_str!("../../templates/pages/ended.html")),
    ("inbox.html", include_str!("../../templates/pages/inbox.html")),
    ("gone.html", include_str!("../../templates/pages/gone.html")),
];

#[derive(Serialize)]
struct Variables<'a, T> {
    shop: &'a Shop,
    /// New for each page; only a script with it runs.
    nonce: &'a str,
    #[serde(flatten)]
    content: T,
}

impl Pages {
    pub(crate) fn new(shop: Shop) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_formatter(escape);
        for (name, source) in TEMPLATES {
            environment.add_template(name, source)?;
        }
        Ok(Self { environment, shop })
    }

    /// Answers 200 with the page `name`.
    pub(super) fn show(&self, name: &str, content: impl Serialize) -> Result<Response, Problem> {
        self.render(StatusCode::OK, name, content, "")
    }

    /// Renders the page `name`; `frames` is a directive that its policy has in addition.
    pub(super) fn render(
        &self,
        status: StatusCode,
        name: &str,
        content: impl Serialize,
        frames: &str,
    ) -> Result<Response, Problem> {
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let variables = Variables { shop: &self.shop, nonce: &nonce, content };
        let template = self.environment.get_template(&format!("{name}.html"));
        let page = template.and_then(|template| template.render(Serde(variables))).map_err(|error| {
            tracing::error!(%error, page = name, "a page does not render");
            Problem::internal()
        })?;
        Ok((status, policy(&nonce, frames), Html(page)).into_response())
    }
}

/// No content from elsewhere, no frame around the page, and forms and calls to this service alone.
fn policy(nonce: &str, frames: &str) -> [(HeaderName, HeaderValue); 2] {
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         {frames}form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let value = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    [(header::CONTENT_SECURITY_POLICY, value), NO_INDEX]
}

/// No search engine lists the page.
pub(super) const NO_INDEX: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex"));
