//! One file a command.

pub(crate) mod sqlx_prepare;
