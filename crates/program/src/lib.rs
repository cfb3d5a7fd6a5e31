//! The environment and the output of every program of this workspace.

mod environment;
mod output;

pub use environment::ignore_libpq_variables;
pub use output::{complain, print, say};
