//! A report against a program that counts itself, whichever functions it called, and whatever calls them too.
//!
//! Totals and functions are equal to the program's own count. What the C++ runtime takes for exceptions is known
//! by number; under `run` the runtime's start is seen too, which is a few blocks with call sites of their own.

use std::collections::{BTreeMap, BTreeSet};

use tracer::model::snapshot::{CallSite, FunctionTotals, Mode, Snapshot, Target as Traced, Verdict};

use super::cell::{Setting, Sites, Way};
use crate::compare::{Numbers, numbers_of};
use crate::harness::nonzero;
use crate::tally::{Tally, TallySite};

/// Blocks that the loader, libc, the allocator itself and the C++ or Rust runtime take before `main`, and for threads,
/// at most.
const RUNTIME_BLOCKS: u64 = 40;
/// Frames from a site to the allocator that a language puts between them.
const SHIMS: usize = 3;

/// The functions of the C++ runtime that call malloc for a program.
const LIBRARY_CALLERS: [&str; 2] = ["operator new", "__cxa_allocate_exception"];

/// What was expected or seen of a group of names that are one function.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    calls: u64,
    bytes: u64,
    failed: u64,
}

/// Lines that say what is wrong.
struct Findings(Vec<String>);

impl Findings {
    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, got: T, expected: T) {
        if got != expected {
            self.0.push(format!("{what}: got {got:?}, expected {expected:?}"));
        }
    }

    fn within(&mut self, what: &str, got: u64, low: u64, high: u64) {
        if got < low || got > high {
            self.0.push(format!("{what}: got {got}, expected {low} to {high}"));
        }
    }
}

/// Everything in a report that is not what the program counted, one line each.
pub(super) fn differences(
    snapshot: &Snapshot,
    tally: &Tally,
    setting: Setting,
    way: Way,
    sites: Sites,
    program: &str,
) -> Vec<String> {
    let mut findings = Findings(Vec::new());
    let Some(target) = snapshot.targets.first() else { return vec!["the report has no target".to_owned()] };
    findings.equal("mode", snapshot.mode, setting.mode());
    let verdict = if setting == Setting::Sampled { Verdict::Sampled } else { Verdict::Exact };
    let quality = &snapshot.quality;
    findings.equal("verdict", quality.verdict, verdict);
    findings.equal("lost", nonzero(&quality.lost), BTreeMap::new());
    findings.equal("attach_failures", &quality.attach_failures, &BTreeMap::new());
    let beside = functions(target, quality.pending_unreturned, tally, setting, way, &mut findings);
    totals(target, tally, setting, way, beside, &mut findings);
    if setting == Setting::Live && way == Way::Attach {
        findings.equal("frees_unmatched", quality.frees_unmatched, Some(tally.old_freed));
    }
    if setting != Setting::Sampled {
        call_sites(snapshot, tally, setting, sites, program, beside, &mut findings);
    }
    findings.0
}

/// Names that share an address, as the report says: sets that have no name in common, each by one of its names.
fn groups(target: &Traced) -> Vec<(&str, BTreeSet<&str>)> {
    let mut groups: Vec<(&str, BTreeSet<&str>)> = Vec::new();
    for probe in target.allocators.iter().flat_map(|allocator| &allocator.probes) {
        let mut names: BTreeSet<&str> = probe.aliases.iter().map(String::as_str).collect();
        names.insert(&probe.function);
        let (same, others): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|(_, group)| !group.is_disjoint(&names));
        names.extend(same.into_iter().flat_map(|(_, group)| group));
        groups = others;
        groups.push((&probe.function, names));
    }
    groups
}

fn frees(name: &str) -> bool {
    ["free", "dalloc", "_Zd", "delete"].iter().any(|word| name.contains(word))
}

