//! The HTTP API: the catalogue for everyone; listing, restocking and stock-takes for the operator.

#[cfg(fuzzing)]
pub mod fuzzing;
mod products;
mod stock;

use axum::extract::FromRef;
use broker::{Cause, Outbox, Tx};
use envelope::{Event, Sequence};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{AdminToken, Problem};

#[derive(Clone)]
struct Api {
    outbox: Outbox,
    admin: AdminToken,
}

impl FromRef<Api> for AdminToken {
    fn from_ref(api: &Api) -> Self {
        api.admin.clone()
    }
}

impl Api {
    /// Begins a transaction that appends events, unless the outbox is full.
    async fn begin(&self) -> Result<Tx, Problem> {
        if self.outbox.is_full() {
            return Err(Problem::unavailable(
                "Too many events wait for Kafka at the moment; nothing was changed.",
            ));
        }
        Ok(self.outbox.begin().await?)
    }
}

pub(crate) fn routes(outbox: Outbox, admin: AdminToken) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(products::list))
        .routes(routes!(products::get, products::put, products::delete))
        .routes(routes!(stock::restock))
        .routes(routes!(stock::count))
        .with_state(Api { outbox, admin })
}

fn no_such_product() -> Problem {
    Problem::not_found("There is no such product.")
}

/// Appends an event of a request. These events are small and have keys, so one that cannot be appended is a bug.
fn append(tx: &mut Tx, traceparent: &str, version: Sequence, event: &impl Event) -> Result<(), Problem> {
    let cause = Cause::traced(Some(traceparent.to_owned()));
    if let Err(error) = tx.append(cause, version, event) {
        tracing::error!(%error, "an event cannot be appended");
        return Err(Problem::internal());
    }
    Ok(())
}
