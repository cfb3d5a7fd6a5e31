//! So that no form signs one address up for everything, and no client signs up everybody.

use std::num::NonZeroU32;

use events::values::EmailAddress;
use web::{ClientAddress, Limit, Problem};

/// Limits by the hour; `None`: off.
pub(crate) struct Limits {
    clients: Option<Limit<ClientAddress>>,
    addresses: Option<Limit<EmailAddress>>,
}

impl Limits {
    /// So many subscriptions an hour from a client, and for an address; 0 turns a limit off.
    pub(crate) fn new(per_client: u32, per_address: u32) -> Self {
        Self {
            clients: NonZeroU32::new(per_client).map(Limit::per_hour),
            addresses: NonZeroU32::new(per_address).map(Limit::per_hour),
        }
    }

    /// Counts one, by the mailbox of the address; 429 when it is one too many. Calls are counted, not what is known of the address, so the answer says
    /// nothing of it.
    pub(crate) fn check(&self, client: ClientAddress, address: &EmailAddress) -> Result<(), Problem> {
        self.clients.as_ref().map_or(Ok(()), |limit| limit.check(&client))?;
        self.addresses.as_ref().map_or(Ok(()), |limit| limit.check(&address.mailbox()))
    }
}
