//! Processes with more than one malloc.

use std::process::Command;

use tracer::model::snapshot::Verdict;

use crate::fixtures::{fixture, library};
use crate::harness::{Tracer, kernel_or_skip};

/// Check that a preloaded malloc is counted beside libc's, which nobody calls then, and that each has its own totals.
#[test]
fn second_malloc_in_the_process_has_its_own_totals() {
    if !kernel_or_skip("second_malloc_in_the_process_has_its_own_totals") {
        return;
    }
    let rival = library("rival_malloc");
    let preload = format!("LD_PRELOAD={}", rival.display());
    let arguments =
        [preload.as_str(), fixture("echoes").to_str().expect("a plain path"), "exit", "0"].map(str::to_owned);
    assert!(Command::new("env").args(&arguments).status().is_ok_and(|status| status.success()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let snapshot = Tracer::run(&[], std::path::Path::new("env"), &arguments).wait().success();
    assert_eq!(snapshot.quality.verdict, Verdict::Exact, "{:?}", snapshot.quality);
    let target = &snapshot.targets[0];
    let of = |object: &str| {
        let allocator = target.allocators.iter().find(|allocator| allocator.object.contains(object));
        let allocator = allocator.unwrap_or_else(|| panic!("no {object} in {:?}", target.allocators));
        (allocator.name.as_str(), allocator.totals.clone().expect("a report has them").alloc_objects)
    };
    let (name, objects) = of("rival_malloc");
    assert_eq!(name, "unknown");
    assert!(objects > 0, "{target:?}");
    // `env` itself ran on libc before it executed the program.
    assert_eq!(objects + of("libc.so").1, target.totals.alloc_objects);
}
