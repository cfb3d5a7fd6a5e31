//! Idempotency keys against a real Postgres.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use axum::http::StatusCode;
use axum::response::IntoResponse;
use http_body_util::BodyExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor, PgPool};
use web::idempotency::{Answer, Claim, Key, answer, claim, failed, purge};

const MIGRATION: &str = include_str!("../migrations/0001_idempotency_keys.sql");

/// Creates a schema for one test, in the database of `POSTGRES_URL`.
async fn database(schema: &str) -> PgPool {
    let url = std::env::var("POSTGRES_URL").expect("POSTGRES_URL is not set: run ./scripts/test");
    let options: PgConnectOptions = url.parse().unwrap();
    let schema = format!("web_{schema}_{}", std::process::id());
    let admin = PgPool::connect_with(options.clone()).await.unwrap();
    admin.execute(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await.unwrap();
    let options = options.options([("search_path", schema.as_str()), ("lock_timeout", "300ms")]);
    let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
    pool.execute(MIGRATION).await.unwrap();
    pool
}

fn key(value: &str, body: u8) -> Key {
    Key { operation: "POST /orders".to_owned(), value: value.to_owned(), fingerprint: [body; 32] }
}

fn accepted(body: &str) -> Answer {
    Answer::json(StatusCode::ACCEPTED, Some("/orders/1".to_owned()), &body).unwrap()
}

#[tokio::test]
async fn a_repeated_request_gets_the_stored_answer() {
    let pool = database("repeated").await;
    let (a, b, other) = (key("a", 1), key("b", 1), key("a", 2));
    let mut tx = pool.begin().await.unwrap();
    let claims = claim(&mut tx, &[&b, &a, &a, &other]).await.unwrap();
    assert_eq!(claims, [Claim::New, Claim::New, Claim::Repeats(1), Claim::OtherBody]);
    answer(&mut tx, &[(&b, &accepted("b")), (&a, &accepted("a"))]).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = pool.begin().await.unwrap();
    let claims = claim(&mut tx, &[&other, &a, &a, &key("c", 1)]).await.unwrap();
    let replay = Claim::Replay(accepted("a"));
    assert_eq!(claims, [Claim::OtherBody, replay.clone(), replay, Claim::New]);
    let response = accepted("a").into_response();
    assert_eq!(
        (response.status(), &response.headers()["location"]),
        (StatusCode::ACCEPTED, &"/orders/1".parse().unwrap())
    );
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "\"a\"");
}

#[tokio::test]
async fn a_rollback_releases_the_claim() {
    let pool = database("rolled_back").await;
    let mut tx = pool.begin().await.unwrap();
    claim(&mut tx, &[&key("a", 1)]).await.unwrap();
    tx.rollback().await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    assert_eq!(claim(&mut tx, &[&key("a", 2)]).await.unwrap(), [Claim::New]);
}

#[tokio::test]
async fn a_key_that_stays_in_flight_elsewhere_is_a_conflict() {
    let pool = database("in_flight").await;
    let mut first = pool.begin().await.unwrap();
    claim(&mut first, &[&key("a", 1)]).await.unwrap();
    let mut second = pool.begin().await.unwrap();
    let error = claim(&mut second, &[&key("a", 1)]).await.unwrap_err();
    assert_eq!(failed(error).status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn thirty_concurrent_requests_do_the_work_once() {
    let pool = database("thirty").await;
    let one = |number: usize| {
        let pool = pool.clone();
        async move {
            let mut tx = pool.begin().await.unwrap();
            let key = key("same", 1);
            let claims = claim(&mut tx, &[&key]).await.unwrap();
            let mine = accepted(&number.to_string());
            let given = match claims.into_iter().next() {
                Some(Claim::New) => {
                    answer(&mut tx, &[(&key, &mine)]).await.unwrap();
                    mine
                }
                Some(Claim::Replay(stored)) => stored,
                other => panic!("{other:?}"),
            };
            tx.commit().await.unwrap();
            given
        }
    };
    let tasks: Vec<_> = (0..30).map(|number| tokio::spawn(one(number))).collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    assert!(answers.iter().all(|answer| answer == &answers[0]));
}

#[tokio::test]
async fn keys_are_deleted_after_a_day() {
    let pool = database("day").await;
    pool.execute(
        "INSERT INTO idempotency_keys (operation, key, fingerprint, created_at)
         SELECT 'x', i::text, decode(repeat('00', 32), 'hex'), now() - make_interval(hours => CASE WHEN i <= 2500 THEN 25 ELSE 23 END)
         FROM generate_series(1, 2600) i",
    )
    .await
    .unwrap();
    assert_eq!(purge(&pool).await.unwrap(), 2500);
    assert_eq!(purge(&pool).await.unwrap(), 0);
}
