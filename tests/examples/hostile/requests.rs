//! Malformed requests.

use crate::Outcome;
use crate::target::Target;

/// The bytes and the expected status; each answer must have `Connection: close`.
const REQUESTS: &[(&str, &str)] = &[
    ("GET / HTTP/1.1\nHost: shop\n\n", "400"),
    ("GET / HTTP/1.1\r\nHost: shop\n\r\n", "400"),
    ("GET / HTTP/1.1\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHost: shop\r\nHost: shop\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHost: user@shop\r\n\r\n", "400"),
    ("CONNECT shop:80 HTTP/1.1\r\nHost: shop:80\r\n\r\n", "400"),
    ("POST /erasures HTTP/1.1\r\nHost: shop\r\nContent-Length: 60000\r\n\r\n{", "401"),
    (
        "POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Type: text/plain\r\nContent-Length: 60000\r\n\r\n{",
        "415",
    ),
    (
        "POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 9000000\r\n\r\n{",
        "413",
    ),
];

pub(crate) async fn malformed(target: &Target) -> Outcome {
    let mut wrong = Vec::new();
    for (request, status) in REQUESTS {
        let answer = target.answer("order", request).await.to_lowercase();
        let is_right = answer.starts_with(&format!("http/1.1 {status} "));
        if !is_right || !answer.contains("\r\nconnection: close\r\n") {
            wrong.push(format!("{:?}", request.lines().next().unwrap_or_default()));
        }
    }
    let found = match wrong.as_slice() {
        [] => format!("{} requests refused, each with Connection: close", REQUESTS.len()),
        wrong => format!("unexpected answers to: {}", wrong.join(", ")),
    };
    Outcome { found, held: wrong.is_empty() }
}
