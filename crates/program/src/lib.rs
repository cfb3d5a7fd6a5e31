//! The environment and the output of every program of this workspace.

mod environment;
mod output;

pub use environment::{ignore_libpq_variables, is_coloured, variable};
pub use output::{complain, print, say};
