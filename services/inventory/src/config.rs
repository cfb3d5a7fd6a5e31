//! The service's own settings: none yet. Those that all services share are the chassis's.

/// What the inventory service can be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {}
