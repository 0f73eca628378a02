//! Tracer's report against what the workload says that it did.

use tracer::mode::Mode;
use tracer::model::snapshot::Snapshot;

use crate::setting::Setting;
use crate::workload::Shape;

/// What the workload did while tracer counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Truth {
    /// Pairs of malloc and free.
    pub(crate) pairs: u64,
    /// What they allocated.
    pub(crate) bytes: u64,
    /// On which stacks; all of them were met.
    pub(crate) shape: Shape,
}

/// Every number that is not the workload's; empty if the report is right.
///
/// What a sampled report estimates has no truth to be held against; its counts have.
pub(crate) fn differences(report: &Snapshot, setting: Setting, truth: Truth) -> Vec<String> {
    let mut found = Vec::new();
    let mut expect = |what: &str, is: Option<u64>, should: u64| {
        if is != Some(should) {
            let is = is.map_or("not there".to_owned(), |is| is.to_string());
            found.push(format!("{what} is {is}, not {should}"));
        }
    };
    let totals = report.targets.first().map(|target| &target.totals);
    let function = |name: &str| totals.and_then(|totals| totals.by_function.get(name));
    expect("malloc calls", function("malloc").map(|malloc| malloc.calls), truth.pairs);
    expect("malloc bytes", function("malloc").map(|malloc| malloc.bytes), truth.bytes);
    expect("alloc_objects", totals.map(|totals| totals.alloc_objects), truth.pairs);
    expect("alloc_bytes", totals.map(|totals| totals.alloc_bytes), truth.bytes);
    expect("lost", Some(report.quality.lost.values().sum()), 0);
    if setting.mode == Mode::Live {
        expect("free calls", function("free").map(|free| free.calls), truth.pairs);
        expect("inuse_objects", totals.and_then(|totals| totals.inuse_objects), 0);
    }
    if setting.is_sampled {
        return found;
    }
    let stacks = u64::from(truth.shape.stacks);
    let on_sites = report.sites.iter().map(|site| site.alloc_objects).sum();
    expect("alloc_objects of all sites", Some(on_sites), truth.pairs);
    expect("sites", Some(report.sites.len() as u64), stacks);
    let is_deep = |frames: usize| frames as u64 >= u64::from(truth.shape.depth);
    let deep = report.sites.iter().filter(|site| is_deep(site.frames.len())).count();
    expect("sites with all their calls", Some(deep as u64), stacks);
    if setting.mode == Mode::Live {
        expect("free_bytes", totals.and_then(|totals| totals.free_bytes), truth.bytes);
        expect("frees_unmatched", report.quality.frees_unmatched, 0);
    }
    found
}
