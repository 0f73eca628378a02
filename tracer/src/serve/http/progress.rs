//! How far a connection is, and the stream that notes it: bytes of a request that has not come whole, and the moment by
//! which an answer must have been taken.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

/// How far a connection is.
pub(super) struct Progress {
    /// Bytes that came since the last whole request.
    pending_bytes: AtomicU64,
    requests: AtomicU64,
    /// Bytes of an answer wait for the client.
    is_blocked: AtomicBool,
    /// An answer was not taken in time.
    is_late: AtomicBool,
    times: Mutex<Times>,
    ended: Notify,
}

struct Times {
    /// Since when no request is being answered.
    idle_since: Option<Instant>,
    /// By when what is being written must have been taken.
    deadline: Instant,
}

/// A request is being answered as long as it lives.
pub(super) struct Answering<'a>(&'a Progress);

impl Progress {
    /// Of a new connection.
    pub(super) fn new(timeout: Duration) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            pending_bytes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            is_blocked: AtomicBool::new(false),
            is_late: AtomicBool::new(false),
            times: Mutex::new(Times { idle_since: Some(now), deadline: now + timeout }),
            ended: Notify::new(),
        })
    }

    /// A whole request is there, and has so much time.
    pub(super) fn answer(&self, within: Duration) -> Answering<'_> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.forget_pending();
        self.with_times(|times| *times = Times { idle_since: None, deadline: Instant::now() + within });
        Answering(self)
    }

    /// What came so far is no part of a request.
    pub(super) fn forget_pending(&self) {
        self.pending_bytes.store(0, Ordering::Relaxed);
    }

    /// Whether something came that is no whole request.
    pub(super) fn has_pending(&self) -> bool {
        self.pending_bytes.load(Ordering::Relaxed) > 0
    }

    /// Whether a client that says nothing more is in debt of a request: one that had an answer may simply be done.
    pub(super) fn owes_request(&self) -> bool {
        self.has_pending() || self.requests.load(Ordering::Relaxed) == 0
    }

    /// Whether an answer was not taken in time.
    pub(super) fn is_late(&self) -> bool {
        self.is_late.load(Ordering::Relaxed)
    }

    /// How long nothing has been answered or written.
    pub(super) fn idle(&self) -> Option<Duration> {
        if self.is_blocked.load(Ordering::Relaxed) {
            return None;
        }
        self.with_times(|times| times.idle_since).map(|since| since.elapsed())
    }

    /// The connection shall make room for another.
    pub(super) fn end(&self) {
        self.ended.notify_one();
    }

    /// When it shall.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    fn with_times<T>(&self, change: impl FnOnce(&mut Times) -> T) -> T {
        change(&mut self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.with_times(|times| times.idle_since = Some(Instant::now()));
    }
}

/// A stream that notes its progress, and breaks off when an answer is not taken in time.
pub(super) struct Watched<S> {
    inner: S,
    progress: Arc<Progress>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    pub(super) fn new(inner: S, progress: Arc<Progress>) -> Self {
        Self { inner, progress, deadline: None }
    }

    fn bounded<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.progress.is_blocked.store(polled.is_pending(), Ordering::Relaxed);
        if polled.is_ready() {
            self.deadline = None;
            return polled;
        }
        let progress = &self.progress;
        let at = || Box::pin(sleep_until(progress.with_times(|times| times.deadline)));
        ready!(self.deadline.get_or_insert_with(at).as_mut().poll(cx));
        self.progress.is_late.store(true, Ordering::Relaxed);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.progress.pending_bytes.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.bounded(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.bounded(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
