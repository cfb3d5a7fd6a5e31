//! Tokens of an identity provider (OAUTHBEARER by OIDC), which need programs with the feature `broker/oidc`.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router, body};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use system_tests::Shop;
use testkit::{Servers, System, tokens, users};
use tokio::net::TcpListener;

/// The secret of every client.
const SECRET: &str = "secret-of-a-client";

/// Opens an identity provider that gives each client a token (RFC 6749, section 4.4) with the client's id as its subject and
/// without a signature. Returns its URL.
async fn provider() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let router = Router::new().route("/token", post(token));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn token(request: Request) -> Result<Json<Value>, StatusCode> {
    let client = client(&request).filter(|(_, secret)| secret == SECRET);
    let Some((client, _)) = client else { return Err(StatusCode::UNAUTHORIZED) };
    let given = body::to_bytes(request.into_body(), 10_000).await.unwrap();
    assert!(given.starts_with(b"grant_type=client_credentials"), "{given:?}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = json!({"sub": client, "iat": now, "exp": now + 60, "iss": "test", "aud": "kafka"});
    let token = format!("{}.{}.", part(json!({"alg": "none"})), part(claims));
    Ok(Json(json!({"access_token": token, "token_type": "Bearer", "expires_in": 60})))
}

/// Returns the id and the secret with which a client logs in (HTTP Basic).
fn client(request: &Request) -> Option<(String, String)> {
    let header = request.headers().get("authorization")?.to_str().ok()?;
    let pair = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let (id, secret) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

#[tokio::test]
#[ignore = "needs --features broker/oidc: ./scripts/test-cluster"]
async fn each_service_logs_in_with_tokens_of_an_identity_provider() {
    let provider = provider().await;
    let servers = Servers::guarded(users::all(&[]).unwrap(), tokens()).await.unwrap();
    let all = [
        ("KAFKA_SASL_MECHANISM", "OAUTHBEARER"),
        ("KAFKA_CLIENT_SASL_OAUTHBEARER_METHOD", "oidc"),
        ("KAFKA_CLIENT_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL", &provider),
        ("KAFKA_CLIENT_SASL_OAUTHBEARER_CLIENT_SECRET", SECRET),
    ];
    let mut builder = System::builder().built().servers(servers);
    for (name, value) in all {
        builder = builder.env_all(name, value);
    }
    for service in ["order", "payment", "inventory", "notification"] {
        builder = builder.env(service, users::CLIENT_ID, service);
    }
    let shop = Shop::with(builder).await;
    shop.stock("MUG", 5).await;
    let order = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&order.id).await;

    let mut settings: HashMap<&str, &str> = all.into_iter().collect();
    settings.insert("KAFKA_CLIENT_SASL_OAUTHBEARER_CLIENT_SECRET", "s3cret-and-wrong");
    let mut command = shop.system.command("payment");
    command.env("MIGRATE_DATABASE_URL", shop.system.database_url("payment")).arg("migrate").envs(settings);
    let output = command.output().await.unwrap();
    let refused = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        refused.contains("the identity provider gives no token") && !refused.contains("s3cret"),
        "{refused}"
    );
    shop.system.quiesce().await.unwrap();
}
