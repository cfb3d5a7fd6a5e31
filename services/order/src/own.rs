//! The topics that this service owns, read as facts: how a database that was restored from an older copy is rolled forward
//! (`order restored`). Each fold remembers an aggregate's own version, and appends nothing.

mod customers;
mod orders;

pub(crate) use customers::Customers;
pub(crate) use orders::Orders;
