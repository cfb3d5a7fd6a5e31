//! The setting `CORS_ORIGINS`: the web origins whose pages may call an API, as browsers write them in `Origin`.

use std::str::FromStr;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::{Origin, Url};

use crate::idempotency;

/// The time for which browsers keep the answer to a preflight request.
const PREFLIGHT: Duration = Duration::from_mins(10);
/// The valid forms, for error messages.
const EXAMPLE: &str = "https://shop.example or http://localhost:3000, comma-separated, or * alone for all";

/// Origins as browsers serialize them (scheme and host in lower case, no default port, A-labels), or `*` for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    any: bool,
    listed: Vec<HeaderValue>,
}

impl Origins {
    /// Whether no page of another origin may call the API.
    pub fn is_empty(&self) -> bool {
        !self.any && self.listed.is_empty()
    }

    /// Adds the layer that answers preflight requests and adds the CORS headers, unless no origin is listed. No request
    /// carries cookies, and operators' requests still need their token, so a listed page can do what any program can.
    pub fn allow(&self, routes: Router) -> Router {
        if self.is_empty() {
            return routes;
        }
        let origins =
            if self.any { AllowOrigin::any() } else { AllowOrigin::list(self.listed.iter().cloned()) };
        let headers =
            [header::CONTENT_TYPE, header::AUTHORIZATION, HeaderName::from_static(idempotency::HEADER)];
        let layer = CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers(headers)
            .expose_headers([header::LOCATION, header::RETRY_AFTER])
            .max_age(PREFLIGHT);
        routes.layer(layer)
    }
}

/// An entry of `CORS_ORIGINS` that is not a web origin.
#[derive(Debug, thiserror::Error)]
#[error("{entry:?} {problem}; write {EXAMPLE}")]
pub struct NoOrigin {
    entry: String,
    problem: &'static str,
}

impl FromStr for Origins {
    type Err = NoOrigin;

    fn from_str(list: &str) -> Result<Self, NoOrigin> {
        let entries: Vec<&str> = list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
        if entries == ["*"] {
            return Ok(Self { any: true, listed: Vec::new() });
        }
        let origin =
            |entry: &&str| origin(entry).map_err(|problem| NoOrigin { entry: (*entry).to_owned(), problem });
        Ok(Self { any: false, listed: entries.iter().map(origin).collect::<Result<_, _>>()? })
    }
}

fn origin(entry: &str) -> Result<HeaderValue, &'static str> {
    if entry == "*" {
        return Err("is listed with other origins, but allows all of them by itself");
    }
    if entry.contains('*') {
        return Err("has a wildcard, which CORS does not support: list each origin");
    }
    if entry.eq_ignore_ascii_case("null") {
        return Err("is sent by pages without an origin, such as anybody's sandboxed or local pages");
    }
    if entry.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err("has characters that are not allowed in an origin");
    }
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && entry.contains("://");
    let url = Url::parse(entry).ok().filter(is_web).ok_or("is not a web origin")?;
    if !url.username().is_empty() || url.password().is_some() || entry.contains('@') {
        return Err("has a user name");
    }
    // The parser adds a slash for an empty path, so only the text shows whether one was given.
    let authority = entry.split_once("://").map_or(entry, |(_, rest)| rest);
    if authority.contains(['/', '?', '#']) {
        return Err("has more than an origin (a path, a query, or a slash at its end)");
    }
    match url.origin() {
        origin @ Origin::Tuple(..) => {
            HeaderValue::from_str(&origin.ascii_serialization()).map_err(|_| "is not a web origin")
        }
        Origin::Opaque(_) => Err("is not a web origin"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(list: &str) -> Vec<String> {
        let origins: Origins = list.parse().unwrap_or_else(|error| panic!("{list}: {error}"));
        origins.listed.iter().map(|origin| origin.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn an_origin_is_stored_as_browsers_write_it() {
        for (written, sent) in [
            ("https://shop.example", "https://shop.example"),
            ("https://SHOP.example:443", "https://shop.example"),
            ("HTTP://Shop.Example:80", "http://shop.example"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://shop.example:80", "https://shop.example:80"),
            ("https://Bücher.example", "https://xn--bcher-kva.example"),
            ("http://[2001:DB8:0::1]:8080", "http://[2001:db8::1]:8080"),
            ("http://127.0.0.1", "http://127.0.0.1"),
        ] {
            assert_eq!(listed(written), [sent], "{written}");
        }
        assert_eq!(listed(" https://a.example , https://b.example,").len(), 2);
        assert!("".parse::<Origins>().unwrap().is_empty());
        assert!(!"*".parse::<Origins>().unwrap().is_empty());
    }

    #[test]
    fn an_invalid_origin_is_refused_with_the_valid_forms() {
        for written in [
            "null",
            "*, https://a.example",
            "https://*.shop.example",
            "https://shop.example/",
            "https://shop.example/shop",
            "https://shop.example?x",
            "https://shop.example#x",
            "https://user@shop.example",
            "https://user:password@shop.example",
            "https://@shop.example",
            "shop.example",
            "shop.example:443",
            "ftp://shop.example",
            "file:///etc",
            "https:shop.example",
            "https://",
            "https://shop.example:99999",
            "https://shop .example",
            "https:\\\\shop.example",
            "https://a.example https://b.example",
            "javascript:alert(1)",
        ] {
            let refused = written.parse::<Origins>();
            let message = refused.expect_err(written).to_string();
            assert!(message.contains("https://shop.example or"), "{message}");
        }
    }
}
