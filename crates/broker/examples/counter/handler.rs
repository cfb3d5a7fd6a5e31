// The README's handler, word for word.
use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::{Cleanup, Event, Sequence, Topic};
#[derive(serde::Serialize, serde::Deserialize)]
enum Visit {
    #[serde(rename = "page.visited.v1")]
    Visited { page: String },
}
impl Event for Visit {
    const TOPIC: Topic = Topic { name: "visits", owner: "site", key: "page", cleanup: Cleanup::Delete, personal: false };
    fn key(&self) -> String {
        match self { Self::Visited { page } => page.clone() }
    }
}
struct Counter;
impl Handler for Counter {
    type Event = Visit;
    type State = std::collections::BTreeMap<String, (i64, Sequence)>;
    async fn load(&self, tx: &mut Tx, visits: &[Received<Visit>]) -> Result<Self::State, Failure> {
        let load = "INSERT INTO counts (page) SELECT DISTINCT page FROM unnest($1::text[]) AS page ORDER BY page
                    ON CONFLICT (page) DO UPDATE SET page = excluded.page RETURNING page, visits, last_sequence";
        let pages: Vec<String> = visits.iter().map(|visit| visit.event.key()).collect();
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(load).bind(pages).fetch_all(&mut **tx).await?;
        Ok(rows.into_iter().map(|(page, n, last)| (page, (n, Sequence::from_i64(last).unwrap_or_default()))).collect())
    }
    fn last_sequence<'s>(&self, counts: &'s mut Self::State, visit: &Visit) -> Option<&'s mut Sequence> {
        counts.get_mut(&visit.key()).map(|(_, last)| last)
    }
    fn handle(&self, counts: &mut Self::State, visit: Incoming<'_, Visit>) -> Result<(), Rejected> {
        counts.entry(visit.event.key()).or_default().0 += 1;
        Ok(())
    }
    async fn save(&self, tx: &mut Tx, counts: Self::State) -> Result<(), Failure> {
        let save = "UPDATE counts SET visits = $2, last_sequence = $3 WHERE page = $1";
        for (page, (n, last)) in counts {
            sqlx::query(save).bind(page).bind(n).bind(last.to_i64()).execute(&mut **tx).await?;
        }
        Ok(())
    }
}
