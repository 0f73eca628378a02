//! What all connections share: options, places, and what is kept between requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use tokio::sync::Semaphore;

use super::HttpOptions;
use super::deltas::Deltas;
use super::tls::Tls;
use super::token::Token;
use crate::serve::ServeError;
use crate::serve::shared::{Refusal, Shared};

/// Profiles, pictures and documents that are encoded at a time: each may take a CPU and much memory.
pub(super) const HEAVY_PLACES: usize = 2;
/// Requests that are answered beside `max_requests`, if they are of those that must always be answered.
const RESERVED_PLACES: usize = 8;

/// What all connections share.
pub(super) struct App {
    pub(super) options: HttpOptions,
    pub(super) local_addr: SocketAddr,
    pub(super) shared: Arc<Shared>,
    pub(super) tls: Option<Tls>,
    pub(super) token: Option<Token>,
    /// Of requests.
    pub(super) places: Arc<Semaphore>,
    /// Of requests that must always be answered.
    pub(super) reserved: Arc<Semaphore>,
    /// Of encodes.
    pub(super) heavy: Arc<Semaphore>,
    /// Of metrics: no profile can stand before them.
    pub(super) light: Arc<Semaphore>,
    pub(super) deltas: Deltas,
}

impl App {
    pub(super) fn new(
        options: HttpOptions,
        local_addr: SocketAddr,
        shared: Arc<Shared>,
    ) -> Result<Self, ServeError> {
        let tls = options.tls.as_ref().map(|(certificates, key)| Tls::new(certificates, key)).transpose()?;
        let token = options.token_file.as_deref().map(Token::new).transpose()?;
        Ok(Self {
            local_addr,
            shared,
            tls,
            token,
            places: Arc::new(Semaphore::new(options.max_requests.clamp(1, Semaphore::MAX_PERMITS))),
            reserved: Arc::new(Semaphore::new(RESERVED_PLACES)),
            heavy: Arc::new(Semaphore::new(HEAVY_PLACES)),
            light: Arc::new(Semaphore::new(1)),
            deltas: Deltas::default(),
            options,
        })
    }

    pub(super) fn count(&self, reason: Refusal) {
        self.shared.refused.count(reason);
    }

    /// Counts a refusal and says why.
    pub(super) fn refuse(&self, reason: Refusal, sentence: &str) -> Response<Body> {
        self.count(reason);
        let (status, header) = match reason {
            Refusal::Connections | Refusal::Busy | Refusal::Timeout => {
                (StatusCode::SERVICE_UNAVAILABLE, Some((RETRY_AFTER, "1")))
            }
            Refusal::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, None),
            Refusal::Malformed => (StatusCode::BAD_REQUEST, None),
            Refusal::Unauthorized => (StatusCode::UNAUTHORIZED, Some((WWW_AUTHENTICATE, "Bearer"))),
            Refusal::Method => (StatusCode::METHOD_NOT_ALLOWED, Some((ALLOW, "GET, HEAD"))),
        };
        let mut response = text(status, sentence);
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    /// How long an encode may wait for a place: a tenth of the time is left for the answer itself.
    pub(super) fn patience(&self) -> Duration {
        self.options.timeout * 9 / 10
    }
}

/// A sentence as an answer.
pub(super) fn text(status: StatusCode, sentence: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{sentence}\n")));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
