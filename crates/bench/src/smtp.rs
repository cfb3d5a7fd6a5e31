//! A local mail server that accepts every mail, and a bare client that feeds it: the yardstick for mails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A mail server that counts mails and forgets them.
pub(crate) struct Sink {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Sink {
    /// Opens a mail server on a free port, until the end of this program.
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, accepted) = (listener.local_addr()?, Arc::<AtomicUsize>::default());
        let counter = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&counter)));
            }
        });
        Ok(Self { address, accepted })
    }

    /// The value for `SMTP_URL`.
    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// The number of accepted mails.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Sends `count` mails of `bytes` over `connections` connections with a bare client. Returns mails per second.
    pub(crate) async fn feed(&self, count: usize, bytes: usize, connections: usize) -> anyhow::Result<f64> {
        let started = Instant::now();
        let clients = (0..connections).map(|_| tokio::spawn(send(self.address, count / connections, bytes)));
        for client in futures::future::join_all(clients).await {
            client??;
        }
        Ok(count as f64 / started.elapsed().as_secs_f64())
    }
}

/// Answers the commands of a connection. An error means that the client closed it.
async fn serve(stream: TcpStream, accepted: Arc<AtomicUsize>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink ESMTP\r\n").await?;
    let (mut line, mut in_content) = (String::new(), false);
    while stream.read_line(&mut line).await? > 0 {
        let answer: &[u8] = match (in_content, line.as_str()) {
            (true, ".\r\n") => {
                in_content = false;
                accepted.fetch_add(1, Ordering::Relaxed);
                b"250 accepted\r\n"
            }
            (true, _) => b"",
            (false, "DATA\r\n") => {
                in_content = true;
                b"354 go on\r\n"
            }
            (false, "QUIT\r\n") => b"221 bye\r\n",
            (false, _) => b"250 ok\r\n",
        };
        stream.write_all(answer).await?;
        line.clear();
    }
    Ok(())
}

async fn send(address: SocketAddr, count: usize, bytes: usize) -> anyhow::Result<()> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut answer = String::new();
    stream.read_line(&mut answer).await?;
    let content = format!("{}\r\n", "x".repeat(70)).repeat(bytes / 72) + ".\r\n";
    let mut exchange = async |words: &str| {
        stream.write_all(words.as_bytes()).await?;
        answer.clear();
        stream.read_line(&mut answer).await?;
        ensure!(answer.starts_with(['2', '3']), "the mail server answers {answer}");
        anyhow::Ok(())
    };
    exchange("EHLO yardstick\r\n").await?;
    for _ in 0..count {
        for words in
            ["MAIL FROM:<shop@localhost>\r\n", "RCPT TO:<yardstick@example.com>\r\n", "DATA\r\n", &content]
        {
            exchange(words).await?;
        }
    }
    Ok(())
}

/// Waits until `sink` has accepted `count` mails, at most for `limit`.
pub(crate) async fn wait(sink: &Sink, count: usize, limit: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    while sink.accepted() < count {
        ensure!(
            Instant::now() < deadline,
            "{} of {count} mails were accepted within {limit:?}",
            sink.accepted()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
