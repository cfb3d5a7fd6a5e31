//! How often a mailbox is asked about a product while it does not answer: a pause follows each question, and each pause
//! is longer than the one before. Whoever enters somebody else's address again and again sends no more mails than that.

use broker::Tx;
use sqlx::PgPool;
use time::Duration;
use work::furthest;

use super::tokens::Mailbox;

/// The pause after the first question; each further one is four times as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::minutes(15);
const GROWTH: i32 = 4;
const LONGEST_PAUSE: Duration = Duration::days(7);

/// How long nothing may be asked after the `asked`-th question without an answer (from 1).
fn pause(asked: i32) -> Duration {
    let grown = u32::try_from(asked - 1).ok().and_then(|times| GROWTH.checked_pow(times));
    grown
        .and_then(|grown| FIRST_PAUSE.checked_mul(grown))
        .map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE))
}

/// Whether the next question may be put now, and counts it then. The caller holds the lock of mailbox and product.
pub(crate) async fn may_ask(tx: &mut Tx, mailbox: &Mailbox, sku: &str) -> sqlx::Result<bool> {
    let open = sqlx::query!(
        r#"
        SELECT asked, extract(epoch FROM now() - last_at)::float8 AS "since!" FROM questions WHERE mailbox = $1 AND sku = $2
        "#,
        mailbox.bytes(),
        sku
    )
    .fetch_optional(&mut **tx)
    .await?;
    // A question of the future was put while the database's clock was ahead: its pause is over.
    let earliest = -furthest(std::time::Duration::ZERO).as_secs_f64();
    if open.is_some_and(|open| (earliest..pause(open.asked).as_seconds_f64()).contains(&open.since)) {
        return Ok(false);
    }
    sqlx::query!(
        "INSERT INTO questions (mailbox, sku, asked, last_at) VALUES ($1, $2, 1, now())
         ON CONFLICT (mailbox, sku) DO UPDATE SET asked = questions.asked + 1, last_at = excluded.last_at",
        mailbox.bytes(),
        sku,
    )
    .execute(&mut **tx)
    .await?;
    Ok(true)
}

/// The mailbox has answered: the next question may be put at once.
pub(crate) async fn answered(tx: &mut Tx, mailbox: &Mailbox, sku: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM questions WHERE mailbox = $1 AND sku = $2", mailbox.bytes(), sku)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Forgets questions that nobody answered, or repeated, for 30 days.
pub(crate) async fn forget(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM questions WHERE last_at <= now() - interval '30 days'").execute(pool).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_pause_is_longer_than_the_one_before_up_to_a_week() {
        let minutes: Vec<i64> = (1..8).map(|asked| pause(asked).whole_minutes()).collect();
        assert_eq!(minutes, [15, 60, 240, 960, 3840, 10_080, 10_080]);
        assert_eq!(pause(i32::MAX), LONGEST_PAUSE);
    }

    proptest! {
        /// Whenever strangers ask, a mailbox that never answers gets at most two mails in an hour, five in a day and six in a
        /// week.
        #[test]
        fn a_mailbox_is_asked_no_more_often_than_stated(minutes in prop::collection::vec(0..30_i64 * 24 * 60, 1..400)) {
            let mut minutes = minutes;
            minutes.sort_unstable();
            let (mut asked, mut last, mut mails) = (0, 0, Vec::new());
            for minute in minutes {
                if asked == 0 || Duration::minutes(minute - last) >= pause(asked) {
                    (asked, last) = (asked + 1, minute);
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
