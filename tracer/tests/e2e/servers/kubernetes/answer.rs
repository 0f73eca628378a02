//! What a request is answered with.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Query;
use http_body::{Body, Frame};
use hyper::body::Bytes;
use hyper::{Request, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::store::{Event, Objects, Selector};
use super::{Asked, Fault, Shared};

/// An answer's body: what is sent to it, until nobody can send any more. An error cuts the connection.
pub(super) struct Pieces {
    ready: VecDeque<Bytes>,
    more: Option<mpsc::Receiver<Result<Bytes, Cut>>>,
}

/// The connection is cut here.
#[derive(Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(piece) = self.ready.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match &mut self.more {
            Some(more) => more.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data))),
            None => Poll::Ready(None),
        }
    }
}

type Answer = Response<Pieces>;
type Asks = BTreeMap<String, String>;

/// Answers one request.
pub(super) async fn answer<B>(shared: Arc<Shared>, request: Request<B>) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    let Query(query) = Query::<Asks>::try_from_uri(request.uri()).unwrap_or_default();
    let bears = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let objects = Objects::ALL.into_iter().find(|objects| objects.path() == path);
    let (is_known, fault) = {
        let control = shared.control();
        let is_known = bears.and_then(|text| text.strip_prefix("Bearer ")) == Some(control.token.as_str());
        (is_known, objects.and_then(|objects| control.faults.get(&objects).cloned()))
    };
    let answer = match (is_known, objects, fault) {
        (false, ..) => status(401, "Unauthorized", "Unauthorized"),
        (_, None, _) => status(404, "NotFound", "the server could not find the requested resource"),
        (_, _, Some(Fault::Status(code))) => status(code, "Fault", "the test wants it so"),
        (_, _, Some(Fault::Silent)) => {
            note(&shared, path, query, 0);
            return std::future::pending().await;
        }
        (_, _, Some(Fault::Garbage)) => body(200, "<html>It works!</html>\n".to_owned()),
        (_, _, Some(Fault::Endless)) => endless(),
        (_, _, Some(Fault::ShortWatch)) if query.contains_key("watch") => body(200, String::new()),
        (_, Some(objects), _) if query.contains_key("watch") => watch(&shared, objects, &query),
        (_, Some(objects), _) => list(&shared, objects, &query),
    };
    note(&shared, path, query, answer.status().as_u16());
    Ok(answer)
}

fn note(shared: &Shared, path: String, query: Asks, status: u16) {
    shared.control().requests.push(Asked { path, query, status });
}

fn body(status: u16, text: String) -> Answer {
    let pieces = Pieces { ready: VecDeque::from([Bytes::from(text)]), more: None };
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(pieces).expect("a response")
}

fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

fn status(code: u16, reason: &str, message: &str) -> Answer {
    body(code, failure(code, reason, message).to_string())
}

/// How the API server says that a version is too old.
const EXPIRED: &str = "The resourceVersion for the provided watch is too old.";

