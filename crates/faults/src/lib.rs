//! Breaks a whole system under load, waits until it has recovered, and checks its history with the crate `checker`.
//!
//! A [`Site`] is a system with proxies, a mail server and clients that record what they see. [`FAULTS`] is the vocabulary of
//! faults. [`Site::round`] puts load on the site, breaks it, measures the recovery, collects the [`History`] and
//! checks it. Random choices follow from a seed.
//!
//! [`History`]: checker::History

#![expect(missing_docs, reason = "a field is named as what it holds")]

mod collect;
mod disk;
mod faults;
mod load;
mod proxy;
pub mod report;
mod round;
mod site;

pub use faults::{FAULTS, Fault};
pub use round::Outcome;
pub use site::{Kind, Site};
