//! The JSON document: the snapshot itself, every site, with the field names of the contract.

use std::io::{self, Read, Write};

use serde::Deserialize;
use serde_json::Value;

use crate::model::snapshot::{SCHEMA, Snapshot};
use crate::view::read::ReadError;

/// What every version of the document has.
#[derive(Deserialize)]
struct Head {
    schema: Option<Value>,
}

/// Writes the document, indented, with a newline at the end.
///
/// # Errors
/// Only those of the writer.
pub fn write(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, snapshot)?;
    writeln!(out)
}

/// Reads a document back.
///
/// # Errors
/// When it is no JSON, of another schema, or lacks a field.
pub fn read(input: &mut dyn Read) -> Result<Snapshot, ReadError> {
    let mut text = Vec::new();
    input.read_to_end(&mut text)?;
    // The schema first: a field that is missing in another version is not the reader's first question.
    match serde_json::from_slice::<Head>(&text)?.schema {
        Some(Value::String(schema)) if schema == SCHEMA => {
            let mut snapshot: Snapshot = serde_json::from_slice(&text)?;
            snapshot.number_sites();
            Ok(snapshot)
        }
        Some(found) => Err(ReadError::Schema { found: found.to_string() }),
        None => Err(ReadError::Schema { found: "missing".to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn document_reads_back_as_the_same_snapshot() {
        for snapshot in
            [sample::sample(), sample::two_targets(), sample::alloc_mode(), sample::sampled(), sample::cgo()]
        {
            let mut text = Vec::new();
            write(&snapshot, &mut text).unwrap();
            assert!(text.ends_with(b"}\n"));
            assert_eq!(read(&mut text.as_slice()).unwrap(), snapshot);
        }
    }

    #[test]
    fn what_a_runtime_says_is_in_the_document_and_older_ones_open_without_it() {
        let mut text = Vec::new();
        write(&sample::go(), &mut text).unwrap();
        let mut document: Value = serde_json::from_slice(&text).unwrap();
        let target = &mut document["targets"][0];
        assert_eq!(target["gc"]["forced_cycles"], 2);
        let allocator = &mut target["allocators"][0];
        assert_eq!(
            (&allocator["source"], &allocator["sample_bytes"]),
            (&"runtime".into(), &(512 << 10).into())
        );
        for key in ["sample_bytes", "profile_age_seconds", "lag_bytes"] {
            assert!(allocator.as_object_mut().unwrap().remove(key).is_some(), "{key}");
        }
        assert!(target.as_object_mut().unwrap().remove("gc").is_some());
        let old = read(&mut document.to_string().as_bytes()).unwrap();
        assert_eq!((&old.targets[0].gc, old.targets[0].allocators[0].lag_bytes), (&None, None));
    }

    #[test]
    fn sites_without_sensible_numbers_get_some() {
        let check = |ids: [u32; 4], expect: [u32; 4]| {
            let mut snapshot = sample::two_targets();
            for (site, id) in snapshot.sites.iter_mut().zip(ids) {
                site.id = id;
            }
            let mut text = Vec::new();
            write(&snapshot, &mut text).unwrap();
            let read = read(&mut text.as_slice()).unwrap();
            assert_eq!(read.sites.iter().map(|site| site.id).collect::<Vec<_>>(), expect, "{ids:?}");
        };
        check([3, 9, 700, 1], [3, 9, 700, 1]);
        check([0, 0, 0, 0], [0, 1, 2, 3]);
        check([7, 7, 7, 8], [0, 1, 2, 3]);
        check([0, 1, 2, u32::MAX], [0, 1, 2, 3]);
    }

    #[test]
    fn other_documents_are_refused_with_the_reason() {
        let check = |text: &str, expect: &str| {
            let message = read(&mut text.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(expect), "{text}: {message}");
        };
        for (text, expect) in [
            ("", "not a tracer JSON document"),
            ("{\"schema\": \"tracer/9\"}", "the schema is \"tracer/9\", this tracer reads \"tracer/1\""),
            ("{}", "the schema is missing"),
            ("{\"schema\": \"tracer/1\"}", "missing field"),
        ] {
            check(text, expect);
        }
    }
}
