//! `compare`: two releases of saved profiles, of a daemon that a fake loop stands behind, and what cannot be compared.

mod labels;
mod requests;
mod runs;
mod screen;
mod verdicts;
mod views;
mod wrong_input;

use std::ffi::OsStr;
use std::path::Path;

use serde_json::Value;

use crate::{Outcome, tracer};

/// Compares, with these options too.
fn compare(base: impl AsRef<OsStr>, canary: impl AsRef<OsStr>, options: &[&str]) -> Outcome {
    let args = [OsStr::new("compare"), base.as_ref(), canary.as_ref()];
    tracer(args.into_iter().chain(options.iter().map(OsStr::new)))
}

/// The document of a comparison, whatever the verdict.
#[track_caller]
fn document(base: &Path, canary: &Path, options: &[&str]) -> (Value, Option<i32>) {
    let options: Vec<&str> = options.iter().chain(&["--format", "json"]).copied().collect();
    let outcome = compare(base, canary, &options);
    let document =
        serde_json::from_slice(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {}", outcome.stderr));
    (document, outcome.code)
}

/// That a comparison ends like that, with a message that says so, and with nothing on stdout.
#[track_caller]
fn refused(outcome: &Outcome, code: i32, parts: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
    for part in parts {
        assert!(outcome.stderr.contains(part), "{part} in {}", outcome.stderr);
    }
    assert_eq!(outcome.text(), "");
}
