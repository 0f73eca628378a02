//! Profiles, flame graphs and documents of processes: the loop that traces is asked for a snapshot, and it is encoded.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::answer::{Gzip, encode};
use super::app::{App, text};
use super::routes::JSON;
use crate::model::node::{NoTargetId, TargetId};
use crate::model::snapshot::{Dimension, Snapshot};
use crate::serve::shared::Ask;
use crate::view::pprof::{Served, Since, delta, write_served};
use crate::view::{flamegraph as flame, json, known};

/// Between two looks whether all names are known.
const NAMES_EVERY: Duration = Duration::from_millis(50);
/// Names that are not known by then are not waited for.
const NAMES_WITHIN: Duration = Duration::from_secs(5);
/// The picture's own script, which zooms and searches, and nothing else; only under the picture's own path.
const SVG_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; \
                          form-action 'none'; frame-ancestors 'none'";
const PPROF: &str = "application/octet-stream";
const DIMENSIONS: [Dimension; 4] =
    [Dimension::InuseSpace, Dimension::InuseObjects, Dimension::AllocSpace, Dimension::AllocObjects];

/// An answer that is no profile.
type NoProfile = Box<Response<Body>>;

/// What a profile counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Heap,
    Allocs,
    DeltaHeap,
}

impl Kind {
    fn of(name: &str) -> Result<Self, NoProfile> {
        match name {
            "heap" => Ok(Self::Heap),
            "allocs" => Ok(Self::Allocs),
            "delta_heap" => Ok(Self::DeltaHeap),
            _ => Err(refused(
                StatusCode::NOT_FOUND,
                "There is no such profile: heap, allocs and, of one process, delta_heap are what tracer knows; switch the \
                 others off in the scraper.",
            )),
        }
    }

    fn default(self, snapshot: &Snapshot) -> Dimension {
        match self {
            Self::Allocs => Dimension::AllocSpace,
            Self::Heap | Self::DeltaHeap => known(snapshot.mode, Dimension::InuseSpace),
        }
    }
}

/// How long a profile of a time takes, beside the request's own time.
pub(super) fn duration(app: &App, uri: &Uri) -> Duration {
    if !uri.path().contains("/debug/pprof/") {
        return Duration::ZERO;
    }
    seconds(app, uri.query()).ok().flatten().unwrap_or_default()
}

/// `GET /targets/{id}/snapshot`
pub(super) async fn snapshot(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let answer = async {
        let snapshot = named(&app, Some(target(&id)?)).await?;
        let write = move |out: &mut Vec<u8>| json::write(&snapshot, out);
        Ok(encode(&app, &app.heavy, Gzip::of(&headers), JSON, write).await)
    };
    either(answer.await)
}

/// `GET /targets/{id}/flamegraph.svg?view=`
pub(super) async fn flamegraph(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let answer = async {
        let target = target(&id)?;
        let view = parameter(query.as_deref(), "view").unwrap_or(Dimension::InuseSpace.name());
        let dimension = DIMENSIONS.into_iter().find(|dimension| dimension.name() == view);
        let dimension = dimension.ok_or_else(|| {
            refused(
                StatusCode::BAD_REQUEST,
                "There is no such view: it is inuse_space, inuse_objects, alloc_space or alloc_objects.",
            )
        })?;
        let snapshot = named(&app, Some(target)).await?;
        let write = move |out: &mut Vec<u8>| flame::write_svg(&snapshot, dimension, out);
        let mut response = encode(&app, &app.heavy, Gzip::of(&headers), "image/svg+xml", write).await;
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(SVG_POLICY));
        Ok(response)
    };
    either(answer.await)
}

/// `GET /targets/{id}/debug/pprof/{kind}?seconds=`
pub(super) async fn of_target(
    State(app): State<Arc<App>>,
    Path((id, kind)): Path<(String, String)>,
    method: Method,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let answer = async {
        let (kind, target) = (Kind::of(&kind)?, target(&id)?);
        match kind {
            Kind::DeltaHeap => since_last(&app, target, method == Method::HEAD).await,
            _ => profile(&app, kind, Some(target), query.as_deref()).await,
        }
    };
    either(answer.await)
}

/// `GET /debug/pprof/{kind}?seconds=`
pub(super) async fn of_all(
    State(app): State<Arc<App>>,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let answer = async {
        let kind = Kind::of(&kind)?;
        if kind == Kind::DeltaHeap {
            return Err(refused(
                StatusCode::NOT_FOUND,
                "delta_heap is there for each process alone: /sd/pprof lists them.",
            ));
        }
        profile(&app, kind, None, query.as_deref()).await
    };
    either(answer.await)
}

