//! Acts of operators, for the log.

use std::sync::{Arc, OnceLock};

use axum::http::{Method, StatusCode, Uri};

/// The target of the lines that tell of operators' acts; `RUST_LOG` may turn them off as `audit=off`.
pub const AUDIT: &str = "audit";

/// The operator who makes a request, once the token has been judged. The middleware puts it into each request and looks
/// at it when the answer is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Act(Arc<OnceLock<Arc<str>>>);

impl Act {
    /// Notes who acts.
    pub(super) fn by(&self, operator: &Arc<str>) {
        // A second extractor judges the same token.
        let _ = self.0.set(Arc::clone(operator));
    }

    /// Logs the act, if it was an operator's: who, what, and what came of it. No query and no body, so no address.
    pub(crate) fn log(&self, method: &Method, target: &Uri, status: StatusCode) {
        if let Some(operator) = self.0.get() {
            let (method, path, status) = (method.as_str(), target.path(), status.as_u16());
            tracing::info!(target: AUDIT, operator = &**operator, method, path, status, "an operator's call");
        }
    }
}
