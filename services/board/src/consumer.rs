//! Reads Kafka for the board: the topics with a client that joins no group and commits nothing, and the groups of the services.

mod feed;
mod groups;

pub(crate) use feed::feed;
pub(crate) use groups::watch_groups;
