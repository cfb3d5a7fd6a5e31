//! A lease on a name: one holder at a time by the database's clock, free again by itself when the holder is gone.
//!
//! An advisory lock would not do: a frozen holder's session lives on and keeps it.

use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

/// How long a lease lasts without being renewed; also the longest that another waits to take over.
const TERM: Duration = Duration::from_secs(4);
/// A lease that ends later than this was taken while the database's clock was ahead; it is free, or nobody could take it over
/// until the clock has come that far.
const FURTHEST: Duration = TERM.saturating_mul(2);
const RENEW_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Lease {
    name: &'static str,
    /// Its upper half is its instance's.
    holder: Uuid,
    /// When it was last asked for, and until when it is surely ours (both by our own clock; `None`: not ours).
    asked: Option<Instant>,
    until: Option<Instant>,
}

impl Lease {
    /// `instance` is a name that its holder keeps across restarts: killed and started again, it takes its own lease over
    /// at once. The one that was taken for dead, should it live, has lost it.
    pub(crate) fn new(name: &'static str, instance: Option<&str>) -> Self {
        Self { name, holder: instance.map_or_else(Uuid::new_v4, of_instance), asked: None, until: None }
    }

    /// Whether the lease is surely ours at this moment.
    pub(crate) fn is_held(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    /// Takes or renews the lease when it is time to; tells whether it is ours.
    pub(crate) async fn hold(&mut self, pool: &PgPool) -> sqlx::Result<bool> {
        let due = self.asked.is_none_or(|asked| asked.elapsed() >= RENEW_AFTER);
        if !due {
            return Ok(self.is_held());
        }
        // Counted from before the question, so that our own view ends no later than the database's.
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

    /// Gives the lease back, so that another need not wait for its end.
    pub(crate) async fn release(&mut self, pool: &PgPool) -> sqlx::Result<()> {
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

/// The upper half is the same for the same name, the lower one random.
fn of_instance(instance: &str) -> Uuid {
    let name: [u8; 32] = Sha256::digest(instance).into();
    let random = Uuid::new_v4().into_bytes();
    uuid::Builder::from_custom_bytes(std::array::from_fn(|i| if i < 8 { name[i] } else { random[i] }))
        .into_uuid()
}
