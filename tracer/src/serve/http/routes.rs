//! What is served under which path.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_SECURITY_POLICY, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::routing::get;

use super::answer::{Gzip, encode};
use super::app::{App, text};
use super::{canary, profiles};
use crate::serve::metrics;
use crate::view::prometheus::Exposition;
use crate::view::{page, targets};

/// No scripts, no other servers, in no frame.
pub(super) const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
pub(super) const JSON: &str = "application/json";

pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(status))
        .route("/metrics", get(scrape))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/targets", get(list))
        .route("/sd/pprof", get(discovery))
        .route("/canary", get(canary::verdicts))
        .route("/targets/{id}/snapshot", get(profiles::snapshot))
        .route("/targets/{id}/flamegraph.svg", get(profiles::flamegraph))
        .route("/targets/{id}/debug/pprof/{kind}", get(profiles::of_target))
        .route("/debug/pprof/{kind}", get(profiles::of_all))
        .fallback(nothing)
        .with_state(app)
}

async fn status(State(app): State<Arc<App>>, headers: HeaderMap) -> Response<Body> {
    let node = app.shared.node();
    let write = move |out: &mut Vec<u8>| page::write(&node, out);
    let mut response = encode(&app, &app.heavy, Gzip::of(&headers), "text/html; charset=utf-8", write).await;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    response
}

async fn scrape(State(app): State<Arc<App>>, headers: HeaderMap) -> Response<Body> {
    let exposition = Exposition::of_accept(headers.get(ACCEPT).and_then(|value| value.to_str().ok()));
    let shared = Arc::clone(&app.shared);
    let write = move |out: &mut Vec<u8>| {
        *out = metrics::page(&shared, exposition).map_err(std::io::Error::other)?;
        Ok(())
    };
    encode(&app, &app.light, Gzip::of(&headers), exposition.content_type(), write).await
}

async fn live() -> Response<Body> {
    text(StatusCode::OK, "The daemon lives.")
}

async fn ready(State(app): State<Arc<App>>) -> Response<Body> {
    if app.shared.is_ready() {
        text(StatusCode::OK, "The daemon is ready.")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, "The programs are being loaded: ask again in a second.")
    }
}

async fn list(State(app): State<Arc<App>>, headers: HeaderMap) -> Response<Body> {
    let node = app.shared.node();
    let write = move |out: &mut Vec<u8>| targets::write(&node, out);
    encode(&app, &app.heavy, Gzip::of(&headers), JSON, write).await
}

async fn discovery(State(app): State<Arc<App>>, headers: HeaderMap) -> Response<Body> {
    let (node, address) = (app.shared.node(), address(&app, &headers));
    let scheme = if app.tls.is_some() { "https" } else { "http" };
    let write = move |out: &mut Vec<u8>| targets::write_discovery(&node, scheme, &address, out);
    encode(&app, &app.heavy, Gzip::of(&headers), JSON, write).await
}

/// Under which address the client has found this server: it may know it by another than this server does.
fn address(app: &App, headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    match authority.filter(|authority| !authority.as_str().contains('@') && !authority.host().is_empty()) {
        Some(authority) => authority.to_string(),
        None => app.local_addr.to_string(),
    }
}

async fn nothing() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "Nothing is served under this path: / leads to everything that is.")
}
