//! Tracer's report against what the workload says that it did.

use tracer::mode::Mode;
use tracer::model::snapshot::Snapshot;

use crate::workload::Measured;

/// Call stacks of the workload, whatever its threads; each has more calls than the deeper number says.
const STACKS: u64 = 16;
const CALLS: usize = 16;

/// Every number that is not the workload's; empty if the report is right.
pub(crate) fn differences(report: &Snapshot, truth: Measured) -> Vec<String> {
    let mut found = Vec::new();
    let mut expect = |what: &str, is: Option<u64>, should: u64| {
        if is != Some(should) {
            found.push(format!("{what} is {is:?}, not {should}"));
        }
    };
    let totals = report.targets.first().map(|target| &target.totals);
    let function = |name: &str| totals.and_then(|totals| totals.by_function.get(name));
    expect("malloc calls", function("malloc").map(|malloc| malloc.calls), truth.pairs);
    expect("malloc bytes", function("malloc").map(|malloc| malloc.bytes), truth.bytes);
    expect("alloc_objects", totals.map(|totals| totals.alloc_objects), truth.pairs);
    expect("alloc_bytes", totals.map(|totals| totals.alloc_bytes), truth.bytes);
    expect(
        "alloc_objects of all sites",
        Some(report.sites.iter().map(|s| s.alloc_objects).sum()),
        truth.pairs,
    );
    expect("sites", Some(report.sites.len() as u64), STACKS);
    let deep = report.sites.iter().filter(|site| site.frames.len() >= CALLS).count();
    expect("sites with all their calls", Some(deep as u64), STACKS);
    expect("lost", Some(report.quality.lost.values().sum()), 0);
    if report.mode == Mode::Live {
        expect("free calls", function("free").map(|free| free.calls), truth.pairs);
        expect("free_bytes", totals.and_then(|totals| totals.free_bytes), truth.bytes);
        expect("inuse_objects", totals.and_then(|totals| totals.inuse_objects), 0);
        expect("frees_unmatched", report.quality.frees_unmatched, 0);
    }
    found
}
