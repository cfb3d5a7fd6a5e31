//! The topics that this service owns, read as facts: they roll a database that was restored from an older copy forward
//! (`order restored`). Each handler compares an event's sequence with the aggregate's own version, and appends nothing.

mod customers;
mod orders;

pub(crate) use customers::Customers;
pub(crate) use orders::Orders;
