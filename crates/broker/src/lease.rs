//! A lease on a name: one holder at a time by the database's clock. It expires by itself when the holder is gone.
//!
//! An advisory lock would not do: the session of a frozen holder stays alive and keeps it.

use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

/// The duration of a lease that is not renewed; also the longest wait of another instance to take over.
const TERM: Duration = Duration::from_secs(4);
/// A lease that ends later than this from now was taken while the database's clock was ahead. It counts as free; otherwise
/// no other instance could take over until the clock reached its end.
const FURTHEST: Duration = TERM.saturating_mul(2);
const RENEW_AFTER: Duration = Duration::from_secs(1);

/// A lease that this process holds or tries to take.
#[derive(Debug)]
pub struct Lease {
    name: &'static str,
    /// The holder's id; its upper half identifies the instance.
    holder: Uuid,
    /// The time of the last request, by this process' clock.
    asked: Option<Instant>,
    /// The time until which the lease is surely held, by this process' clock; `None`: it is not held.
    until: Option<Instant>,
}

impl Lease {
    /// The name of the lease that a relay holds while it publishes.
    pub const RELAY: &'static str = "relay";

    /// Returns the lease `name`, not taken yet. `instance` is a name that this instance keeps across restarts: an instance
    /// that was killed and starts again takes over its own lease at once, and its predecessor, should it be alive, has lost
    /// the lease.
    pub fn new(name: &'static str, instance: Option<&str>) -> Self {
        Self { name, holder: instance.map_or_else(Uuid::new_v4, holder_of), asked: None, until: None }
    }

    /// Returns whether the lease is surely held at this moment.
    pub fn is_held(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    /// Takes or renews the lease, at most once per second, and returns whether it is held.
    pub async fn hold(&mut self, pool: &PgPool) -> sqlx::Result<bool> {
        if self.asked.is_some_and(|asked| asked.elapsed() < RENEW_AFTER) {
            return Ok(self.is_held());
        }
        // Measured before the request, so that the lease ends here no later than in the database.
        let asked = Instant::now();
        let taken = sqlx::query_scalar!(
            r#"
            INSERT INTO broker.leases AS lease (name, holder, expires_at)
            VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond')
            ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
            WHERE lease.holder = excluded.holder OR lease.expires_at < clock_timestamp()
               OR lease.expires_at > clock_timestamp() + $5 * interval '1 millisecond'
               OR ($4 AND substr(uuid_send(lease.holder), 1, 8) = substr(uuid_send(excluded.holder), 1, 8))
            RETURNING true AS "taken!"
            "#,
            self.name,
            self.holder,
            milliseconds(TERM),
            self.asked.is_none(),
            milliseconds(FURTHEST),
        )
        .fetch_optional(pool)
        .await?;
        self.asked = Some(asked);
        self.until = taken.map(|_| asked + TERM);
        Ok(self.is_held())
    }

    /// Gives the lease back, so that another instance can take it at once.
    pub async fn release(&mut self, pool: &PgPool) -> sqlx::Result<()> {
        self.until = None;
        sqlx::query!("DELETE FROM broker.leases WHERE name = $1 AND holder = $2", self.name, self.holder)
            .execute(pool)
            .await?;
        Ok(())
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Returns an id whose upper half depends on the name alone and whose lower half is random.
fn holder_of(instance: &str) -> Uuid {
    let name: [u8; 32] = Sha256::digest(instance).into();
    let random = Uuid::new_v4().into_bytes();
    uuid::Builder::from_custom_bytes(std::array::from_fn(|i| if i < 8 { name[i] } else { random[i] }))
        .into_uuid()
}
