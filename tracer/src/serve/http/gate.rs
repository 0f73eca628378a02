//! What every request passes: its method, its body, the token, a place; and the headers of every answer.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::app::App;
use super::profiles;
use super::progress::Progress;
use crate::serve::shared::Refusal;

/// They say whether the daemon lives: no token, and always a place.
const PROBES: [&str; 2] = ["/livez", "/readyz"];
/// Always a place.
const METRICS: &str = "/metrics";

/// Answers a request, within its time.
pub(super) async fn answer(
    app: &Arc<App>,
    progress: &Arc<Progress>,
    router: Router,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let within = app.options.timeout + profiles::duration(app, request.uri());
    let _answering = progress.answer(within);
    let mut response = match admit(app, &request) {
        Err(refused) => *refused,
        Ok(_place) => {
            let answer = TowerToHyperService::new(router).call(request);
            match timeout(within, answer).await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_) => app.refuse(
                    Refusal::Timeout,
                    "The answer could not be made in time: ask again, or for a shorter time.",
                ),
            }
        }
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A place for the request; else why it has none.
fn admit(app: &App, request: &Request<Incoming>) -> Result<OwnedSemaphorePermit, Box<Response<Body>>> {
    let path = request.uri().path();
    let mut refused = if !matches!(*request.method(), Method::GET | Method::HEAD) {
        app.refuse(Refusal::Method, "Nothing is changed over HTTP: use GET, and `tracer ctl` for changes.")
    } else if has_body(request.headers()) {
        app.refuse(Refusal::TooLarge, "A request has no body here: leave it out.")
    } else if !PROBES.contains(&path) && !is_authorized(app, request.headers()) {
        app.refuse(
            Refusal::Unauthorized,
            "The token is missing or wrong: send `Authorization: Bearer TOKEN` with the token of the daemon's token file.",
        )
    } else {
        let sentence = "As many requests as are allowed are being answered: ask again in a second.";
        return place(app, path).ok_or_else(|| Box::new(app.refuse(Refusal::Busy, sentence)));
    };
    if has_body(request.headers()) {
        // Nobody reads it.
        refused.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Err(Box::new(refused))
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

fn is_authorized(app: &App, headers: &HeaderMap) -> bool {
    app.token.as_ref().is_none_or(|token| token.is_borne(headers))
}

fn place(app: &App, path: &str) -> Option<OwnedSemaphorePermit> {
    let is_reserved = path == METRICS || PROBES.contains(&path);
    let reserved = is_reserved.then(|| Arc::clone(&app.reserved).try_acquire_owned().ok()).flatten();
    reserved.or_else(|| Arc::clone(&app.places).try_acquire_owned().ok())
}
