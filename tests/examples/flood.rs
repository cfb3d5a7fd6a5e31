//! Writes events at a steady rate for the board to show: `flood BROKERS TOPIC PER_SECOND SECONDS`. Only the board reads the
//! topic `notifications`.

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match &arguments[..] {
        [brokers, topic, rate, seconds] => {
            rate.parse().ok().zip(seconds.parse().ok()).map(|numbers| (brokers, topic, numbers))
        }
        _ => None,
    };
    let Some((brokers, topic, (rate, seconds))) = parsed else {
        eprintln!("usage: flood BROKERS TOPIC PER_SECOND SECONDS");
        std::process::exit(2);
    };
    system_tests::flood(brokers, topic, rate, seconds).await;
}
