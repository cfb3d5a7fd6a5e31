//! Whether the mail server accepts mails. During an outage all mails wait, one at a time probes the server after growing pauses, and
//! the beginning and the end are logged once each.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use events::values::DeliveryId;

use super::reply::Scope;

/// The first pause between probes, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Shared by all mails of this instance.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    in_flight: usize,
    outage: Option<Outage>,
    /// The mails refused since one was last accepted.
    refused: BTreeSet<DeliveryId>,
    /// Mails refused while others were accepted: the problem concerns them, not the server.
    odd: BTreeSet<DeliveryId>,
}

#[derive(Debug)]
struct Outage {
    began: Instant,
    probes: u32,
    /// When the next mail may probe.
    until: Instant,
}

/// An attempt in flight.
pub(super) struct AttemptGuard<'a> {
    health: &'a Health,
    since: Instant,
}

impl Health {
    /// How many of `wanted` mails may be tried now: all, or one at a time during an outage.
    pub(super) fn room(&self, wanted: i64) -> i64 {
        let state = self.state();
        match &state.outage {
            None => wanted,
            Some(outage) if state.in_flight > 0 || Instant::now() < outage.until => 0,
            Some(_) => wanted.min(1),
        }
    }

    pub(super) fn attempt(&self) -> AttemptGuard<'_> {
        self.state().in_flight += 1;
        AttemptGuard { health: self, since: Instant::now() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AttemptGuard<'_> {
    /// Records that the server accepted the mail. Returns the length of the outage that this ends.
    pub(super) fn accepted(&self, id: DeliveryId) -> Option<Duration> {
        let mut state = self.health.state();
        let refused = std::mem::take(&mut state.refused);
        state.odd.extend(refused);
        state.odd.remove(&id);
        // A mail in flight when the outage began says nothing about what came after.
        let ended = state.outage.take_if(|outage| outage.began <= self.since)?;
        Some(ended.began.elapsed())
    }

    /// Records a failure; returns `true` when an outage begins.
    pub(super) fn refused(&self, id: DeliveryId, scope: Scope) -> bool {
        let mut state = self.health.state();
        let concerns_all = match scope {
            Scope::Recipient | Scope::Mailbox => return false,
            Scope::Mail if state.odd.contains(&id) => return false,
            Scope::Mail => {
                let another = !state.refused.is_empty();
                state.refused.insert(id);
                another
            }
            Scope::Server => true,
        };
        let now = Instant::now();
        match &mut state.outage {
            Some(outage) if outage.until <= self.since => {
                outage.probes += 1;
                outage.until = now + work::backoff(outage.probes, FIRST_PAUSE, LONGEST_PAUSE);
                false
            }
            None if concerns_all => {
                let until = now + work::backoff(1, FIRST_PAUSE, LONGEST_PAUSE);
                state.outage = Some(Outage { began: now, probes: 1, until });
                true
            }
            // The attempt was in flight when the outage began, or this is no outage.
            Some(_) | None => false,
        }
    }
}

impl Drop for AttemptGuard<'_> {
    fn drop(&mut self) {
        self.health.state().in_flight -= 1;
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn ids() -> [DeliveryId; 3] {
        std::array::from_fn(|_| DeliveryId::new(OffsetDateTime::now_utc()))
    }

    /// Whether the failure of one mail begins an outage.
    fn refuse(health: &Health, id: DeliveryId, scope: Scope) -> bool {
        health.attempt().refused(id, scope)
    }

    #[test]
    fn an_outage_is_reported_once_holds_all_mails_back_and_ends_with_the_first_accepted_mail() {
        let (health, [first, second, third]) = (Health::default(), ids());
        assert_eq!(health.room(8), 8);
        let (in_flight, late) = (health.attempt(), health.attempt());
        assert!(refuse(&health, first, Scope::Server));
        assert!(!in_flight.refused(second, Scope::Server), "reported already");
        assert_eq!(late.accepted(third), None, "it says nothing about what came after it");
        assert_eq!(health.room(8), 0);
        drop((in_flight, late));
        health.state().outage.as_mut().unwrap().until = Instant::now();
        assert_eq!(health.room(8), 1);
        let probe = health.attempt();
        assert_eq!(health.room(8), 0, "one at a time");
        assert!(probe.accepted(first).is_some());
        assert_eq!(health.room(8), 8);
    }

    #[test]
    fn pauses_grow_with_each_probe_that_fails() {
        let (health, [id, ..]) = (Health::default(), ids());
        for _ in 0..10 {
            refuse(&health, id, Scope::Server);
            health.state().outage.as_mut().unwrap().until = Instant::now();
        }
        refuse(&health, id, Scope::Server);
        let pause = health.state().outage.as_ref().unwrap().until - Instant::now();
        assert!(pause > LONGEST_PAUSE / 3, "{pause:?}");
    }

    #[test]
    fn a_refused_mail_is_an_outage_when_no_other_is_accepted() {
        let (health, [odd, second, third]) = (Health::default(), ids());
        assert!(!refuse(&health, odd, Scope::Mail));
        assert!(health.attempt().accepted(second).is_none());
        for _ in 0..3 {
            assert!(!refuse(&health, odd, Scope::Mail), "others are accepted");
        }
        assert!(!refuse(&health, second, Scope::Mail));
        assert!(refuse(&health, third, Scope::Mail), "and now all are refused");

        let alone = Health::default();
        assert!(!refuse(&alone, odd, Scope::Mail));
        assert!(refuse(&alone, odd, Scope::Mail), "there is no other");
    }

    #[test]
    fn a_refused_recipient_is_no_outage() {
        let (health, [id, ..]) = (Health::default(), ids());
        for scope in [Scope::Recipient, Scope::Mailbox, Scope::Recipient] {
            assert!(!refuse(&health, id, scope));
        }
        assert_eq!(health.room(8), 8);
    }
}
