//! The document of a comparison as JSON, and back.

use std::io::{self, Write};

use serde::Deserialize;

use crate::canary::{Comparison, SCHEMA};
use crate::view::read::ReadError;

/// What every version of the document has.
#[derive(Deserialize)]
struct Head {
    schema: String,
}

/// Writes the document, indented, with a newline at the end.
///
/// # Errors
/// Only those of the writer.
pub fn write(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, comparison)?;
    writeln!(out)
}

/// Whether a file is a comparison of any version, and no profile.
#[must_use]
pub fn is_one(bytes: &[u8]) -> bool {
    let family = SCHEMA.split('/').next().unwrap_or(SCHEMA);
    serde_json::from_slice::<Head>(bytes).is_ok_and(|head| head.schema.split('/').next() == Some(family))
}

/// Reads a document back.
///
/// # Errors
/// When it is no JSON, of another version, or lacks a field.
pub fn read(bytes: &[u8]) -> Result<Comparison, ReadError> {
    let found = serde_json::from_slice::<Head>(bytes)?.schema;
    if found != SCHEMA {
        return Err(ReadError::Damaged(format!("the schema is {found:?}, this tracer reads {SCHEMA:?}")));
    }
    Ok(serde_json::from_slice(bytes)?)
}
