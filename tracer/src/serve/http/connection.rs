//! One connection: TLS if it is wanted, then requests one after the other.

use std::sync::Arc;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::app::App;
use super::gate;
use super::progress::{Progress, Watched};
use crate::serve::shared::Refusal;

/// Bytes that are buffered of a request at least: hyper takes no less.
const BUFFER_BYTES_MIN: usize = 8192;

/// Serves it to its end.
pub(super) async fn run(
    stream: TcpStream,
    progress: Arc<Progress>,
    app: Arc<App>,
    router: Router,
    stop: watch::Receiver<bool>,
) {
    // An answer is written at once: nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let watched = Watched::new(stream, Arc::clone(&progress));
    tokio::select! {
        () = serve(watched, &progress, &app, router, stop) => {}
        () = progress.ended() => {
            if progress.owes_request() {
                app.count(Refusal::Timeout);
            }
        }
    }
}

async fn serve(
    stream: Watched<TcpStream>,
    progress: &Arc<Progress>,
    app: &Arc<App>,
    router: Router,
    stop: watch::Receiver<bool>,
) {
    let Some(tls) = &app.tls else { return converse(stream, progress, app, router, stop).await };
    match timeout(app.options.timeout, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => {
            progress.forget_pending();
            converse(stream, progress, app, router, stop).await;
        }
        Ok(Err(_)) if progress.is_late() => app.count(Refusal::Timeout),
        // Who says nothing at all and leaves has only looked whether the port is open.
        Ok(Err(_)) if progress.has_pending() => app.count(Refusal::Malformed),
        Ok(Err(_)) => {}
        Err(_) => app.count(Refusal::Timeout),
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    progress: &Arc<Progress>,
    app: &Arc<App>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(|request| gate::answer(app, progress, router.clone(), request));
    let header_bytes = app.options.max_header_bytes;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.options.timeout)
        .max_header_size(header_bytes)
        .max_buf_size(header_bytes.max(BUFFER_BYTES_MIN))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let mut is_ending = false;
    let end = loop {
        tokio::select! {
            end = connection.as_mut() => break end,
            _ = stop.changed(), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    match end {
        Ok(()) => {}
        Err(_) if progress.is_late() => app.count(Refusal::Timeout),
        Err(error) if error.is_parse_too_large() => app.count(Refusal::TooLarge),
        Err(error) if error.is_parse() => app.count(Refusal::Malformed),
        Err(error) if error.is_timeout() && progress.owes_request() => app.count(Refusal::Timeout),
        // The client is gone.
        Err(_) => {}
    }
}