/// Compares every function; the calls and bytes that are not the program's own.
fn functions(
    target: &Traced,
    pending: u64,
    tally: &Tally,
    setting: Setting,
    way: Way,
    findings: &mut Findings,
) -> Sums {
    let groups = groups(target);
    let key = |name: &str| {
        let group = groups.iter().find(|(_, group)| group.contains(name));
        group.map_or(name, |(first, _)| first).to_owned()
    };
    let mut expected: BTreeMap<String, Sums> = BTreeMap::new();
    for site in &tally.sites {
        let sums = expected.entry(key(&site.function)).or_default();
        let own = of_site(site, setting);
        *sums = Sums {
            calls: sums.calls + own.calls,
            bytes: sums.bytes + own.bytes,
            failed: sums.failed + own.failed,
        };
    }
    if setting.mode() == Mode::Live {
        for freed in &tally.frees {
            expected.entry(key(&freed.function)).or_default().calls += freed.calls;
        }
    }
    let mut got: BTreeMap<String, Sums> = BTreeMap::new();
    for (name, totals) in &target.totals.by_function {
        let FunctionTotals { calls, bytes, failed } = *totals;
        let sums = got.entry(key(name)).or_default();
        let failed = failed.unwrap_or(0);
        *sums = Sums { calls: sums.calls + calls, bytes: sums.bytes + bytes, failed: sums.failed + failed };
    }
    let mut beside = Sums::default();
    let (mut frees_beside, mut not_failed) = (0, 0);
    for name in expected.keys().chain(got.keys()).collect::<BTreeSet<_>>() {
        let (seen, own) =
            (got.get(name).copied().unwrap_or_default(), expected.get(name).copied().unwrap_or_default());
        let is_free = frees(name);
        if seen.calls < own.calls || !is_free && seen.bytes < own.bytes || seen.failed > own.failed {
            findings.equal(&format!("by_function of {name}"), seen, own);
            continue;
        }
        not_failed += own.failed - seen.failed;
        if is_free {
            frees_beside += seen.calls - own.calls;
        } else {
            beside.calls += seen.calls - own.calls;
            beside.bytes += seen.bytes - own.bytes;
            if seen.calls == own.calls {
                findings.equal(&format!("bytes of {name}"), seen.bytes, own.bytes);
            }
        }
    }
    let more = if way == Way::Run { RUNTIME_BLOCKS } else { 0 };
    let exceptions = tally.exceptions;
    findings.within("calls beside the program's own", beside.calls, exceptions, exceptions + more);
    if setting.mode() == Mode::Live {
        findings.within("frees beside the program's own", frees_beside, exceptions, exceptions + more);
        // A function that throws does not return, nor does one that it is called by.
        findings.within(
            "calls that did not return",
            pending,
            tally.abandoned + not_failed,
            tally.abandoned + exceptions,
        );
    }
    beside
}

fn of_site(site: &TallySite, setting: Setting) -> Sums {
    match setting {
        Setting::Live => Sums { calls: site.alloc_objects, bytes: site.alloc_bytes, failed: site.failed },
        Setting::Alloc => Sums { calls: site.attempts, bytes: site.attempt_bytes, failed: 0 },
        Setting::Sampled => Sums { calls: site.attempts, bytes: site.attempt_bytes, failed: site.failed },
    }
}

