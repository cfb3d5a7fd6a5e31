//! The description of an API (`OpenAPI` 3.1). Handlers describe their own answers. The errors that follow from an
//! operation's shape (a body, a path parameter, a token) are described once and added here.

use axum::http::StatusCode;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{LicenseBuilder, Object, OpenApi, Ref, RefOr, Response, ResponseBuilder, Type};
use utoipa::{PartialSchema, ToResponse, ToSchema};

use crate::problem::{FieldError, MEDIA_TYPE};
use crate::{Problem, idempotency};

/// The name and purpose of an API, for its description.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The service's name, such as `order`.
    pub service: &'static str,
    /// The service's purpose, in a few sentences (Markdown).
    pub description: &'static str,
    pub version: &'static str,
    /// The crate's license, as an SPDX expression.
    pub license: &'static str,
}

/// A shared answer: its status, its name in `#/components/responses/`, its description, and a header.
type Shared = (u16, &'static str, &'static str, Option<(&'static str, &'static str)>);

const CONFLICT: Shared = (
    409,
    "Conflict",
    "Not possible in the present state, or a request with the same Idempotency-Key is still being handled.",
    None,
);
const TOO_MANY: Shared = (
    429,
    "TooManyRequests",
    "Too many requests or wrong tokens from this client, or too many requests for this address.",
    Some(("Retry-After", "Seconds until the next request is allowed.")),
);
const ALL: [Shared; 10] = [
    (400, "BadRequest", "The body is empty or not JSON, or a header is malformed.", None),
    (401, "Unauthorized", "The token is missing or wrong.", Some(("WWW-Authenticate", "`Bearer`"))),
    (404, "NotFound", "There is nothing at this path, or its id is malformed.", None),
    (408, "RequestTimeout", "The body did not arrive in time.", None),
    CONFLICT,
    (413, "ContentTooLarge", "The body is larger than 64 KiB.", None),
    (415, "UnsupportedMediaType", "The body is not `application/json`.", None),
    (
        422,
        "UnprocessableContent",
        "A field or parameter is missing, unknown or out of range; `errors` says where. \
         Or the Idempotency-Key was used for another request.",
        None,
    ),
    TOO_MANY,
    (
        503,
        "ServiceUnavailable",
        "The database does not answer, or too much work is waiting. Try again; with an Idempotency-Key nothing happens twice.",
        Some(("Retry-After", "Seconds to wait.")),
    ),
];

/// The 409 for a handler's description: `(status = 409, response = Conflict)`.
pub struct Conflict;

impl<'r> ToResponse<'r> for Conflict {
    fn response() -> (&'r str, RefOr<Response>) {
        (CONFLICT.1, RefOr::T(response(&CONFLICT)))
    }
}

pub struct TooManyRequests;

impl<'r> ToResponse<'r> for TooManyRequests {
    fn response() -> (&'r str, RefOr<Response>) {
        (TOO_MANY.1, RefOr::T(response(&TOO_MANY)))
    }
}

/// Adds names, shared schemas and shared errors to the description of an API.
pub(crate) fn complete(about: &About, api: &mut OpenApi) {
    api.info.title = format!("{} service", about.service);
    api.info.description = Some(about.description.to_owned());
    about.version.clone_into(&mut api.info.version);
    // The router's default is the contact of its own crate.
    api.info.contact = None;
    api.info.license =
        Some(LicenseBuilder::new().name(about.license).identifier(Some(about.license)).build());
    let components = api.components.get_or_insert_default();
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.description =
        Some("The operator's ADMIN_TOKEN, or another token where the operation says so.".to_owned());
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    for (name, schema) in [(Problem::name(), Problem::schema()), (FieldError::name(), FieldError::schema())] {
        components.schemas.insert(name.into_owned(), schema);
    }
    components.responses.extend(ALL.map(|shared| (shared.1.to_owned(), RefOr::T(response(&shared)))));
    for item in api.paths.paths.values_mut() {
        operations(item).for_each(|operation| {
            add_errors(operation);
            describe(operation);
        });
    }
}

fn response(&(_, _, description, header): &Shared) -> Response {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
    let response = ResponseBuilder::new().description(description).content(MEDIA_TYPE, problem);
    let Some((name, meaning)) = header else {
        return response.build();
    };
    let text = Object::with_type(Type::String);
    response.header(name, HeaderBuilder::new().schema(Some(text)).description(Some(meaning)).build()).build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

/// Gives each response without a description its status in words, since a description is mandatory.
fn describe(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if response.description.is_empty() {
            let words = StatusCode::from_bytes(status.as_bytes()).ok().and_then(|s| s.canonical_reason());
            words.unwrap_or("The answer").clone_into(&mut response.description);
        }
    }
}

fn add_errors(operation: &mut Operation) {
    let mut errors = vec![503];
    if operation.request_body.is_some() {
        errors.extend([400, 408, 413, 415, 422]);
    }
    for parameter in operation.parameters.iter().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        match parameter.parameter_in {
            ParameterIn::Path => errors.push(404),
            ParameterIn::Query => errors.push(422),
            ParameterIn::Header if parameter.name.eq_ignore_ascii_case(idempotency::HEADER) => {
                errors.extend([400, 409, 422]);
            }
            _ => {}
        }
    }
    if operation.security.as_ref().is_some_and(|schemes| !schemes.is_empty()) {
        errors.extend([401, 429]);
    }
    for (status, name, ..) in ALL.iter().filter(|shared| errors.contains(&shared.0)) {
        let shared = RefOr::Ref(Ref::from_response_name(*name));
        operation.responses.responses.entry(status.to_string()).or_insert(shared);
    }
}
