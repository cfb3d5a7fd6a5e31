//! Limits of the form: one address cannot be subscribed to everything, and one client cannot subscribe everybody.

use std::num::NonZeroU32;

use events::values::EmailAddress;
use web::{ClientAddress, Limit, Problem};

/// Requests per hour; `None` for no limit.
pub(crate) struct Limits {
    clients: Option<Limit<ClientAddress>>,
    mailboxes: Option<Limit<EmailAddress>>,
}

impl Limits {
    /// The limits per client and per mailbox; 0 for no limit.
    pub(crate) fn new(per_client: u32, per_mailbox: u32) -> Self {
        Self {
            clients: NonZeroU32::new(per_client).map(Limit::per_hour),
            mailboxes: NonZeroU32::new(per_mailbox).map(Limit::per_hour),
        }
    }

    /// Counts a request; the 429 when it is over a limit. It counts calls, not what is stored of the address, so the answer
    /// reveals nothing about it.
    pub(crate) fn check(&self, client: ClientAddress, address: &EmailAddress) -> Result<(), Problem> {
        self.clients.as_ref().map_or(Ok(()), |limit| limit.check(&client))?;
        self.mailboxes.as_ref().map_or(Ok(()), |limit| limit.check(&address.mailbox()))
    }
}