fn list(shared: &Shared, objects: Objects, query: &Asks) -> Answer {
    let store = shared.store();
    let selector = match Selector::parse(query.get("fieldSelector").map_or("", String::as_str)) {
        Ok(selector) => selector,
        Err(message) => return status(400, "BadRequest", &message),
    };
    // VERSION/NAMESPACE/NAME: the list goes on behind that one, and is as old as its first page.
    let token = query.get("continue").map(|token| token.splitn(3, '/').collect::<Vec<_>>());
    let (version, after) = match token.as_deref() {
        None => (store.version, None),
        Some([version, namespace, name]) => {
            (version.parse().unwrap_or(0), Some(((*namespace).to_owned(), (*name).to_owned())))
        }
        Some(_) => return status(400, "BadRequest", "continue key is not valid"),
    };
    if version < store.oldest {
        return status(410, "Expired", "The provided continue parameter is too old");
    }
    let mut items = store.list(objects, &selector, after.as_ref());
    let limit = query.get("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
    let rest = items.len().saturating_sub(limit.unwrap_or(items.len()));
    items.truncate(items.len() - rest);
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if rest > 0 {
        let name = |key: &str| items[items.len() - 1]["metadata"][key].as_str().unwrap_or_default();
        metadata["continue"] = json!(format!("{version}/{}/{}", name("namespace"), name("name")));
        metadata["remainingItemCount"] = json!(rest);
    }
    let (api_version, kind) = objects.kind();
    // Objects of a list do not say what they are.
    for item in &mut items {
        item.as_object_mut().map(|item| (item.remove("kind"), item.remove("apiVersion")));
    }
    let list = json!({"kind": format!("{kind}List"), "apiVersion": api_version, "metadata": metadata, "items": items});
    body(200, list.to_string())
}

/// A watch: it begins behind the version that it is given, and ends after its time.
struct Watch {
    shared: Arc<Shared>,
    objects: Objects,
    selector: Selector,
    version: u64,
    place: usize,
    ends_at: Instant,
    wants_bookmarks: bool,
    is_silent: bool,
    lines: mpsc::Sender<Result<Bytes, Cut>>,
}

fn watch(shared: &Arc<Shared>, objects: Objects, query: &Asks) -> Answer {
    let selector = match Selector::parse(query.get("fieldSelector").map_or("", String::as_str)) {
        Ok(selector) => selector,
        Err(message) => return status(400, "BadRequest", &message),
    };
    let number = |key: &str| query.get(key).and_then(|value| value.parse::<u64>().ok());
    let Some(version) = number("resourceVersion").filter(|version| *version > 0) else {
        return status(400, "BadRequest", "this server watches from a version only");
    };
    let (lines, more) = mpsc::channel(16);
    let (is_old, is_told_by_event, place) = {
        let store = shared.store();
        (version < store.oldest, store.is_told_by_event, store.place_of(version))
    };
    if is_old && !is_told_by_event {
        return status(410, "Expired", EXPIRED);
    }
    let mut ready = VecDeque::new();
    if is_old {
        let event = json!({"type": "ERROR", "object": failure(410, "Expired", EXPIRED)});
        ready.push_back(Bytes::from(format!("{event}\n")));
    } else {
        let seconds = number("timeoutSeconds").unwrap_or(1800);
        let is_silent = shared.control().faults.get(&objects) == Some(&Fault::SilentWatch);
        let watch = Watch {
            shared: Arc::clone(shared),
            objects,
            selector,
            version,
            place,
            ends_at: Instant::now() + Duration::from_secs(seconds),
            wants_bookmarks: query.get("allowWatchBookmarks").is_some_and(|value| value == "true"),
            is_silent,
            lines,
        };
        tokio::spawn(watch.run());
    }
    let response = Response::builder().header("content-type", "application/json");
    response.body(Pieces { ready, more: Some(more) }).expect("a response")
}

impl Watch {
    async fn run(mut self) {
        let mut changed = self.shared.changed.subscribe();
        if self.is_silent {
            self.lines.closed().await;
            return;
        }
        loop {
            let events = {
                let store = self.shared.store();
                let events = store.since(self.place, self.objects, self.version);
                self.place = store.events();
                events
            };
            for event in events {
                if !self.send(&event).await {
                    return;
                }
            }
            let gone = self.lines.clone();
            tokio::select! {
                change = timeout_at(self.ends_at, changed.changed()) => {
                    if !matches!(change, Ok(Ok(()))) {
                        return;
                    }
                }
                () = gone.closed() => return,
            }
        }
    }

    /// Whether it goes on.
    async fn send(&self, event: &Event) -> bool {
        let is_wanted = match event.what {
            "BOOKMARK" => self.wants_bookmarks,
            _ => self.selector.takes(&event.object),
        };
        if !is_wanted {
            return true;
        }
        let line = format!("{}\n", json!({"type": event.what, "object": event.object}));
        let is_cut = {
            let mut control = self.shared.control();
            let is_cut = control.cuts > 0;
            control.cuts -= usize::from(is_cut);
            is_cut
        };
        if is_cut {
            let half = Bytes::from(line[..line.len() / 2].to_owned());
            let _ = self.lines.send(Ok(half)).await;
            // The first half is to have arrived.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let _ = self.lines.send(Err(Cut)).await;
            return false;
        }
        self.lines.send(Ok(Bytes::from(line))).await.is_ok()
    }
}

fn endless() -> Answer {
    let (lines, more) = mpsc::channel(4);
    tokio::spawn(async move { while lines.send(Ok(Bytes::from_static(&[b' '; 1 << 16]))).await.is_ok() {} });
    Response::new(Pieces { ready: VecDeque::new(), more: Some(more) })
}
