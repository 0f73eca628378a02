//! Opens a saved profile, JSON or pprof, or says what is wrong, why, and what to do.

use crate::model::snapshot::{SCHEMA, Snapshot};
use crate::view::{json, pprof};

/// A saved profile could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes ended or could not be had.
    #[error("failed to read the profile: {0}")]
    Io(#[from] std::io::Error),
    /// Not the JSON document.
    #[error("not a tracer JSON document: {0}; write one with `tracer attach --pid PID -o FILE.json`")]
    Json(#[from] serde_json::Error),
    /// JSON of another program or of another version.
    #[error("the schema is {found}, this tracer reads \"{SCHEMA}\": open it with the tracer that wrote it")]
    Schema {
        /// What the document says.
        found: String,
    },
    /// Not a protobuf.
    #[error("not a pprof profile: {0}; the file may be cut short: write it again")]
    Protobuf(#[from] prost::DecodeError),
    /// A profile with other sample types, for example of CPU time.
    #[error(
        "not a heap profile that tracer can open: it lacks the sample types {missing}, it has {found}; take a heap profile"
    )]
    SampleTypes {
        /// What tracer needs.
        missing: String,
        /// What is there.
        found: String,
    },
    /// A profile that contradicts itself.
    #[error("the profile is damaged: {0}; write it again")]
    Damaged(String),
}

/// Opens a saved profile of either kind; the bytes decide, not the name.
///
/// # Errors
/// As [`crate::view::json::read`] and [`crate::view::pprof::read`].
pub fn open(bytes: &[u8]) -> Result<Snapshot, ReadError> {
    match bytes.trim_ascii_start().first() {
        Some(b'{') => json::read(&mut &*bytes),
        Some(_) => pprof::read(bytes),
        None => Err(ReadError::Damaged("the file is empty".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn bytes_decide_how_a_file_is_opened() {
        let snapshot = sample::sample();
        let (mut text, mut profile) = (Vec::new(), Vec::new());
        json::write(&snapshot, &mut text).unwrap();
        pprof::write(&snapshot, &mut profile).unwrap();
        assert_eq!(open(&text).unwrap(), snapshot);
        assert_eq!(open(&profile).unwrap().sites.len(), snapshot.sites.len());
        assert!(open(b"").unwrap_err().to_string().contains("empty"));
        assert!(open(b"PK\x03\x04 something else").is_err());
    }
}
