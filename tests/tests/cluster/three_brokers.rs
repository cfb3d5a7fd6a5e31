//! Three brokers of which one fails, in several ways.

use std::time::{Duration, Instant};

use testkit::{Daemon, Servers, cluster};

use crate::load::under_load;

/// The partitions of each topic (`testkit`).
const PARTITIONS: i32 = 4;
/// The time for which a broker stays away, so that its partitions get other leaders and work goes on without it.
const AWAY: Duration = Duration::from_secs(10);

async fn kill_and_start(node: &Daemon) {
    node.kill();
    tokio::time::sleep(AWAY).await;
    node.start().await.unwrap();
}

async fn kill_one(index: usize) {
    let what = format!("kill -9 of broker {}", index + 1);
    under_load(&what, async |_, servers: &Servers| kill_and_start(&servers.nodes()[index]).await).await;
}

#[tokio::test]
#[ignore = "takes minutes: ./scripts/test-cluster"]
async fn broker_1_is_killed() {
    kill_one(0).await;
}

#[tokio::test]
#[ignore = "takes minutes: ./scripts/test-cluster"]
async fn broker_2_is_killed() {
    kill_one(1).await;
}

#[tokio::test]
#[ignore = "takes minutes: ./scripts/test-cluster"]
async fn broker_3_is_killed() {
    kill_one(2).await;
}

#[tokio::test]
#[ignore = "takes minutes: ./scripts/test-cluster"]
async fn the_controller_is_killed() {
    under_load("kill -9 of the controller", async |_, servers: &Servers| {
        let leader = cluster::controller(servers).await.unwrap();
        kill_and_start(leader).await;
    })
    .await;
}

#[tokio::test]
#[ignore = "takes minutes: ./scripts/test-cluster"]
async fn two_brokers_are_killed_one_after_the_other() {
    under_load("kill -9 of two brokers, one after the other", async |_, servers: &Servers| {
        for node in &servers.nodes()[..2] {
            kill_and_start(node).await;
            cluster::wait_in_sync(servers).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "takes minutes: ./scripts/test-cluster"]
async fn all_brokers_restart_one_by_one() {
    under_load("rolling restart of all three", async |_, servers: &Servers| {
        for node in servers.nodes() {
            node.stop(Duration::from_mins(1)).await;
            node.start().await.unwrap();
            cluster::wait_in_sync(servers).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "takes minutes: ./scripts/test-cluster"]
async fn two_brokers_are_away_at_once() {
    under_load("two brokers away at once: publishing waits", async |_, servers: &Servers| {
        let (first, others) = servers.nodes().split_at(1);
        others.iter().for_each(Daemon::kill);
        tokio::time::sleep(AWAY).await;
        for node in others {
            node.spawn().unwrap();
        }
        for node in others.iter().chain(first) {
            node.wait_ready().await.unwrap();
        }
        cluster::wait_in_sync(servers).await.unwrap();
    })
    .await;
}

#[tokio::test]
#[ignore = "takes minutes: ./scripts/test-cluster"]
async fn a_broker_stands_still() {
    under_load("a broker stands still (SIGSTOP)", async |_, servers: &Servers| {
        let node = &servers.nodes()[1];
        node.freeze();
        tokio::time::sleep(2 * AWAY).await;
        node.thaw();
        cluster::wait_in_sync(servers).await.unwrap();
    })
    .await;
}

#[tokio::test]
#[ignore = "takes minutes: ./scripts/test-cluster"]
async fn the_leaders_of_a_topic_move() {
    under_load("all leaders of `orders` move to other brokers", async |shop, servers: &Servers| {
        cluster::move_leaders(servers, &shop.system.topic("orders"), PARTITIONS).await.unwrap();
    })
    .await;
}

#[tokio::test]
#[ignore = "takes minutes: ./scripts/test-cluster"]
async fn a_broker_cannot_write_to_its_disk() {
    under_load(
        "the disk of a broker is full (simulated: it may not extend any file)",
        async |_, servers: &Servers| {
            let node = &servers.nodes()[2];
            let pid = rustix::process::Pid::from_raw(node.pid().unwrap());
            let nothing = rustix::process::Rlimit { current: Some(0), maximum: None };
            rustix::process::prlimit(pid, rustix::process::Resource::Fsize, nothing).unwrap();
            let deadline = Instant::now() + 6 * AWAY;
            while node.end().is_none() && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert!(node.end().is_some(), "Kafka ends a node that cannot write");
            node.start().await.unwrap();
            cluster::wait_in_sync(servers).await.unwrap();
        },
    )
    .await;
}
