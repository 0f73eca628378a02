//! Processes with more than one malloc.

use std::process::Command;

use tracer::model::snapshot::Verdict;

use crate::fixtures::{fixture, library};
use crate::harness::{Tracer, kernel_or_skip};

/// Check that what goes through a malloc that is not traced makes the verdict lossy, and is named.
#[test]
fn second_malloc_in_the_process_is_named_and_makes_the_report_lossy() {
    if !kernel_or_skip("second_malloc_in_the_process_is_named_and_makes_the_report_lossy") {
        return;
    }
    let rival = library("rival_malloc");
    let preload = format!("LD_PRELOAD={}", rival.display());
    let arguments =
        [preload.as_str(), fixture("echoes").to_str().expect("a plain path"), "exit", "0"].map(str::to_owned);
    assert!(Command::new("env").args(&arguments).status().is_ok_and(|status| status.success()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let snapshot = Tracer::run(&[], std::path::Path::new("env"), &arguments).wait().success();
    let named = snapshot.quality.attach_failures.keys().any(|reason| reason.contains("rival_malloc"));
    assert!(named, "{:?}", snapshot.quality);
    assert_eq!(snapshot.quality.verdict, Verdict::Lossy);
}