async fn profile(
    app: &App,
    kind: Kind,
    target: Option<TargetId>,
    query: Option<&str>,
) -> Result<Response<Body>, NoProfile> {
    let Some(duration) = seconds(app, query)? else {
        let snapshot = named(app, target).await?;
        let served = Served { default: kind.default(&snapshot), since: None };
        return Ok(packed(app, move |out| write_served(&snapshot, &served, out)).await);
    };
    let (at, before) = (jiff::Timestamp::now(), ask(app, target).await?);
    sleep(duration).await;
    let now = named(app, target).await?;
    Ok(packed(app, move |out| {
        let base = delta::Base::all(&before);
        let since = Some(Since { base: &base, at, duration });
        let served = Served { default: kind.default(&now), since };
        write_served(&delta::with_gone(&now, &before), &served, out)
    })
    .await)
}

/// Allocations since the last answer, whoever asked; what is in use as it is.
async fn since_last(app: &App, id: TargetId, is_look: bool) -> Result<Response<Body>, NoProfile> {
    // Only a process that is there gets an entry.
    ask(app, Some(id)).await?;
    let mut last = app.deltas.turn(id, &app.shared.node()).await;
    let snapshot = named(app, Some(id)).await?;
    let now = jiff::Timestamp::now();
    Ok(packed(app, move |out| {
        let since = last.as_ref().map(|(at, base)| Since { base, at: *at, duration: elapsed(*at, now) });
        write_served(&snapshot, &Served { default: Kind::DeltaHeap.default(&snapshot), since }, out)?;
        // HEAD gives nothing away.
        if !is_look {
            *last = Some((now, delta::Base::allocations(&snapshot)));
        }
        Ok(())
    })
    .await)
}

fn elapsed(from: jiff::Timestamp, to: jiff::Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

async fn packed(
    app: &App,
    write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()> + Send + 'static,
) -> Response<Body> {
    let mut response = encode(app, &app.heavy, Gzip::No, PPROF, write).await;
    if response.status() == StatusCode::OK {
        let name = HeaderValue::from_static("attachment; filename=\"heap.pb.gz\"");
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    response
}

/// A snapshot with its names, as far as they are found in time.
async fn named(app: &App, target: Option<TargetId>) -> Result<Arc<Snapshot>, NoProfile> {
    let until = Instant::now() + NAMES_WITHIN.min(app.options.timeout / 2);
    loop {
        let asked = Instant::now();
        let snapshot = ask(app, target).await?;
        if snapshot.quality.pending_symbols == 0 || Instant::now() >= until {
            return Ok(snapshot);
        }
        // A profile that took long to make is not made all the time.
        let pause = NAMES_EVERY.max(asked.elapsed());
        sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
    }
}

async fn ask(app: &App, target: Option<TargetId>) -> Result<Arc<Snapshot>, NoProfile> {
    let (answer, answered) = oneshot::channel();
    let is_asked = app.shared.ask(Ask::Profile { target, answer });
    match (is_asked, answered.await) {
        (true, Ok(Some(snapshot))) => Ok(snapshot),
        (true, Ok(None)) => Err(refused(
            StatusCode::NOT_FOUND,
            "This process is not traced, or has ended: /targets lists those that are.",
        )),
        _ => Err(refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "The daemon is starting or ending: ask again in a second.",
        )),
    }
}

fn target(id: &str) -> Result<TargetId, NoProfile> {
    id.parse().map_err(|error: NoTargetId| {
        refused(StatusCode::NOT_FOUND, &format!("There is no such process: {error}."))
    })
}

/// `seconds=` of a query, if it is there.
fn seconds(app: &App, query: Option<&str>) -> Result<Option<Duration>, NoProfile> {
    let Some(text) = parameter(query, "seconds") else { return Ok(None) };
    let most = app.options.max_profile;
    match text.parse().ok().map(Duration::from_secs) {
        Some(duration) if !duration.is_zero() && duration <= most => Ok(Some(duration)),
        _ => Err(refused(
            StatusCode::BAD_REQUEST,
            &format!("seconds must be a whole number from 1 to {}.", most.as_secs()),
        )),
    }
}

fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let mut pairs = query.unwrap_or("").split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn refused(status: StatusCode, sentence: &str) -> NoProfile {
    Box::new(text(status, sentence))
}

fn either(answer: Result<Response<Body>, NoProfile>) -> Response<Body> {
    answer.unwrap_or_else(|refused| *refused)
}
