//! Checks of error answers.

use reqwest::Response;
use serde_json::Value;

/// Checks that an answer has this status and a valid problem document (RFC 9457), and returns the document.
pub async fn problem(answer: Response, status: u16) -> Value {
    let (got, url, headers) = (answer.status(), answer.url().clone(), answer.headers().clone());
    let text = answer.text().await.unwrap();
    assert_eq!(got, status, "{url}: {text}");
    assert_eq!(headers["content-type"], "application/problem+json", "{url}");
    let problem: Value = serde_json::from_str(&text).unwrap();
    for field in ["type", "title", "status", "detail"] {
        assert!(!problem[field].is_null(), "{field} in {problem}");
    }
    assert_eq!(problem["errors"].is_array(), status == 422, "{url}: {problem}");
    assert_eq!(headers.contains_key("www-authenticate"), status == 401, "{url}");
    assert_eq!(headers.contains_key("retry-after"), matches!(status, 429 | 503), "{url}");
    problem
}
