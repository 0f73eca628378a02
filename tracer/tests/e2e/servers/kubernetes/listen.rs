//! Connections: TCP, TLS, HTTP/1.1.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::net::sockopt::set_socket_linger;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::{Shared, answer};

/// A thread that listens; when it is dropped, its connections are cut and its port is closed.
pub(super) struct Listener {
    port: u16,
    stop: watch::Sender<bool>,
    /// Connections of an earlier number are cut.
    age: watch::Sender<u64>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// On this port of loopback; 0 takes any.
    pub(super) fn start(port: u16, shared: Arc<Shared>) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let inside = runtime.enter();
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option");
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).expect("a free port");
        let listener = socket.listen(128).expect("a listener");
        let port = listener.local_addr().expect("it is bound").port();
        drop(inside);
        let ((stop, mut stopped), (age, _)) = (watch::channel(false), watch::channel(0));
        let ages = age.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped.changed() => {}
                    () = accept(listener, shared, ages) => {}
                }
            });
            // With it every connection goes.
            drop(runtime);
        });
        Self { port, stop, age, thread: Some(thread) }
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn break_streams(&self) {
        self.age.send_modify(|age| *age += 1);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, ages: watch::Sender<u64>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let mut cut = ages.subscribe();
        let shared = Arc::clone(&shared);
        let socket = stream.as_fd().try_clone_to_owned().expect("a handle");
        tokio::spawn(async move {
            tokio::select! {
                // As a machine on the way does it that has forgotten the connection: reset, and not closed in good order.
                _ = cut.changed() => set_socket_linger(&socket, Some(Duration::ZERO)).expect("an option"),
                () = serve(stream, shared) => {}
            }
        });
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let tls = TlsAcceptor::from(Arc::clone(&shared.control().tls));
    let Ok(stream) = tls.accept(stream).await else { return };
    let service = service_fn(move |request| answer::answer(Arc::clone(&shared), request));
    // It fails where it is cut on purpose.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
