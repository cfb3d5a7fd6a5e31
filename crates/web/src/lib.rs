//! The HTTP layer of all services: problem documents (RFC 9457), extractors that refuse invalid input with a
//! pointer to it, the operators' and other bearer tokens, idempotency keys, paged lists, limits per client, and
//! the server with its timeouts. A service passes its routes to [`api`].

#![allow(
    missing_docs,
    reason = "the crate is of this workspace alone; a name that says all needs no comment"
)]

mod body;
mod budget;
pub mod client;
pub mod cors;
mod docs;
pub mod idempotency;
mod in_flight;
pub mod json;
pub mod limit;
mod middleware;
pub mod openapi;
pub mod operator;
pub mod page;
mod params;
pub mod problem;
pub mod server;
mod sql;
pub mod trace;
mod unique;

pub use client::{ClientAddress, TrustedProxies};
pub use cors::Origins;
pub use idempotency::Idempotent;
pub use json::{Json, Object};
pub use limit::Limit;
pub use openapi::About;
pub use operator::{AdminToken, Operator, bearer};
pub use page::{Page, Paging, PagingParams};
pub use params::{Path, Query};
pub use problem::{FieldError, Problem};
pub use server::{Bounds, Occupancy, Server, api, bind};
pub use trace::Traceparent;

/// The migrations of the tables that this crate's functions use, beside the service's own.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();
