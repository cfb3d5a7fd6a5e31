//! Three brokers of which some do not reach each other, while all clients reach each of them.

use std::time::Duration;

use system_tests::{Shop, eventually};
use testkit::{Servers, cluster};

use crate::load::under_load_on;
use crate::network::Network;

/// The time of a cut between two brokers: more than twice a broker's session, after which its partitions get other leaders.
const TWO_APART: Duration = Duration::from_secs(20);
/// The time of a cut around one broker: longer than the 30 s after which a leader wants to go on without its followers.
const ONE_ALONE: Duration = Duration::from_secs(40);

/// Cuts the network between these nodes, waits until `away` leads no partition of `orders` any more, and heals the network
/// after `time`.
async fn cut(
    network: &Network,
    shop: &Shop,
    servers: &Servers,
    pairs: &[[usize; 2]],
    away: usize,
    time: Duration,
) {
    network.cut(servers, pairs);
    let held = tokio::time::sleep(time);
    let (topic, id) = (shop.system.topic("orders"), i32::try_from(away + 1).unwrap());
    eventually("the cut broker leads nothing", async || {
        let leaders = cluster::leaders(servers, &topic).await.ok()?;
        (!leaders.is_empty() && leaders.values().all(|leader| *leader != id)).then_some(())
    })
    .await;
    held.await;
    network.heal();
    cluster::wait_in_sync(servers).await.unwrap();
}

/// Returns the index of the node that is the controller.
async fn controller(servers: &Servers) -> usize {
    let name = cluster::controller(servers).await.unwrap().name();
    servers.nodes().iter().position(|node| node.name() == name).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "takes minutes: ./scripts/test-cluster"]
async fn a_broker_and_the_controller_do_not_reach_each_other() {
    let (network, servers) = Network::with_three_brokers().await;
    let what = "network cut between the controller and another broker, for 20 s";
    under_load_on(servers, what, async |shop, servers: &Servers| {
        let controller = controller(servers).await;
        let other = (controller + 1) % 3;
        cut(&network, shop, servers, &[[controller, other]], other, TWO_APART).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "takes minutes: ./scripts/test-cluster"]
async fn a_controller_that_clients_reach_does_not_reach_the_other_brokers() {
    let (network, servers) = Network::with_three_brokers().await;
    let what = "network cut between the controller and both other brokers, for 40 s; clients reach all";
    under_load_on(servers, what, async |shop, servers: &Servers| {
        let alone = controller(servers).await;
        let pairs = [[alone, (alone + 1) % 3], [alone, (alone + 2) % 3]];
        cut(&network, shop, servers, &pairs, alone, ONE_ALONE).await;
    })
    .await;
}
