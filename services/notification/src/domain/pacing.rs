//! How often a mailbox is asked to confirm requests for one product while it does not answer: a pause follows each
//! confirmation mail, and each pause is longer than the one before. An attacker who enters somebody else's address again and
//! again causes no more mails than that.

use time::Duration;

/// The pause after the first confirmation mail; each further one is [`GROWTH`] times as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::minutes(15);
const GROWTH: i32 = 4;
const LONGEST_PAUSE: Duration = Duration::days(7);

/// The pause after the `sent`-th confirmation mail without an answer (from 1).
pub(crate) fn pause(sent: i32) -> Duration {
    let grown = u32::try_from(sent - 1).ok().and_then(|times| GROWTH.checked_pow(times));
    grown
        .and_then(|grown| FIRST_PAUSE.checked_mul(grown))
        .map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_pause_is_longer_than_the_one_before_up_to_a_week() {
        let minutes: Vec<i64> = (1..8).map(|sent| pause(sent).whole_minutes()).collect();
        assert_eq!(minutes, [15, 60, 240, 960, 3840, 10_080, 10_080]);
        assert_eq!(pause(i32::MAX), LONGEST_PAUSE);
    }

    proptest! {
        /// Whatever strangers enter, a mailbox that never answers gets at most two mails in an hour, five in a day and six in a
        /// week.
        #[test]
        fn a_mailbox_is_asked_no_more_often_than_stated(minutes in prop::collection::vec(0..30_i64 * 24 * 60, 1..400)) {
            let mut minutes = minutes;
            minutes.sort_unstable();
            let (mut sent, mut last, mut mails) = (0, 0, Vec::new());
            for minute in minutes {
                if sent == 0 || Duration::minutes(minute - last) >= pause(sent) {
                    (sent, last) = (sent + 1, minute);
                    mails.push(minute);
                }
            }
            let most = |window: i64| {
                mails.iter().map(|start| mails.iter().filter(|mail| (*start..start + window).contains(*mail)).count()).max()
            };
            prop_assert!(most(60) <= Some(2) && most(24 * 60) <= Some(5) && most(7 * 24 * 60) <= Some(6), "{mails:?}");
        }
    }
}
