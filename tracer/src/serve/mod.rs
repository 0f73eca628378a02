//! What is served: metrics, profiles and the status page over HTTP, and control over a unix socket. All of it runs in threads
//! of its own: the loop that traces waits for none of them.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

pub mod control;
pub mod http;
mod metrics;
pub mod shared;

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port, most often.
    #[error("failed to listen on {address}: {source}: {}", advice(source))]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the kernel says.
        source: io::Error,
    },
    /// Certificates, a key or a token.
    #[error("failed to read {}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// With what to do.
        reason: String,
    },
    /// The folder of the control socket, or the socket.
    #[error("failed to make the control socket {}: {reason}", path.display())]
    Socket {
        /// Which.
        path: PathBuf,
        /// With what to do.
        reason: String,
    },
    /// No thread, no descriptors.
    #[error("failed to start a server: {0}")]
    Start(#[from] io::Error),
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there, perhaps another tracer: stop it, or choose another port"
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose another one",
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address",
        _ => "choose another address",
    }
}
