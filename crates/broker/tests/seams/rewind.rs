//! Rewinds of a service: repetitions change nothing.

use broker_ops::{OpsError, RewindTo, Rewound};
use time::OffsetDateTime;

use crate::support::{Bank, Raw, until};

fn deposits(from: usize, to: usize) -> Vec<Raw> {
    (from..=to).map(|sequence| Raw::deposit("alice", sequence, 1)).collect()
}

#[tokio::test]
async fn a_running_service_follows_a_rewind_and_books_nothing_twice() {
    let mut bank = Bank::open().await;
    bank.produce("deposits", 0, &deposits(1, 3)).await;
    bank.run_ledger();
    bank.booked_once_and_in_order(3).await;
    let second_half = OffsetDateTime::now_utc();
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    bank.produce("deposits", 0, &deposits(4, 6)).await;
    bank.booked_once_and_in_order(6).await;

    for (to, expected) in [
        (RewindTo::Beginning, -2),
        (RewindTo::Offset(2), 2),
        (RewindTo::Time(second_half), 3),
        (RewindTo::Time(OffsetDateTime::UNIX_EPOCH), 0),
        (RewindTo::Time(second_half + time::Duration::days(1)), 6),
    ] {
        let rewound = bank.rewind(to).await.unwrap();
        assert_eq!(rewound[0], Rewound { partition: 0, from: 6, to: expected }, "{to:?}");
        until("it is read again", async || bank.position(0).await == 6).await;
    }
    bank.booked_once_and_in_order(6).await;
    bank.close().await;
}

#[tokio::test]
async fn a_rewind_under_load_loses_nothing_on_other_partitions() {
    let mut bank = Bank::open().await;
    bank.run_till();
    bank.run_ledger();
    let accounts = ["alice", "bob", "carol", "dave", "erin", "frank", "grace"];
    let rewinds = async {
        for _ in 0..20 {
            bank.rewind(RewindTo::Beginning).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::join!(bank.deposit(&accounts, 200), rewinds);
    bank.booked_once_and_in_order(accounts.len() * 200).await;
    bank.close().await;
}

#[tokio::test]
async fn a_rewind_to_the_end_skips_the_present_records() {
    let mut bank = Bank::open().await;
    bank.produce("deposits", 0, &deposits(1, 3)).await;
    let rewound = bank.rewind(RewindTo::End).await.unwrap();
    assert_eq!(rewound[0], Rewound { partition: 0, from: -2, to: 3 });
    bank.run_ledger();
    bank.produce("deposits", 0, &deposits(4, 4)).await;
    until("the later record is booked", async || bank.bookings().await == 1).await;
    bank.close().await;
}

#[tokio::test]
async fn an_impossible_target_is_refused_with_the_possible_ones() {
    let bank = Bank::open().await;
    bank.produce("deposits", 0, &deposits(1, 3)).await;
    let refused = bank.rewind(RewindTo::Offset(4)).await.unwrap_err();
    assert!(matches!(refused, OpsError::Outside { offset: 4, longest: 3 }));
    assert_eq!(refused.to_string(), "no partition reaches offset 4: the longest log ends at 3");
    // A partition that does not reach the offset stays where it is.
    let moved = bank.rewind(RewindTo::Offset(1)).await.unwrap();
    assert_eq!(moved, [Rewound { partition: 0, from: -2, to: 1 }]);
    let (settings, pool) = (bank.settings("ledger"), bank.pool("ledger"));
    let refused = broker_ops::rewind(&settings, &pool, "withdrawals", None, RewindTo::End).await.unwrap_err();
    assert!(matches!(refused, OpsError::NoTopic { .. }), "{refused}");
    bank.close().await;
}
