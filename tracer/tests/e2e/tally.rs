//! Holds a fixture's own tally (`tally.h`) against a report: totals, functions and sites must be equal.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tracer::model::snapshot::{CallSite, Frame, Mode, Snapshot, Target as Traced, Verdict};

use crate::compare::{Numbers, numbers_of};
use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, nonzero, number};

/// Where a direct caller is that is not the fixture's own.
const ELSEWHERE: &str = "(elsewhere)";

/// What a fixture says of itself; `tally.h` explains the fields.
#[derive(Debug, Deserialize)]
pub(crate) struct Tally {
    pub(crate) old_freed: u64,
    pub(crate) abandoned: u64,
    pub(crate) sites: Vec<TallySite>,
    /// Exceptions thrown, each of which is a block of the C++ runtime for a while (`entries.h`).
    #[serde(default)]
    pub(crate) exceptions: u64,
    /// Calls of the freeing functions, where the fixture has several (`entries.h`).
    #[serde(default)]
    pub(crate) frees: Vec<TallyFrees>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TallySite {
    pub(crate) site: String,
    pub(crate) function: String,
    /// The names on the stack from the site on, leaf first, between semicolons.
    pub(crate) stack: String,
    pub(crate) alloc_objects: u64,
    pub(crate) alloc_bytes: u64,
    pub(crate) failed: u64,
    pub(crate) attempts: u64,
    pub(crate) attempt_bytes: u64,
    pub(crate) free_objects: u64,
    pub(crate) free_bytes: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TallyFrees {
    pub(crate) function: String,
    pub(crate) calls: u64,
}

impl Tally {
    /// A further number of this case.
    pub(crate) fn more(&self, name: &str) -> u64 {
        number(&serde_json::json!(self.more), name)
    }

    pub(crate) fn sum(&self, of: fn(&TallySite) -> u64) -> u64 {
        self.sites.iter().map(of).sum()
    }
}

impl TallySite {
    /// The site's numbers as this mode has them.
    pub(crate) fn numbers(&self, mode: Mode) -> Numbers {
        match mode {
            Mode::Live => [
                self.alloc_objects,
                self.alloc_bytes,
                self.free_objects,
                self.alloc_objects - self.free_objects,
                self.alloc_bytes - self.free_bytes,
            ]
            .map(Some),
            Mode::Alloc => [Some(self.attempts), Some(self.attempt_bytes), None, None, None],
        }
    }
}

/// Traces one case of a fixture, from its "ready" to its tally; it must live on.
pub(crate) fn traced(program: &str, case: &[&str], options: &[&str]) -> (Snapshot, Tally) {
    let mut target = Target::start(&fixture(program), case);
    let mut tracer = Tracer::attach(target.pid(), options);
    tracer.wait_counting();
    target.go();
    let tally = target.next_json();
    let outcome = tracer.stop();
    assert!(target.alive(), "the target lives on: {}", outcome.stderr);
    (outcome.success(), tally)
}

/// Traces a case in both modes and asserts that every number is the tally's.
pub(crate) fn assert_exact_in_both_modes(program: &str, case: &str) {
    for mode in [Mode::Live, Mode::Alloc] {
        let (snapshot, tally) = traced(program, &[case], &["--mode", &mode.to_string()]);
        assert_exact(&snapshot, &tally, mode);
    }
}

/// Asserts that totals, functions and sites of the first target are the tally's, and that nothing was lost.
pub(crate) fn assert_exact(snapshot: &Snapshot, tally: &Tally, mode: Mode) {
    let wrong = differences(snapshot, &snapshot.targets[0], tally, mode);
    let quality = &snapshot.quality;
    assert!(
        wrong.is_empty(),
        "{mode}: {} numbers are wrong:\n{}\n{quality:?}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!(quality.verdict, Verdict::Exact, "lost: {:?}, {quality:?}", nonzero(&quality.lost));
}

/// Every number that is not the tally's, one line each.
pub(crate) fn differences(snapshot: &Snapshot, target: &Traced, tally: &Tally, mode: Mode) -> Vec<String> {
    assert_eq!(snapshot.mode, mode, "the mode that was asked for: {:?}", snapshot.quality.notes);
    let mut wrong = Vec::new();
    let mut check = |what: String, got: Option<u64>, expected: Option<u64>| {
        if got != expected {
            wrong.push(format!("{what}: got {got:?}, expected {expected:?}"));
        }
    };
    compare_totals(target, tally, mode, &mut check);
    compare_functions(target, tally, mode, &mut check);
    compare_sites(snapshot, target, tally, mode, &mut check);
    let quality = &snapshot.quality;
    let live = |count: u64| (mode == Mode::Live).then_some(count);
    check("frees_unmatched".to_owned(), quality.frees_unmatched, live(tally.old_freed));
    check("pending_unreturned".to_owned(), live(quality.pending_unreturned), live(tally.abandoned));
    wrong
}

fn compare_totals(
    target: &Traced,
    tally: &Tally,
    mode: Mode,
    check: &mut impl FnMut(String, Option<u64>, Option<u64>),
) {
    let totals = &target.totals;
    let got = [
        Some(totals.alloc_objects),
        Some(totals.alloc_bytes),
        totals.free_objects,
        totals.inuse_objects,
        totals.inuse_bytes,
    ];
    let mut expected: Numbers = [None; 5];
    for site in &tally.sites {
        add(&mut expected, &site.numbers(mode));
    }
    if let Some(freed) = &mut expected[2] {
        *freed += tally.old_freed;
    }
    for (index, name) in NAMES.iter().enumerate() {
        check(format!("totals.{name}"), got[index], expected[index]);
    }
    let freed_bytes = tally.sum(|site| site.free_bytes);
    check("totals.free_bytes".to_owned(), totals.free_bytes, (mode == Mode::Live).then_some(freed_bytes));
    let in_histogram = totals.size_histogram.iter().map(|bucket| bucket.count).sum();
    check("size_histogram".to_owned(), Some(in_histogram), got[0]);
}

/// Two names of one address are one function to the tracer, so the tally is added up by its aliases.
fn compare_functions(
    target: &Traced,
    tally: &Tally,
    mode: Mode,
    check: &mut impl FnMut(String, Option<u64>, Option<u64>),
) {
    let probes: Vec<_> = target.allocators.iter().flat_map(|allocator| &allocator.probes).collect();
    let counted_under = |name: &str| {
        let by_name = probes.iter().find(|probe| probe.function == name);
        let by_alias = || probes.iter().find(|probe| probe.aliases.iter().any(|alias| alias == name));
        let probe = by_name.or_else(by_alias);
        probe.map_or_else(|| panic!("no probe on {name}: {probes:?}"), |probe| probe.function.clone())
    };
    let mut expected: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for site in &tally.sites {
        let numbers = match mode {
            Mode::Live => [site.alloc_objects, site.alloc_bytes, site.failed],
            Mode::Alloc => [site.attempts, site.attempt_bytes, 0],
        };
        let sums = expected.entry(counted_under(&site.function)).or_default();
        for (sum, number) in sums.iter_mut().zip(numbers) {
            *sum += number;
        }
    }
    for (name, got) in &target.totals.by_function {
        if name.starts_with("free") || name.starts_with("cfree") {
            continue;
        }
        let [calls, bytes, failed] = expected.remove(name).unwrap_or_default();
        check(format!("{name}.calls"), Some(got.calls), Some(calls));
        check(format!("{name}.bytes"), Some(got.bytes), Some(bytes));
        check(format!("{name}.failed"), got.failed, (mode == Mode::Live).then_some(failed));
    }
    for (name, [calls, ..]) in expected {
        check(format!("{name}, which the report does not have"), None, Some(calls));
    }
}

fn compare_sites(
    snapshot: &Snapshot,
    target: &Traced,
    tally: &Tally,
    mode: Mode,
    check: &mut impl FnMut(String, Option<u64>, Option<u64>),
) {
    let mut expected: BTreeMap<&str, Numbers> = BTreeMap::new();
    for site in &tally.sites {
        add(expected.entry(&site.site).or_default(), &site.numbers(mode));
    }
    // In mode `live` a site that only failed has no record.
    expected.retain(|_, numbers| numbers[0] > Some(0));
    let mut got: BTreeMap<&str, Numbers> = BTreeMap::new();
    for site in snapshot.sites.iter().filter(|site| site.pid == target.pid) {
        add(got.entry(site_name(site, target)).or_default(), &numbers_of(site));
    }
    for (name, numbers) in &expected {
        let seen = got.remove(name).unwrap_or_default();
        for (index, field) in NAMES.iter().enumerate() {
            check(format!("{name} {field}"), seen[index], numbers[index]);
        }
    }
    for (name, numbers) in got.iter().filter(|(_, numbers)| numbers[0] > Some(0)) {
        check(format!("{name}, which does not allocate, {numbers:?}"), numbers[0], None);
    }
}

/// The fixture's function that called the allocator, or that somebody else did.
fn site_name<'a>(site: &'a CallSite, target: &Traced) -> &'a str {
    let own = |frame: &&Arc<Frame>| frame.module.as_deref() == Some(&target.exe);
    let name = site.frames.first().filter(own).and_then(|frame| frame.function.as_deref());
    name.unwrap_or(ELSEWHERE)
}

/// The fields of [`Numbers`].
const NAMES: [&str; 5] = ["alloc_objects", "alloc_bytes", "free_objects", "inuse_objects", "inuse_bytes"];

fn add(to: &mut Numbers, from: &Numbers) {
    for (sum, number) in to.iter_mut().zip(from) {
        *sum = number.map(|number| sum.unwrap_or(0) + number).or(*sum);
    }
}
