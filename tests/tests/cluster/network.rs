//! The network between the nodes of a Kafka: a proxy before each of their listeners, which can hold the bytes between two nodes
//! as a network that loses all packets does. Clients use the same proxies and always get through.

use std::sync::{Arc, OnceLock};

use testkit::{Daemon, Place, Plan, Servers};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The pairs of nodes, by their indexes, between which nothing passes, and the processes of all nodes.
#[derive(Debug, Clone, Default)]
struct Cut {
    pairs: Vec<[usize; 2]>,
    pids: Vec<Option<i32>>,
}

pub(crate) struct Network {
    cut: watch::Sender<Cut>,
}

impl Network {
    /// Starts three brokers behind proxies.
    pub(crate) async fn with_three_brokers() -> (Self, Arc<Servers>) {
        let (cut, watched) = watch::channel(Cut::default());
        let place = || Place::behind_a_proxy(None).unwrap();
        let places = [0, 1, 2].map(|_| [place(), place()]);
        for (node, listeners) in places.iter().enumerate() {
            for Place { front, back, .. } in listeners {
                let listener = TcpListener::bind(("127.0.0.1", *front)).await.unwrap();
                tokio::spawn(serve(listener, *back, node, watched.clone()));
            }
        }
        let plan = Plan { nodes: places.to_vec(), ..Plan::default() };
        (Self { cut }, Arc::new(Servers::planned(plan).await.unwrap()))
    }

    /// Holds all bytes between these nodes, also those of new connections.
    pub(crate) fn cut(&self, servers: &Servers, pairs: &[[usize; 2]]) {
        let pids = servers.nodes().iter().map(Daemon::pid).collect();
        self.cut.send_replace(Cut { pairs: pairs.to_vec(), pids });
    }

    /// Passes the held bytes on, and all that follow.
    pub(crate) fn heal(&self) {
        self.cut.send_modify(|cut| cut.pairs.clear());
    }
}

/// A connection to a node.
struct Link {
    /// The node that accepted it.
    to: usize,
    /// The client's socket, as links in `/proc/PID/fd` name it.
    socket: Option<String>,
    /// The node that is the client; `None` for any other process. Looked up during the first cut: while the nodes start, their
    /// processes are not known.
    from: OnceLock<Option<usize>>,
}

impl Link {
    fn is_held(&self, cut: &Cut) -> bool {
        let is_near = |pair: &[usize; 2]| pair.contains(&self.to);
        cut.pairs.iter().any(is_near)
            && self.from(&cut.pids).is_some_and(|from| {
                from != self.to && cut.pairs.iter().any(|pair| is_near(pair) && pair.contains(&from))
            })
    }

    fn from(&self, pids: &[Option<i32>]) -> Option<usize> {
        let Some(socket) = &self.socket else { return None };
        *self.from.get_or_init(|| pids.iter().position(|pid| pid.is_some_and(|pid| has_open(pid, socket))))
    }
}

/// Whether the process has this socket open.
fn has_open(pid: i32, socket: &str) -> bool {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    let mut targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    targets.any(|target| target.as_os_str() == socket)
}

/// Finds the client's end of a connection from one port to another in the kernel's tables of sockets.
fn socket(from: u16, to: u16) -> Option<String> {
    let ends = [format!(":{from:04X}"), format!(":{to:04X}")];
    let tables =
        ["tcp", "tcp6"].map(|name| std::fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines()).find_map(|line| {
        // `0: 0100007F:D431 0100007F:2383 01 …`: the socket's own address, the other one, …, the inode as the tenth word.
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_client = words.get(1)?.ends_with(&ends[0]) && words.get(2)?.ends_with(&ends[1]);
        is_client.then(|| words.get(9).map(|inode| format!("socket:[{inode}]")))?
    })
}

async fn serve(listener: TcpListener, port: u16, to: usize, cut: watch::Receiver<Cut>) {
    let front = listener.local_addr().unwrap().port();
    while let Ok((client, peer)) = listener.accept().await {
        let link = Link { to, socket: socket(peer.port(), front), from: OnceLock::new() };
        tokio::spawn(connect(client, port, link, cut.clone()));
    }
}

/// Serves one connection until either side closes it.
async fn connect(client: TcpStream, port: u16, link: Link, cut: watch::Receiver<Cut>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = copy(from_client, to_server, &link, cut.clone()) => {}
        () = copy(from_server, to_client, &link, cut.clone()) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, link: &Link, mut cut: watch::Receiver<Cut>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let passes = cut.wait_for(|cut| !link.is_held(cut)).await.is_ok();
        if !passes || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
