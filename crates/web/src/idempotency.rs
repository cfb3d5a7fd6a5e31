//! Idempotency keys: a client that got no answer repeats the request with the same `Idempotency-Key` and gets
//! the stored answer, byte for byte (draft-ietf-httpapi-idempotency-key-header). [`Idempotent`] reads key and
//! body; [`claim`] and [`answer`] run inside the caller's transaction, so that the answer and the effect are
//! committed together.

mod keys;

use axum::extract::{FromRequest, MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use keys::{Claim, answer, claim, is_known, purge, release};

use crate::{Problem, body, json};

pub(crate) const HEADER: &str = "idempotency-key";

/// The key that a client gave its request, and a fingerprint that distinguishes a repetition from another request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The operation, such as `POST /orders`. The same key in another operation is another key.
    pub operation: String,
    /// The client's value: 1 to 255 visible ASCII characters.
    pub value: String,
    /// SHA-256 of path and body. Two bodies with the same JSON value have the same fingerprint.
    pub fingerprint: [u8; 32],
}

/// A request's body with its idempotency key, if the client gave one.
#[derive(Debug, Clone)]
pub struct Idempotent<T> {
    pub value: T,
    pub key: Option<Key>,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Idempotent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let key = header_value(request.headers())?;
        let path = request.uri().path().to_owned();
        let matched = request.extensions().get::<MatchedPath>().map(|matched| matched.as_str().to_owned());
        let operation = format!("{} {}", request.method(), matched.as_ref().unwrap_or(&path));
        let body = json::value(&body::read_json(request).await?)?;
        let key = key.map(|value| Key { operation, value, fingerprint: fingerprint(&path, &body) });
        Ok(Self { value: json::typed(body)?, key })
    }
}

fn header_value(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let visible =
        |value: &&str| (1..=255).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic());
    match (value.to_str().ok().filter(visible), values.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        (_, Some(_)) => Err(Problem::bad_request("Idempotency-Key is given more than once.")),
        (None, None) => {
            Err(Problem::bad_request("Idempotency-Key must be 1 to 255 visible ASCII characters, no spaces."))
        }
    }
}

fn fingerprint(path: &str, body: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(path);
    feed(&mut hash, body);
    hash.finalize().into()
}

/// Hashes a JSON value: members sorted by name, each part with its kind and length, so that parts cannot run together.
fn feed(hash: &mut Sha256, value: &Value) {
    let mut text = |kind: char, text: &str| hash.update(format!("\n{kind}{}:{text}", text.len()));
    match value {
        Value::Null => text('z', ""),
        Value::Bool(value) => text('b', if *value { "1" } else { "0" }),
        Value::Number(number) => text('n', &number.to_string()),
        Value::String(string) => text('s', string),
        Value::Array(items) => {
            text('a', &items.len().to_string());
            for item in items {
                feed(hash, item);
            }
        }
        Value::Object(members) => {
            text('o', &members.len().to_string());
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| name.as_str());
            for (name, member) in members {
                feed(hash, &Value::String(name.clone()));
                feed(hash, member);
            }
        }
    }
}

/// An answer that can be repeated, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    location: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    /// A JSON answer, with a `Location` header if there is one.
    pub fn json(
        status: StatusCode,
        location: Option<String>,
        body: &impl Serialize,
    ) -> Result<Self, Problem> {
        let body = serde_json::to_vec(body).map_err(|error| {
            tracing::error!(%error, "an answer cannot be serialized as JSON");
            Problem::internal()
        })?;
        Ok(Self { status: status.as_u16(), location, body })
    }

    /// The path of the created resource.
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }

    /// The answer with a changed body: parts that may not be stored are added each time the answer is sent.
    #[must_use]
    pub fn map_body(self, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Self {
        Self { body: change(self.body), ..self }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Ok(status) = StatusCode::from_u16(self.status) else {
            return Problem::internal().into_response();
        };
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], self.body).into_response();
        if let Some(location) = self.location.and_then(|location| HeaderValue::try_from(location).ok()) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// 422 for a key that was used for another request.
pub fn other_body() -> Problem {
    let detail = "this Idempotency-Key was used for another request; a new one needs a new key";
    Problem::invalid("", detail)
}

/// The problem for a failed transaction that contains a claim: 409 while another transaction holds the same key (the
/// wait for it ran into `lock_timeout`), otherwise the problem of any database error.
pub fn failed(error: sqlx::Error) -> Problem {
    if sqlstate::is_lock_timeout(&error) {
        return Problem::conflict("A request with this Idempotency-Key is still being handled; try again.");
    }
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        let print = |body: &str| fingerprint("/orders", &serde_json::from_str(body).unwrap());
        print(a) == print(b)
    }

    #[test]
    fn bodies_with_the_same_json_value_have_the_same_fingerprint() {
        assert!(same(r#"{"a":1,"b":[true,null]}"#, "{ \"b\" : [true, null],\n\"a\":1 }"));
        assert!(same(r#""\u0041""#, r#""A""#));
        for other in [r#"{"a":2}"#, r#"{"a":"1"}"#, r#"{"b":1}"#, r#"[{"a":1}]"#, r#"{"a":1,"b":null}"#] {
            assert!(!same(r#"{"a":1}"#, other), "{other}");
        }
        assert!(!same(r#"["ab",""]"#, r#"["a","b"]"#) && !same("[[],1]", "[[1]]"));
    }

    #[test]
    fn a_key_is_visible_ascii_of_bounded_length() {
        let read = |values: &[&str]| {
            let pairs = values
                .iter()
                .map(|v| (HEADER.parse().unwrap(), HeaderValue::from_bytes(v.as_bytes()).unwrap()));
            let mut headers = HeaderMap::new();
            pairs.for_each(|(name, value): (header::HeaderName, _)| _ = headers.append(name, value));
            header_value(&headers).map_err(|problem| problem.status().as_u16())
        };
        let longest = "k".repeat(255);
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[&longest]), Ok(Some(longest.clone())));
        for bad in ["", "a b", "é", &"k".repeat(256)] {
            assert_eq!(read(&[bad]), Err(400), "{bad}");
        }
        assert_eq!(read(&["a", "a"]), Err(400));
    }
}
