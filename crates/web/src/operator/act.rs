//! The audit log of operator requests.

use std::sync::{Arc, OnceLock};

use axum::http::{Method, StatusCode, Uri};

/// The log target of operator requests; `RUST_LOG=audit=off` turns them off.
pub const AUDIT: &str = "audit";

/// The operator who makes a request, known once the token has been checked. The middleware adds it to each request and
/// logs it with the answer's status.
#[derive(Debug, Clone, Default)]
pub(crate) struct Act(Arc<OnceLock<Arc<str>>>);

impl Act {
    /// Records the operator.
    pub(super) fn by(&self, operator: &Arc<str>) {
        // A second extractor finds the same operator, so a value that is already set is right.
        let _ = self.0.set(Arc::clone(operator));
    }

    /// Logs an operator's request: operator, method, path and status. No query and no body, so no address.
    pub(crate) fn log(&self, method: &Method, target: &Uri, status: StatusCode) {
        if let Some(operator) = self.0.get() {
            let (method, path, status) = (method.as_str(), target.path(), status.as_u16());
            tracing::info!(target: AUDIT, operator = &**operator, method, path, status, "an operator's request");
        }
    }
}
