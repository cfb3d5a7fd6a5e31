//! One file per command.

pub(crate) mod buttons;
pub(crate) mod control;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod groups;
pub(crate) mod kafka_tool;
pub(crate) mod kafka_users;
pub(crate) mod logs;
pub(crate) mod provision;
pub(crate) mod run;
pub(crate) mod up;
pub(crate) mod with_servers;