fn totals(target: &Traced, tally: &Tally, setting: Setting, way: Way, beside: Sums, findings: &mut Findings) {
    let totals = &target.totals;
    let sums = tally.sites.iter().map(|site| of_site(site, setting));
    let (calls, bytes) = sums.fold((0, 0), |(calls, bytes), one| (calls + one.calls, bytes + one.bytes));
    findings.equal("alloc_objects", totals.alloc_objects, calls + beside.calls);
    findings.equal("alloc_bytes", totals.alloc_bytes, bytes + beside.bytes);
    let in_histogram: u64 = totals.size_histogram.iter().map(|bucket| bucket.count).sum();
    findings.equal("size_histogram", in_histogram, totals.alloc_objects);
    if setting == Setting::Alloc {
        findings.equal("free_objects", totals.free_objects, None);
        return;
    }
    let own_frees = tally.sum(|site| site.free_objects) + tally.old_freed + tally.exceptions;
    let more = if way == Way::Run { RUNTIME_BLOCKS } else { 0 };
    findings.within("free_objects", totals.free_objects.unwrap_or(0), own_frees, own_frees + more);
    if setting == Setting::Sampled {
        return;
    }
    let objects = calls + beside.calls - totals.free_objects.unwrap_or(0);
    findings.equal("inuse_objects", totals.inuse_objects, Some(objects));
    let own = tally.sum(|site| site.alloc_bytes) - tally.sum(|site| site.free_bytes);
    let more = if way == Way::Run { beside.bytes } else { 0 };
    findings.within("inuse_bytes", totals.inuse_bytes.unwrap_or(0), own, own + more);
    findings.equal(
        "free_bytes",
        totals.free_bytes.map(|freed| freed + totals.inuse_bytes.unwrap_or(0)),
        Some(totals.alloc_bytes),
    );
}

fn call_sites(
    snapshot: &Snapshot,
    tally: &Tally,
    setting: Setting,
    sites: Sites,
    program: &str,
    beside: Sums,
    findings: &mut Findings,
) {
    let sum: u64 = snapshot.sites.iter().map(|site| site.alloc_objects).sum();
    findings.equal("alloc_objects of all sites", sum, snapshot.targets[0].totals.alloc_objects);
    if sites == Sites::OfLibrary {
        let of_library = |site: &&CallSite| {
            named(site).is_some_and(|name| LIBRARY_CALLERS.iter().any(|caller| name.starts_with(caller)))
        };
        let others = snapshot.sites.iter().filter(|site| !of_library(site));
        let others: u64 = others.map(|site| site.alloc_objects).sum();
        findings.within("alloc_objects of other sites", others, 0, beside.calls - tally.exceptions);
        return;
    }
    let mut expected: BTreeMap<&str, Numbers> = BTreeMap::new();
    for site in &tally.sites {
        expected.insert(&site.site, site.numbers(setting.mode()));
    }
    let depth = if sites == Sites::Direct { 1 } else { SHIMS + 1 };
    let mut got: BTreeMap<&str, Numbers> = BTreeMap::new();
    let mut others = Vec::new();
    for site in &snapshot.sites {
        let own = site.frames.iter().take(depth).filter(|frame| frame.module.as_deref() == Some(program));
        let name = own.filter_map(|frame| frame.function.as_deref()).find(|name| expected.contains_key(name));
        match name {
            Some(name) => add(got.entry(name).or_default(), &numbers_of(site)),
            None => others.push(site),
        }
    }
    expected.retain(|_, numbers| numbers[0] > Some(0));
    let mut hidden = 0;
    for (name, numbers) in &expected {
        match got.get(name) {
            None if sites == Sites::BehindShims => hidden += numbers[0].unwrap_or(0),
            seen => findings.equal(&format!("site {name}"), seen.copied().unwrap_or_default(), *numbers),
        }
    }
    let elsewhere: u64 = others.iter().map(|site| site.alloc_objects).sum();
    if elsewhere != beside.calls + hidden {
        let mut names: BTreeMap<Option<&str>, u64> = BTreeMap::new();
        for site in others {
            *names.entry(named(site)).or_default() += site.alloc_objects;
        }
        findings.equal(&format!("alloc_objects of other sites, {names:?}"), elsewhere, beside.calls + hidden);
    }
}

fn named(site: &CallSite) -> Option<&str> {
    site.frames.first().and_then(|frame| frame.function.as_deref())
}

fn add(to: &mut Numbers, from: &Numbers) {
    for (sum, number) in to.iter_mut().zip(from) {
        *sum = number.map(|number| sum.unwrap_or(0) + number).or(*sum);
    }
}
