//! The token that a request must bear.

use std::path::Path;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

use super::reread::Reread;
use crate::serve::ServeError;

/// A token in a file.
pub(super) struct Token(Reread<Arc<str>>);

impl Token {
    pub(super) fn new(path: &Path) -> Result<Self, ServeError> {
        let paths = vec![path.to_owned()];
        let path = path.to_owned();
        Reread::new(paths, move || read(&path)).map(Self)
    }

    /// Whether a request bears it. How long the answer takes does not depend on how much of it is right.
    pub(super) fn is_borne(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(AUTHORIZATION) else { return false };
        let Some((scheme, token)) = value.as_bytes().split_at_checked("Bearer ".len()) else { return false };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(token.ct_eq(self.0.get().as_bytes()))
    }
}

fn read(path: &Path) -> Result<Arc<str>, ServeError> {
    let failed = |reason: String| ServeError::File { path: path.to_owned(), reason };
    let text =
        std::fs::read_to_string(path).map_err(|error| failed(format!("{error}: it must hold the token")))?;
    match text.trim() {
        "" => Err(failed("it is empty: write the token into it".to_owned())),
        token => Ok(token.into()),
    }
}
