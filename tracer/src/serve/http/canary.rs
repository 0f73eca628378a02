//! The verdicts on canaries: JSON for programs, a page for somebody with a browser.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, CONTENT_SECURITY_POLICY, VARY};
use axum::http::{HeaderMap, HeaderValue, Response};
use serde::Deserialize;

use super::answer::{Gzip, encode};
use super::app::App;
use super::routes::{JSON, PAGE_POLICY};
use crate::view::{canaries, canary_page};

/// What may be asked for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    service: Option<String>,
}

/// `GET /canary?service=`
pub(super) async fn verdicts(
    State(app): State<Arc<App>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response<Body> {
    let canaries = app.shared.canaries();
    let service = asked.service;
    let gzip = Gzip::of(&headers);
    let mut response = if wants_page(&headers) {
        let write = move |out: &mut Vec<u8>| canary_page::write(&canaries, service.as_deref(), out);
        let mut page = encode(&app, &app.heavy, gzip, "text/html; charset=utf-8", write).await;
        page.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
        page
    } else {
        let write = move |out: &mut Vec<u8>| canaries::write(&canaries, service.as_deref(), out);
        encode(&app, &app.heavy, gzip, JSON, write).await
    };
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    response
}

/// Browsers ask for `text/html`; who does not is a program.
fn wants_page(headers: &HeaderMap) -> bool {
    let texts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|range| {
        let media = range.split(';').next().unwrap_or_default();
        media.trim().eq_ignore_ascii_case("text/html")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_the_page_and_a_program_gets_json() {
        let check = |accept: Option<&'static str>, expect: bool| {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(wants_page(&headers), expect, "{accept:?}");
        };
        check(None, false);
        check(Some("*/*"), false);
        check(Some("application/json"), false);
        check(Some("text/html,application/xhtml+xml,*/*;q=0.8"), true);
        check(Some("application/json, Text/HTML ;q=0.5"), true);
    }
}
