//! The state of the topics as the board has read it, in bounded memory; no I/O.

mod catalogue;
mod event;
mod frame;
mod groups;
mod history;
mod mask;
mod model;
mod order;
mod rates;

pub(crate) use catalogue::Offer;
pub(crate) use event::Shown;
pub(crate) use groups::{Group, SeenGroup};
pub(crate) use model::{Model, TopicInfo};
pub(crate) use order::{Station, stations};
