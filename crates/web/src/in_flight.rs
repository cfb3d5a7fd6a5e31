//! The requests of each client behind a trusted proxy that are being answered. The proxy's connections are many clients',
//! so they are not bounded by client; these are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{ClientAddress, Problem};

/// The most that one client may have; many people may share an address.
const PER_CLIENT: usize = 64;

/// How many requests of each client are being answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashMap<ClientAddress, usize>>>);

impl InFlight {
    /// Counts one more until the guard is dropped; 429 when it is one too many.
    pub(crate) fn enter(&self, client: ClientAddress) -> Result<Guard, Problem> {
        let mut clients = self.clients();
        let count = clients.entry(client).or_default();
        if *count >= PER_CLIENT {
            return Err(Problem::too_many_requests(1));
        }
        *count += 1;
        drop(clients);
        Ok(Guard { all: self.clone(), client })
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<ClientAddress, usize>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered.
pub(crate) struct Guard {
    all: InFlight,
    client: ClientAddress,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut clients = self.all.clients();
        if let Some(count) = clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_bounded_by_what_is_under_way_and_others_are_not_touched() {
        let all = InFlight::default();
        let client = |address: &str| ClientAddress::of(address.parse().unwrap());
        let mut guards: Vec<Guard> =
            (0..PER_CLIENT).map(|_| all.enter(client("192.0.2.1")).ok().unwrap()).collect();
        assert_eq!(all.enter(client("192.0.2.1")).err().unwrap().status(), 429);
        assert!(all.enter(client("192.0.2.2")).is_ok());
        guards.pop();
        assert!(all.enter(client("192.0.2.1")).is_ok());
        drop(guards);
        assert!(all.clients().is_empty(), "memory is given back");
    }
}
