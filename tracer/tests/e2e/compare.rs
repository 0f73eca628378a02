//! Holds a fixture's truth against a report and lists every difference.

use std::collections::BTreeMap;

use serde::Deserialize;
use tracer::model::snapshot::{CallSite, Frame, Mode, Snapshot, Target, Verdict};

use crate::harness::nonzero;

/// Hops below a site in `truth.c`.
const HOPS: usize = 8;

/// What `truth.c` says of itself; its header comment explains the fields.
#[derive(Debug, Deserialize)]
pub(crate) struct Truth {
    pub(crate) live: LiveTotals,
    pub(crate) attempts: Attempts,
    pub(crate) old_objects: u64,
    pub(crate) old_bytes: u64,
    pub(crate) old_freed: u64,
    pub(crate) realloc_moved: u64,
    pub(crate) realloc_in_place: u64,
    pub(crate) freed_by_another: u64,
    pub(crate) by_function: BTreeMap<String, TrueFunction>,
    pub(crate) sites: Vec<TrueSite>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct LiveTotals {
    pub(crate) alloc_objects: u64,
    pub(crate) alloc_bytes: u64,
    pub(crate) free_objects: u64,
    pub(crate) free_bytes: u64,
    pub(crate) inuse_objects: u64,
    pub(crate) inuse_bytes: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Attempts {
    pub(crate) alloc_objects: u64,
    pub(crate) alloc_bytes: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct TrueFunction {
    pub(crate) calls: u64,
    pub(crate) bytes: u64,
    pub(crate) failed: u64,
    pub(crate) attempts: u64,
    pub(crate) attempt_bytes: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TrueSite {
    pub(crate) site: String,
    pub(crate) path: i64,
    pub(crate) alloc_objects: u64,
    pub(crate) alloc_bytes: u64,
    pub(crate) free_objects: u64,
    pub(crate) inuse_objects: u64,
    pub(crate) inuse_bytes: u64,
    pub(crate) attempts: u64,
    pub(crate) attempt_bytes: u64,
}

/// alloc_objects, alloc_bytes, free_objects, inuse_objects, inuse_bytes.
pub(crate) type Numbers = [Option<u64>; 5];

/// How the target was traced: under `run` its old blocks and its threads' start were seen too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    SinceAttach,
    FromTheStart,
}

/// Asserts that totals, functions and every site are what the target did.
pub(crate) fn assert_exact(snapshot: &Snapshot, truth: &Truth, mode: Mode, seen: Seen) {
    let mut wrong = Vec::new();
    let mut check = |what: String, got: Option<u64>, expected: Option<u64>| {
        if got != expected {
            wrong.push(format!("{what}: got {got:?}, expected {expected:?}"));
        }
    };
    assert_eq!(snapshot.mode, mode, "the mode that was asked for");
    let target = &snapshot.targets[0];
    let others = other_sites(snapshot);
    for (name, got, expected) in compare_totals(target, truth, mode, seen, &others) {
        check(format!("totals.{name}"), got, expected);
    }
    let extra_calls = others.iter().map(|site| site.alloc_objects).sum::<u64>();
    if seen == Seen::SinceAttach {
        check("sites that are not the target's".to_owned(), Some(extra_calls), Some(0));
        compare_functions(target, truth, mode, &mut check);
    }
    compare_sites(snapshot, truth, mode, &mut check);
    let quality = &snapshot.quality;
    let unmatched = if seen == Seen::SinceAttach { truth.old_freed } else { 0 };
    check("frees_unmatched".to_owned(), quality.frees_unmatched, (mode == Mode::Live).then_some(unmatched));
    check("pending_unreturned".to_owned(), Some(quality.pending_unreturned), Some(0));
    assert!(wrong.is_empty(), "{} numbers are wrong:\n{}\n{quality:?}", wrong.len(), wrong.join("\n"));
    assert_eq!(quality.verdict, Verdict::Exact, "lost: {:?}, {quality:?}", nonzero(&quality.lost));
    assert_histogram(target);
}

type Comparison = (&'static str, Option<u64>, Option<u64>);

fn compare_totals(
    target: &Target,
    truth: &Truth,
    mode: Mode,
    seen: Seen,
    others: &[&CallSite],
) -> Vec<Comparison> {
    let totals = &target.totals;
    let sum = |value: fn(&CallSite) -> Option<u64>| others.iter().filter_map(|site| value(site)).sum::<u64>();
    let old = |count: u64| if seen == Seen::FromTheStart { count } else { 0 };
    let live = &truth.live;
    let (objects, bytes) = match mode {
        Mode::Live => (live.alloc_objects, live.alloc_bytes),
        Mode::Alloc => (truth.attempts.alloc_objects, truth.attempts.alloc_bytes),
    };
    let known = |count: u64| (mode == Mode::Live).then_some(count);
    let other_objects = sum(|site| Some(site.alloc_objects));
    let other_bytes = sum(|site| Some(site.alloc_bytes));
    vec![
        ("alloc_objects", Some(totals.alloc_objects), Some(objects + old(truth.old_objects) + other_objects)),
        ("alloc_bytes", Some(totals.alloc_bytes), Some(bytes + old(truth.old_bytes) + other_bytes)),
        ("free_objects", totals.free_objects, known(live.free_objects + truth.old_freed)),
        ("free_bytes", totals.free_bytes, known(live.free_bytes + old(truth.old_bytes))),
        ("inuse_objects", totals.inuse_objects, known(live.inuse_objects + sum(|site| site.inuse_objects))),
        ("inuse_bytes", totals.inuse_bytes, known(live.inuse_bytes + sum(|site| site.inuse_bytes))),
    ]
}

/// Two names of one address are one function to the tracer, so the truth is added up by its aliases.
fn compare_functions(
    target: &Target,
    truth: &Truth,
    mode: Mode,
    check: &mut impl FnMut(String, Option<u64>, Option<u64>),
) {
    let probes: Vec<_> = target.allocators.iter().flat_map(|allocator| &allocator.probes).collect();
    let counted_under = |name: &str| {
        let by_name = probes.iter().find(|probe| probe.function == name);
        let probe =
            by_name.or_else(|| probes.iter().find(|probe| probe.aliases.iter().any(|alias| alias == name)));
        probe.map_or_else(|| panic!("no probe on {name}: {probes:?}"), |probe| probe.function.clone())
    };
    let mut expected: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for (name, function) in truth.by_function.iter().filter(|(name, _)| !name.starts_with("free")) {
        let numbers = match mode {
            Mode::Live => [function.calls, function.bytes, function.failed],
            Mode::Alloc => [function.attempts, function.attempt_bytes, 0],
        };
        let sums = expected.entry(counted_under(name)).or_default();
        for (sum, number) in sums.iter_mut().zip(numbers) {
            *sum += number;
        }
    }
    for (name, [calls, bytes, failed]) in expected {
        let got = target.totals.by_function.get(&name).copied().unwrap_or_default();
        check(format!("{name}.calls"), Some(got.calls), Some(calls));
        check(format!("{name}.bytes"), Some(got.bytes), Some(bytes));
        check(format!("{name}.failed"), got.failed, (mode == Mode::Live).then_some(failed));
    }
}

fn compare_sites(
    snapshot: &Snapshot,
    truth: &Truth,
    mode: Mode,
    check: &mut impl FnMut(String, Option<u64>, Option<u64>),
) {
    let mut expected: BTreeMap<(String, i64), Numbers> = BTreeMap::new();
    for site in &truth.sites {
        let numbers = match mode {
            Mode::Live => [
                site.alloc_objects,
                site.alloc_bytes,
                site.free_objects,
                site.inuse_objects,
                site.inuse_bytes,
            ]
            .map(Some),
            Mode::Alloc => [Some(site.attempts), Some(site.attempt_bytes), None, None, None],
        };
        add(expected.entry((site.site.clone(), site.path)).or_default(), &numbers);
    }
    let mut got: BTreeMap<(String, i64), Numbers> = BTreeMap::new();
    let mut stacks = BTreeMap::new();
    for site in &snapshot.sites {
        if let Some(key) = truth_key(site) {
            stacks.insert(key.clone(), names_of(site));
            add(got.entry(key).or_default(), &numbers_of(site));
        }
    }
    let names = ["alloc_objects", "alloc_bytes", "free_objects", "inuse_objects", "inuse_bytes"];
    for (key, numbers) in &expected {
        let seen = got.remove(key).unwrap_or_default();
        for (index, name) in names.iter().enumerate() {
            check(format!("{}@{} {name}", key.0, key.1), seen[index], numbers[index]);
        }
    }
    for (key, numbers) in got {
        let stack = stacks.get(&key);
        check(format!("{}@{}, which does not exist, {numbers:?} {stack:?}", key.0, key.1), numbers[0], None);
    }
}

/// The numbers of a site in the order of [`Numbers`].
pub(crate) fn numbers_of(site: &CallSite) -> Numbers {
    [
        Some(site.alloc_objects),
        Some(site.alloc_bytes),
        site.free_objects,
        site.inuse_objects,
        site.inuse_bytes,
    ]
}

fn add(to: &mut Numbers, from: &Numbers) {
    for (sum, number) in to.iter_mut().zip(from) {
        *sum = number.map(|number| sum.unwrap_or(0) + number).or(*sum);
    }
}

/// The function that called the allocator.
pub(crate) fn direct_caller(site: &CallSite) -> Option<&str> {
    site.frames.first().and_then(|frame| frame.function.as_deref())
}

/// The names on a stack, for messages.
fn names_of(site: &CallSite) -> Vec<&str> {
    site.frames.iter().map(|frame| name_of(frame)).collect()
}

fn name_of(frame: &Frame) -> &str {
    frame.function.as_deref().unwrap_or("?")
}

/// Sites that `truth.c` counts in another place or not at all: its old blocks, its threads' start.
fn other_sites(snapshot: &Snapshot) -> Vec<&CallSite> {
    let is_old = |site: &CallSite| direct_caller(site) == Some("allocate_old_blocks");
    snapshot.sites.iter().filter(|site| truth_key(site).is_none() && !is_old(site)).collect()
}

/// Site and path as `truth.c` names them; path -3 when the eight hops are not on the stack as they must be.
fn truth_key(site: &CallSite) -> Option<(String, i64)> {
    let caller = direct_caller(site)?;
    // One function: the debug file's name for it is glibc's internal alias.
    if matches!(caller, "strdup" | "__strdup" | "__GI___strdup" | "__GI_strdup") {
        return Some(("strdup".to_owned(), -1));
    }
    if !caller.starts_with("site_") {
        return None;
    }
    let hops = site.frames.iter().skip(1).take(HOPS);
    let bits = hops.map(|frame| name_of(frame).strip_prefix("hop_").and_then(|bit| bit.parse::<i64>().ok()));
    // The hop nearest to the site holds the highest bit.
    let path = bits.into_iter().try_fold(0, |path, bit| Some(path * 2 + bit?));
    let chain = site.frames.get(HOPS + 2).is_some_and(|frame| name_of(frame) == "chain");
    Some((caller.to_owned(), path.filter(|_| chain).unwrap_or(-3)))
}

fn assert_histogram(target: &Target) {
    let counted: u64 = target.totals.size_histogram.iter().map(|bucket| bucket.count).sum();
    assert_eq!(counted, target.totals.alloc_objects, "the size histogram holds every allocation");
}

/// Asserts that a report has exactly these sites by the name of the direct caller, with these objects and bytes.
pub(crate) fn assert_named_sites(snapshot: &Snapshot, expected: &[(&str, u64, u64)]) {
    // A demangled C++ name has its arguments.
    let plain =
        |site: &CallSite| direct_caller(site).and_then(|name| name.split('(').next().map(ToOwned::to_owned));
    for (name, objects, bytes) in expected {
        let mut got = (0, 0);
        for site in snapshot.sites.iter().filter(|site| plain(site).as_deref() == Some(name)) {
            got = (got.0 + site.alloc_objects, got.1 + site.alloc_bytes);
        }
        let seen: Vec<_> =
            snapshot.sites.iter().map(|site| (direct_caller(site), site.alloc_objects)).collect();
        assert_eq!(got, (*objects, *bytes), "{name}; seen: {seen:?}, quality: {:?}", snapshot.quality);
    }
}
