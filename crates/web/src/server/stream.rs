//! The byte stream of a connection, with deadlines for a head that has begun and for answers that the client does not
//! read.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::bounds::Bounds;
use super::head::Heads;
use super::slots::Activity;

/// The time in which a client that is still sending can read the last answer: closing a socket with unread bytes
/// resets the connection, and the answer would be lost.
const LINGER: Duration = Duration::from_millis(500);

/// The most bytes per read: less than the parser's first buffer (8 KiB), which the parser doubles each time it is
/// full. With many connections those buffers take most of the memory.
const READ: usize = 8000;

/// The deadline that the client missed: `head` or `unread`.
#[derive(Debug, thiserror::Error)]
#[error("the client was too slow: {0}")]
pub(super) struct GaveUp(pub(super) &'static str);

impl From<GaveUp> for io::Error {
    fn from(reason: GaveUp) -> Self {
        Self::new(ErrorKind::TimedOut, reason)
    }
}

/// The byte stream of one connection.
#[derive(Debug)]
pub(super) struct Stream {
    inner: TcpStream,
    activity: Arc<Activity>,
    heads: Arc<Mutex<Heads>>,
    head: Timer,
    unread: Timer,
    linger: Timer,
    ended: bool,
}

impl Stream {
    pub(super) fn new(inner: TcpStream, activity: Arc<Activity>, bounds: &Bounds) -> Self {
        Self {
            inner,
            activity,
            heads: Arc::default(),
            head: Timer::new(bounds.head),
            unread: Timer::new(bounds.unread),
            linger: Timer::new(LINGER),
            ended: false,
        }
    }

    /// The state of the connection's heads.
    pub(super) fn heads(&self) -> Arc<Mutex<Heads>> {
        Arc::clone(&self.heads)
    }

    /// Calls `question` with the heads locked. No code panics while it holds the lock.
    fn ask<T>(&self, question: impl FnOnce(&mut Heads) -> T) -> T {
        question(&mut self.heads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts the time in which the client does not read; the connection ends when that time is used up.
    fn written(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.unread.pause();
            return written;
        }
        self.activity.is_stuck();
        self.unread.poll(cx).map(|()| Err(GaveUp("unread").into()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; READ];
        let mut part = ReadBuf::new(&mut bytes[..READ.min(buffer.remaining())]);
        let read = Pin::new(&mut self.inner).poll_read(cx, &mut part);
        let bytes = part.filled();
        buffer.put_slice(bytes);
        self.ended |= read.is_ready() && bytes.is_empty();
        let is_in_head = self.ask(|heads| {
            heads.feed(bytes);
            heads.is_in_head()
        });
        if !is_in_head {
            self.head.reset();
        } else if read.is_pending() {
            self.activity.is_stuck();
            return self.head.poll(cx).map(|()| Err(GaveUp("head").into()));
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    /// Ends the answer, then reads and discards for at most [`LINGER`] the bytes that the client is still sending.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
        if !self.ask(|heads| heads.is_in_request()) {
            return Poll::Ready(Ok(()));
        }
        let mut discarded = [0; READ];
        while !self.ended && self.linger.poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut discarded);
            let read = ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer));
            self.ended |= read.is_err() || buffer.filled().is_empty();
        }
        Poll::Ready(Ok(()))
    }
}

/// A timer that runs from its first poll and can be paused.
#[derive(Debug)]
struct Timer {
    whole: Duration,
    left: Duration,
    running: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Timer {
    fn new(whole: Duration) -> Self {
        Self { whole, left: whole, running: None }
    }

    /// Starts or continues the timer; ready when the time is used up.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let left = self.left;
        let begin = || (Instant::now(), Box::pin(tokio::time::sleep(left)));
        self.running.get_or_insert_with(begin).1.as_mut().poll(cx)
    }

    fn pause(&mut self) {
        if let Some((since, _)) = self.running.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }

    fn reset(&mut self) {
        self.running = None;
        self.left = self.whole;
    }
}
