//! What every program of this workspace does at its edges: the environment that it runs in, and how it prints.

mod environment;
mod output;

pub use environment::ignore_libpq_variables;
pub use output::{complain, print, say};
