//! A limit on the requests in flight of each client behind a trusted proxy. The connections of a proxy carry many
//! clients, so the limit of connections per client does not apply to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{ClientAddress, Problem};

/// The most requests in flight of one client; many people may share an address.
const PER_CLIENT: usize = 64;

/// The number of requests in flight per client.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashMap<ClientAddress, usize>>>);

impl InFlight {
    /// Counts a request until its guard is dropped, or refuses it with 429 over the limit.
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
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
    fn the_limit_is_per_client_and_requests_that_end_are_forgotten() {
        let all = InFlight::default();
        let client = |address: &str| ClientAddress::of(address.parse().unwrap());
        let mut guards: Vec<Guard> =
            (0..PER_CLIENT).map(|_| all.enter(client("192.0.2.1")).ok().unwrap()).collect();
        assert_eq!(all.enter(client("192.0.2.1")).err().unwrap().status(), 429);
        assert!(all.enter(client("192.0.2.2")).is_ok());
        guards.pop();
        assert!(all.enter(client("192.0.2.1")).is_ok());
        drop(guards);
        assert!(all.clients().is_empty(), "memory is released");
    }
}
