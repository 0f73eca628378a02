//! Real stacks of Go, as `fixtures/advise/patterns.go` printed them.

use tracer::model::snapshot::{CallSite, Snapshot};

use super::{frame_of, site, snapshot};

/// Versions whose stacks are kept: the first and the last one with buckets, the first and the newest with Swiss tables.
pub(super) const VERSIONS: [&str; 4] = ["1.19", "1.23", "1.24", "1.27"];

/// Call sites out of the lines that the program prints.
pub(crate) fn sites(text: &str) -> Vec<CallSite> {
    let one = |line: &str| {
        let mut parts = line.split('\t');
        let numbers: Vec<u64> = parts
            .next()
            .unwrap_or_default()
            .split(' ')
            .map(|number| number.parse().expect("a line of numbers and frames"))
            .collect();
        let frames = parts.map(frame_of).collect();
        let (objects, bytes, kept, kept_bytes) = (numbers[0], numbers[1], numbers[2], numbers[3]);
        CallSite { alloc_bytes: bytes, inuse_bytes: Some(kept_bytes), frames, ..site(&[], objects, 0, kept) }
    };
    text.lines().map(one).collect()
}

/// All call sites of a version.
pub(super) fn all(version: &str) -> Vec<CallSite> {
    let path = crate::data(&format!("go-stacks-{version}.txt"));
    sites(&std::fs::read_to_string(path).expect("the stacks are kept beside the tests"))
}

/// Only the call sites below these functions, as if there were no others, at a high rate.
pub(super) fn only(version: &str, functions: &[&str]) -> Snapshot {
    let is_wanted = |site: &CallSite| {
        site.frames
            .iter()
            .any(|frame| frame.function.as_deref().is_some_and(|name| functions.contains(&name)))
    };
    let sites: Vec<CallSite> = all(version).into_iter().filter(is_wanted).collect();
    assert!(!sites.is_empty(), "{version} has stacks below {functions:?}");
    snapshot(sites, 0.01)
}
