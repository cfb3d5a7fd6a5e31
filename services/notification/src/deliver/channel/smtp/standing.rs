//! How this system stands with its mail server. When the server refuses us, all mails wait, one probes after growing
//! pauses, and people are told once at the beginning and once at the end.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use events::values::DeliveryId;

use super::refusal::Fault;

/// The first pause between probes, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);

/// Shared by all mails of this instance.
#[derive(Debug, Default)]
pub(super) struct Standing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    outage: Option<Outage>,
    /// The mails that were refused since one was last accepted.
    refused: BTreeSet<DeliveryId>,
    /// Mails that were refused while others were accepted: the fault lies with them, and says nothing of the server.
    odd: BTreeSet<DeliveryId>,
}

#[derive(Debug)]
struct Outage {
    began: Instant,
    probes: u32,
    /// When the next mail may probe.
    until: Instant,
}

/// An attempt that is under way.
pub(super) struct Attempting<'a> {
    standing: &'a Standing,
    since: Instant,
}

impl Standing {
    /// How many of `wanted` mails may be tried now: all of them, or one after the other while the server refuses us.
    pub(super) fn room(&self, wanted: i64) -> i64 {
        let state = self.state();
        match &state.outage {
            None => wanted,
            Some(outage) if state.under_way > 0 || Instant::now() < outage.until => 0,
            Some(_) => wanted.min(1),
        }
    }

    /// Notes that an attempt begins.
    pub(super) fn attempt(&self) -> Attempting<'_> {
        self.state().under_way += 1;
        Attempting { standing: self, since: Instant::now() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempting<'_> {
    /// The server accepted the mail. Returns how long it had refused us, when this ends an outage.
    pub(super) fn accepted(&self, id: DeliveryId) -> Option<Duration> {
        let mut state = self.standing.state();
        let refused = std::mem::take(&mut state.refused);
        state.odd.extend(refused);
        state.odd.remove(&id);
        // A mail that was under way when the outage began says nothing of what came after.
        let ended = state.outage.take_if(|outage| outage.began <= self.since)?;
        Some(ended.began.elapsed())
    }

    /// The mail was not handed over, through this fault. `true`: an outage begins.
    pub(super) fn refused(&self, id: DeliveryId, fault: Fault) -> bool {
        let mut state = self.standing.state();
        let of_all = match fault {
            Fault::Recipient | Fault::Mailbox => return false,
            Fault::Mail if state.odd.contains(&id) => return false,
            Fault::Mail => {
                let another = !state.refused.is_empty();
                state.refused.insert(id);
                another
            }
            Fault::Server => true,
        };
        let now = Instant::now();
        match &mut state.outage {
            Some(outage) if outage.until <= self.since => {
                outage.probes += 1;
                outage.until = now + work::backoff(outage.probes, FIRST, LONGEST);
                false
            }
            None if of_all => {
                let until = now + work::backoff(1, FIRST, LONGEST);
                state.outage = Some(Outage { began: now, probes: 1, until });
                true
            }
            // It was under way when the outage began, or it is no outage.
            Some(_) | None => false,
        }
    }
}

impl Drop for Attempting<'_> {
    fn drop(&mut self) {
        self.standing.state().under_way -= 1;
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn ids() -> [DeliveryId; 3] {
        std::array::from_fn(|_| DeliveryId::new(OffsetDateTime::now_utc()))
    }

    /// Whether one mail begins an outage by this fault.
    fn refuse(standing: &Standing, id: DeliveryId, fault: Fault) -> bool {
        standing.attempt().refused(id, fault)
    }

    #[test]
    fn an_outage_is_told_once_holds_all_back_and_ends_with_the_first_mail_that_is_accepted() {
        let (standing, [first, second, third]) = (Standing::default(), ids());
        assert_eq!(standing.room(8), 8);
        let (under_way, late) = (standing.attempt(), standing.attempt());
        assert!(refuse(&standing, first, Fault::Server));
        assert!(!under_way.refused(second, Fault::Server), "told already");
        assert_eq!(late.accepted(third), None, "it says nothing of what came after it");
        assert_eq!(standing.room(8), 0);
        drop((under_way, late));
        standing.state().outage.as_mut().unwrap().until = Instant::now();
        assert_eq!(standing.room(8), 1);
        let probe = standing.attempt();
        assert_eq!(standing.room(8), 0, "one at a time");
        assert!(probe.accepted(first).is_some());
        assert_eq!(standing.room(8), 8);
    }

    #[test]
    fn pauses_grow_with_each_probe_that_fails() {
        let (standing, [id, ..]) = (Standing::default(), ids());
        for _ in 0..10 {
            refuse(&standing, id, Fault::Server);
            standing.state().outage.as_mut().unwrap().until = Instant::now();
        }
        refuse(&standing, id, Fault::Server);
        let pause = standing.state().outage.as_ref().unwrap().until - Instant::now();
        assert!(pause > LONGEST / 3, "{pause:?}");
    }

    #[test]
    fn a_refused_mail_is_an_outage_when_no_other_fares_better() {
        let (standing, [odd, second, third]) = (Standing::default(), ids());
        assert!(!refuse(&standing, odd, Fault::Mail));
        assert!(standing.attempt().accepted(second).is_none());
        for _ in 0..3 {
            assert!(!refuse(&standing, odd, Fault::Mail), "others are accepted");
        }
        assert!(!refuse(&standing, second, Fault::Mail));
        assert!(refuse(&standing, third, Fault::Mail), "and now all are refused");

        let alone = Standing::default();
        assert!(!refuse(&alone, odd, Fault::Mail));
        assert!(refuse(&alone, odd, Fault::Mail), "there is no other");
    }

    #[test]
    fn a_recipient_that_is_refused_is_no_outage() {
        let (standing, [id, ..]) = (Standing::default(), ids());
        for fault in [Fault::Recipient, Fault::Mailbox, Fault::Recipient] {
            assert!(!refuse(&standing, id, fault));
        }
        assert_eq!(standing.room(8), 8);
    }
}
