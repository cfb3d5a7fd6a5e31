//! The system from outside, a file a behaviour. One binary: linking is what takes time.

mod crashes;
mod outages;
mod outcomes;
mod overselling;
mod sharing;
