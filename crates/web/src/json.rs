//! JSON bodies. [`Json`] parses a body into a type. A body that is not JSON is a 400; JSON of another shape is a
//! 422 with a pointer to the place. The types have `deny_unknown_fields`.

use std::fmt;
use std::marker::PhantomData;

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use crate::problem::{pointer, push};
use crate::unique::Unique;
use crate::{Problem, body};

/// The longest detail of a problem, in characters: serde's messages may quote the input.
const LONGEST_DETAIL: usize = 200;

/// A request's body, parsed, or an answer's body, serialized.
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        parse(&body::read_json(request).await?).map(Json)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// A struct that is read from a JSON object only. Serde's derive also reads a struct from an array, field by field in the
/// order of declaration, so `["MUG", 1]` would pass for `{"sku": "MUG", "quantity": 1}`, an undocumented format. A whole
/// body needs no wrapper: the extractors refuse arrays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }

        reader.deserialize_map(Members(PhantomData))
    }
}

/// Parses a body; the problem says where and why the body is invalid.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    typed(value(body)?)
}

/// Parses a body as JSON: 400 for a body that is not JSON, 422 for a repeated member or a number out of range.
pub(crate) fn value(body: &[u8]) -> Result<Value, Problem> {
    if body.trim_ascii().is_empty() {
        return Err(body::empty());
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let Unique(value) = serde_path_to_error::deserialize(&mut reader).map_err(refusal)?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// Reads a type from JSON: 422 for another shape.
pub(crate) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    if value.is_array() {
        // Serde's derive would read a struct from it; see `Object`.
        return Err(Problem::invalid("", "is an array, but must be an object"));
    }
    serde_path_to_error::deserialize(value).map_err(refusal)
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::bad_request(shorten(format!("The body is not valid JSON: {error}.")))
}

/// Returns the 400 or 422 for `error`.
fn refusal(error: serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let pointer = place(error.path());
    let error = error.into_inner();
    let message = message(&error);
    if message.starts_with("number out of range") {
        return Problem::invalid(pointer, "is a number out of range");
    }
    if error.classify() == Category::Data { wrong_shape(pointer, &message) } else { malformed(&error) }
}

/// Returns the pointer to the place where serde stopped.
fn place(path: &Path) -> String {
    let segments = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    });
    pointer(segments)
}

/// Returns the 422. Serde names a missing, unknown or repeated member only in its message.
fn wrong_shape(pointer: String, message: &str) -> Problem {
    let named = |kind: &str| message.strip_prefix(kind)?.split('`').nth(1).map(str::to_owned);
    // The path may or may not end with the member, depending on where serde stopped.
    let member = |name: &str| {
        let there = pointer.ends_with(&push(String::new(), name));
        if there { pointer.clone() } else { push(pointer.clone(), name) }
    };
    if let Some(name) = named("missing field") {
        return Problem::invalid(push(pointer.clone(), &name), "is missing");
    }
    if let Some(name) = named("duplicate field") {
        return Problem::invalid(member(&name), "is given twice");
    }
    if let Some(name) = named("unknown field") {
        let detail = message.replacen(&format!(" `{name}`"), "", 1);
        return Problem::invalid(member(&name), shorten(format!("is an {detail}")));
    }
    Problem::invalid(pointer, shorten(message.to_owned()))
}

/// Returns serde's message without line and column; the pointer replaces them.
fn message(error: &serde_json::Error) -> String {
    let mut message = error.to_string();
    if let Some(end) = message.rfind(" at line ") {
        message.truncate(end);
    }
    message
}

fn shorten(text: String) -> String {
    match text.char_indices().nth(LONGEST_DETAIL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Order {
        email: String,
        items: Vec<Object<Item>>,
        notify_me: Option<bool>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Item {
        sku: String,
        quantity: u16,
    }

    fn refused(body: &str) -> (u16, String) {
        let problem = parse::<Order>(body.as_bytes()).unwrap_err();
        let pointer = problem.errors().first().map(|error| error.pointer.clone());
        (problem.status().as_u16(), pointer.unwrap_or_default())
    }

    #[test]
    fn a_body_that_is_not_json_is_400() {
        let deep = format!(r#"{{"email":{}"#, "[".repeat(60_000));
        let closed = format!(r#"{{"email":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
        let cases = ["", " \n", "{", "{]", r#"{"email":"\ud800"}"#, r#"{"wrong":1"#, "{\"email\":\"a\0\"}"];
        for body in cases.into_iter().chain([deep.as_str(), closed.as_str()]) {
            assert_eq!(refused(body).0, 400, "{body:.40}");
        }
        assert_eq!(refused(r#"{"email":"a","items":[]} x"#).0, 400);
        assert_eq!(parse::<Order>(&[b'"', 0xff, b'"']).unwrap_err().status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn json_of_another_shape_is_422_with_a_pointer() {
        for (body, pointer) in [
            ("[]", ""),
            (r#"["a",[],true]"#, ""),
            (r#"{"email":"a","items":[["s",1]]}"#, "/items/0"),
            ("1e999", ""),
            ("{}", "/email"),
            (r#"{"email":1}"#, "/email"),
            (r#"{"email":"a","email":"b"}"#, "/email"),
            (r#"{"email":"a","e/x":"b"}"#, "/e~1x"),
            (r#"{"email":"a","items":[{"sku":"s"}]}"#, "/items/0/quantity"),
            (r#"{"email":"a","items":[{"sku":"s","quantity":70000}]}"#, "/items/0/quantity"),
            (r#"{"email":"a","items":[{"sku":"s","quantity":1e999}]}"#, "/items/0/quantity"),
            (r#"{"email":"a","items":[{"sku":"s","quantity":1,"more":{}}]}"#, "/items/0/more"),
            (r#"{"email":"a","items":[],"notify_me":"yes"}"#, "/notify_me"),
        ] {
            assert_eq!(refused(body), (422, pointer.to_owned()), "{body}");
        }
    }

    #[tokio::test]
    async fn the_body_must_be_json_of_bounded_size() {
        let read = |content_type: &'static str, length: usize| async move {
            let request = Request::post("/").header("content-type", content_type);
            let body = Body::from(format!("\"{}\"", "a".repeat(length - 2)));
            let json = Json::<String>::from_request(request.body(body).unwrap(), &()).await;
            json.map_or_else(|problem| problem.status().as_u16(), |_| 200)
        };
        assert_eq!(read("application/json; charset=utf-8", body::LIMIT).await, 200);
        assert_eq!(read("Application/JSON", 10).await, 200);
        assert_eq!(read("application/merge-patch+json", 10).await, 415);
        assert_eq!(read("application/json", body::LIMIT + 1).await, 413);
        assert_eq!(read("text/plain", body::LIMIT + 1).await, 415);
    }
}
