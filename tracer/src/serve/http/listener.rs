//! Accepts connections, no more than are allowed.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::app::App;
use super::connection;
use super::progress::Progress;
use super::routes;
use crate::serve::shared::Refusal;

/// A connection that has said nothing for so long makes room for a new one where there is none: who opens connections and
/// says nothing cannot keep scrapes out.
const IDLE_MIN: Duration = Duration::from_secs(1);
/// What open requests have when the server ends.
const GRACE: Duration = Duration::from_secs(1);
/// Without descriptors nothing can be accepted; some may soon be free.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

/// Accepts until it shall stop, then waits for open requests.
pub(super) async fn run(listener: TcpListener, app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let router = routes::router(Arc::clone(&app));
    let mut connections = JoinSet::new();
    // Beside this list a connection's own task holds its entry: one that it alone holds is of a connection that has ended.
    let mut open: Vec<Arc<Progress>> = Vec::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.changed() => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        open.retain(|progress| Arc::strong_count(progress) > 1);
        match accepted {
            Ok(_) if open.len() >= app.options.max_connections && !make_room(&mut open) => {
                app.count(Refusal::Connections);
            }
            Ok((stream, _)) => {
                let progress = Progress::new(app.options.timeout);
                open.push(Arc::clone(&progress));
                let (app, router, stop) = (Arc::clone(&app), router.clone(), stop.clone());
                connections.spawn(connection::run(stream, progress, app, router, stop));
            }
            Err(error) if is_of_client(&error) => {}
            Err(_) => sleep(OUT_OF_DESCRIPTORS).await,
        }
    }
    drop(listener);
    // What is open after that is dropped.
    let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
}

/// Ends the connection that has been idle the longest.
fn make_room(open: &mut Vec<Arc<Progress>>) -> bool {
    let idle = open.iter().enumerate().filter_map(|(at, progress)| Some((progress.idle()?, at)));
    match idle.max() {
        Some((idle, at)) if idle >= IDLE_MIN => {
            open.swap_remove(at).end();
            true
        }
        _ => false,
    }
}

/// The client was gone before it was accepted.
fn is_of_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
