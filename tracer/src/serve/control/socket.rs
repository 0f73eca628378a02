//! The server of the control socket, in a thread of its own. Only root and the daemon's own user are answered; every change
//! is logged.

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::place::Place;
use super::{Answer, Peer, Request};
use crate::serve::ServeError;
use crate::serve::shared::{Ask, Shared};

/// Bytes of a request's line.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// Connections at a time.
const CONNECTIONS_MAX: usize = 8;
/// A connection that says nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(30);
/// For a client to hear why it is not served.
const LINGER: Duration = Duration::from_secs(1);
/// For an answer of the loop that traces: another mode means new probes on every process.
const ANSWER: Duration = Duration::from_secs(60);
/// Without descriptors nothing can be accepted; some may soon be free.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

/// A server that runs. It ends when it is dropped, and its socket is removed.
#[derive(Debug)]
pub struct ControlServer {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    _place: Place,
}

/// What all connections share.
struct Desk {
    shared: Arc<Shared>,
    log: Box<dyn Fn(&str) + Send + Sync>,
}

/// A line of the log.
#[derive(Serialize)]
struct Entry<'a> {
    at: jiff::Timestamp,
    event: &'static str,
    request: Option<&'a Request>,
    peer: Peer,
    answer: &'a Answer,
}

/// Listens, then answers in a thread of its own. `log` gets a line of JSON for every change, and for everybody who is
/// refused.
///
/// # Errors
/// When the socket cannot be made, or must not: another daemon answers on it, or others could replace it.
pub fn listen(
    path: &Path,
    shared: Arc<Shared>,
    log: impl Fn(&str) + Send + Sync + 'static,
) -> Result<ControlServer, ServeError> {
    let (place, listener) = Place::take(path)?;
    listener.set_nonblocking(true)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let desk = Arc::new(Desk { shared, log: Box::new(log) });
    let (stop, mut stopped) = watch::channel(false);
    let thread = std::thread::Builder::new().name("tracer-control".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = stopped.changed() => {}
                result = run(listener, desk) => drop(result),
            }
        });
    })?;
    Ok(ControlServer { stop, thread: Some(thread), _place: place })
}

impl ControlServer {
    /// Ends it: requests that are under way get no answer.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed by that thread.
            let _ = thread.join();
        }
    }
}

async fn run(listener: StdListener, desk: Arc<Desk>) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(OUT_OF_DESCRIPTORS).await;
            continue;
        };
        let place = Arc::clone(&places).try_acquire_owned();
        let desk = Arc::clone(&desk);
        tokio::spawn(async move {
            let (mut input, mut output) = stream.into_split();
            let served = if place.is_ok() {
                serve(&mut input, &mut output, &desk).await
            } else {
                let sentence = format!("{CONNECTIONS_MAX} others are connected: ask again when one has gone");
                part(&mut input, &mut output, &Answer::Refused(sentence)).await
            };
            // Whoever is gone is gone.
            drop(served);
        });
    }
}

/// Answers line by line, until the client is done or says nothing more.
async fn serve(input: &mut OwnedReadHalf, output: &mut OwnedWriteHalf, desk: &Desk) -> io::Result<()> {
    let peer = peer(input.as_ref())?;
    let own = rustix::process::geteuid().as_raw();
    if peer.uid != 0 && peer.uid != own {
        let answer = Answer::Refused(format!("only root and user {own} may ask: use sudo"));
        desk.log(None, peer, &answer);
        return part(input, output, &answer).await;
    }
    let mut input = BufReader::new(input);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut input).take(LINE_BYTES_MAX);
        match timeout(IDLE, bounded.read_until(b'\n', &mut line)).await {
            Err(_) | Ok(Ok(0)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(_)) => {}
        }
        if line.pop_if(|byte| *byte == b'\n').is_none() && line.len() as u64 == LINE_BYTES_MAX {
            let sentence = format!("the line is longer than {LINE_BYTES_MAX} bytes");
            return part(&mut input, output, &Answer::Refused(sentence)).await;
        }
        let answer = desk.answer(&line, peer).await;
        say(output, &answer).await?;
    }
}

fn peer(stream: &UnixStream) -> io::Result<Peer> {
    let peer = stream.peer_cred()?;
    Ok(Peer { uid: peer.uid(), pid: peer.pid().unwrap_or(0) })
}

async fn say(output: &mut OwnedWriteHalf, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    timeout(IDLE, output.write_all(&line)).await?
}

/// The last answer of a connection. What the client is still saying is read: else the kernel would throw the answer away.
async fn part(
    input: &mut (impl AsyncRead + Unpin),
    output: &mut OwnedWriteHalf,
    answer: &Answer,
) -> io::Result<()> {
    say(output, answer).await?;
    output.shutdown().await?;
    let mut rest = input.take(LINE_BYTES_MAX);
    timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await??;
    Ok(())
}

impl Desk {
    async fn answer(&self, line: &[u8], peer: Peer) -> Answer {
        let request: Request = match serde_json::from_slice(line) {
            Ok(request) => request,
            Err(error) => return Answer::Refused(format!("this is no request: {error}")),
        };
        let (answer, answered) = oneshot::channel();
        let is_asked = self.shared.ask(Ask::Control { request: request.clone(), peer, answer });
        let answer = match (is_asked, timeout(ANSWER, answered).await) {
            (true, Ok(Ok(answer))) => answer,
            (true, Err(_)) => Answer::Refused(format!(
                "there was no answer within {} seconds, it may still be done: ask for the status",
                ANSWER.as_secs()
            )),
            _ => Answer::Refused("the daemon is starting or ending".to_owned()),
        };
        if request != Request::Status {
            self.log(Some(&request), peer, &answer);
        }
        answer
    }

    fn log(&self, request: Option<&Request>, peer: Peer, answer: &Answer) {
        let at = jiff::Timestamp::now();
        // Only a map whose keys are no text could fail here, and there is none.
        if let Ok(line) = serde_json::to_string(&Entry { at, event: "control", request, peer, answer }) {
            (self.log)(&line);
        }
    }
}
