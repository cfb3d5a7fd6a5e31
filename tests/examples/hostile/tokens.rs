//! Guesses of the operator's token.

use std::collections::BTreeMap;

use crate::Outcome;
use crate::target::Target;

const GUESSES: usize = 2000;

pub(crate) async fn guesses(target: &Target) -> Outcome {
    let url = format!("{}/products/MUG/stock", target.shop.system.url("inventory"));
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    let mut admitted = true;
    for number in 0..GUESSES {
        let guess = target.shop.http().put(&url).bearer_auth(format!("guess-{number:012}")).body("{}");
        let status = guess.send().await.map_or(0, |answer| answer.status().as_u16());
        *statuses.entry(status).or_default() += 1;
        if number % 100 == 0 {
            let right = target.shop.http().put(&url).bearer_auth(target.shop.system.admin_token());
            let right = right.json(&serde_json::json!({"on_hand": 5})).send().await;
            admitted &= right.is_ok_and(|answer| answer.status() == 200);
        }
    }
    let answered = statuses.iter().map(|(status, count)| format!("{count} × {status}"));
    let found = format!(
        "{}; the operator was {}",
        answered.collect::<Vec<_>>().join(", "),
        if admitted { "accepted" } else { "locked out" }
    );
    let limited = statuses.get(&401).is_some_and(|count| *count < 100) && statuses.contains_key(&429);
    Outcome { found, held: admitted && limited && statuses.keys().all(|status| matches!(status, 401 | 429)) }
}
