//! The service's own settings: none yet. The settings that all services share are in `chassis`.

/// The settings of this service alone.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {}
