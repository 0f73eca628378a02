//! Encodes answers beside the thread that serves: a few at a time, compressed if the client takes that.

use std::io::{self, Write};
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::app::{App, text};
use crate::serve::shared::Refusal;

/// Less than that is not worth it: it is one packet.
const GZIP_BYTES_MIN: usize = 1024;

/// Whether an answer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gzip {
    /// The client takes it.
    Taken,
    /// It does not, or the answer is compressed already.
    No,
}

impl Gzip {
    /// What the client takes.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let texts = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let taken = texts.flat_map(|text| text.split(',')).any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
            name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
        });
        if taken { Self::Taken } else { Self::No }
    }
}

/// Encodes an answer, as soon as one of `places` is free.
pub(super) async fn encode(
    app: &App,
    places: &Arc<Semaphore>,
    gzip: Gzip,
    content_type: &'static str,
    write: impl FnOnce(&mut Vec<u8>) -> io::Result<()> + Send + 'static,
) -> Response<Body> {
    let Ok(Ok(place)) = timeout(app.patience(), Arc::clone(places).acquire_owned()).await else {
        return app.refuse(Refusal::Busy, "Other answers are still being made: ask again in a second.");
    };
    let made = tokio::task::spawn_blocking(move || {
        // Held until it is made, whether or not anybody still waits.
        let _place = place;
        let mut plain = Vec::new();
        write(&mut plain)?;
        if gzip == Gzip::No || plain.len() < GZIP_BYTES_MIN {
            return Ok((plain, false));
        }
        let mut packed = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
        packed.write_all(&plain)?;
        packed.finish().map(|packed| (packed, true))
    });
    let made: io::Result<(Vec<u8>, bool)> = made.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    match made {
        Ok((bytes, is_packed)) => {
            let mut response = Response::new(Body::from(bytes));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
            if is_packed {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        }
        Err(_) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The answer could not be encoded: this is a bug of tracer, please report it.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use axum::http::header::RETRY_AFTER;

    use super::*;
    use crate::serve::http::HttpOptions;
    use crate::serve::shared::Shared;

    /// Encodes that take as long as they are let.
    #[test]
    fn encodes_wait_for_a_place_and_metrics_for_none_of_them() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = HttpOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            max_connections: 9,
            max_requests: 9,
            max_header_bytes: 8192,
            timeout: Duration::from_millis(300),
            max_profile: Duration::from_secs(1),
            tls: None,
            token_file: None,
        };
        let local_addr = options.listen;
        let app = Arc::new(App::new(options, local_addr, Arc::new(Shared::new(|_| false))).unwrap());
        runtime.block_on(async {
            let (release, released): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel::<()>()).unzip();
            let slow = released.into_iter().map(|released| {
                let app = Arc::clone(&app);
                let write = move |out: &mut Vec<u8>| {
                    released.recv().map_err(io::Error::other)?;
                    out.write_all(b"slow")
                };
                tokio::spawn(async move { encode(&app, &app.heavy, Gzip::No, "text/plain", write).await })
            });
            let slow: Vec<_> = slow.collect();
            tokio::task::yield_now().await;
            let quick = |out: &mut Vec<u8>| out.write_all(b"quick");
            assert_eq!(
                encode(&app, &app.light, Gzip::No, "text/plain", quick).await.status(),
                StatusCode::OK
            );
            let third = encode(&app, &app.heavy, Gzip::No, "text/plain", quick).await;
            assert_eq!(third.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(third.headers().contains_key(RETRY_AFTER));
            assert_eq!(app.shared.refused.all()[Refusal::Busy as usize], ("busy", 1));
            release.iter().for_each(|release| release.send(()).unwrap());
            for one in slow {
                assert_eq!(one.await.unwrap().status(), StatusCode::OK);
            }
            assert_eq!(
                encode(&app, &app.heavy, Gzip::No, "text/plain", quick).await.status(),
                StatusCode::OK
            );
        });
    }

    #[test]
    fn gzip_is_sent_only_to_who_takes_it() {
        let check = |accepted: &[&'static str], expect| {
            let mut headers = HeaderMap::new();
            for value in accepted {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(Gzip::of(&headers), expect, "{accepted:?}");
        };
        check(&["gzip"], Gzip::Taken);
        check(&["deflate, GZIP;q=0.5"], Gzip::Taken);
        check(&["br", "gzip; q=1"], Gzip::Taken);
        check(&["gzip;q=0"], Gzip::No);
        check(&["gzip;q=0.0, br"], Gzip::No);
        check(&["gzipped"], Gzip::No);
        check(&[], Gzip::No);
    }
}
