//! The HTTP side.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use super::ServeError;
use super::shared::Shared;
use app::App;

mod answer;
mod app;
mod canary;
mod connection;
mod deltas;
mod gate;
mod listener;
mod profiles;
mod progress;
mod reread;
mod routes;
mod tls;
mod token;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;
/// Threads that encode: two of profiles and pages, one of metrics.
const ENCODERS: usize = app::HEAVY_PLACES + 1;

/// Where and how it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// Address and port; port 0 takes any.
    pub listen: SocketAddr,
    /// Connections at a time; more are closed at once.
    pub max_connections: usize,
    /// Requests at a time; more are answered with 503.
    pub max_requests: usize,
    /// Bytes of a request's header.
    pub max_header_bytes: usize,
    /// For a request's header to come, and for its answer to be made and taken. (Profiles over a time have that time more.)
    pub timeout: Duration,
    /// Longest `?seconds=`.
    pub max_profile: Duration,
    /// Certificates and key, PEM; both or none.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// File with the token that a request must bear.
    pub token_file: Option<PathBuf>,
}

/// A server that runs. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Listens, then serves in a thread of its own.
///
/// # Errors
/// When the address is not to be had, or a certificate, a key or the token cannot be read.
pub fn start(options: HttpOptions, shared: Arc<Shared>) -> Result<Server, ServeError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(ENCODERS)
        .thread_name("tracer-encode")
        .build()?;
    let address = options.listen;
    let listener = bind(&runtime, address).map_err(|source| ServeError::Listen { address, source })?;
    let local_addr = listener.local_addr()?;
    let app = Arc::new(App::new(options, local_addr, shared)?);
    let (stop, stopped) = watch::channel(false);
    let thread = std::thread::Builder::new().name("tracer-http".to_owned()).spawn(move || {
        runtime.block_on(listener::run(listener, app, stopped));
        // An encode that is under way ends by itself; nobody waits for it.
        runtime.shutdown_background();
    })?;
    Ok(Server { local_addr, stop, thread: Some(thread) })
}

fn bind(runtime: &Runtime, address: SocketAddr) -> std::io::Result<TcpListener> {
    let _inside = runtime.enter();
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Ends it: open requests get at most a second.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed by that thread.
            let _ = thread.join();
        }
    }
}
