//! The model on made-up counts: what is merged, what an exec ends, what makes a verdict.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tracer_ebpf::abi::{Counter, StopReason, Sums, Variances};

use super::snapshot::{CallSite, HitCosts, Host, Snapshot, Target, Totals, Verdict};
use super::{
    Ages, Filter, ModeCosts, Model, Moment, ProbedFunction, SiteStack, SiteSums, SlotState, Source,
    TargetState, hits,
};
use crate::collect::runtime::{ProfiledSite, ProfiledSize};
use crate::collect::{FunctionCounts, LiveBlock, SiteCounts, SlotCounts};
use crate::mode::Mode;
use crate::symbolize::{AddressKind, Located, Place, Stack, Symbols};
use crate::target::mappings::MappedFile;

const PID: u32 = 77;

/// A stack that is not located yet.
#[derive(Clone)]
struct MadeUp {
    frames: Vec<Located>,
    stop: StopReason,
}

fn stack(addresses: &[u64], stop: StopReason) -> MadeUp {
    let place = || Place::Elsewhere { module: None, reason: "made up" };
    MadeUp {
        frames: addresses
            .iter()
            .map(|&address| Located { address, kind: AddressKind::Return, place: place() })
            .collect(),
        stop,
    }
}

fn sums(objects: u64, bytes: u64) -> Sums {
    Sums { objects_q16: objects << 16, bytes_q8: bytes << 8 }
}

/// Every allocation of 100 bytes, one of them freed.
fn site(key: u64, slot: u32, objects: u64) -> SiteCounts {
    SiteCounts {
        index: 256 + key as u32,
        key,
        slot,
        allocated: sums(objects, objects * 100),
        gone: sums(1, 100),
        ..SiteCounts::default()
    }
}

/// 40 samples that stand for 500 objects and 40,000 bytes, 20 of them freed, which stood for half of that.
fn sampled_site(key: u64, slot: u32) -> SiteCounts {
    let variances = |objects: u64, bytes: u64| Variances {
        objects_high: objects,
        objects_low: 1 << 31,
        bytes_high: bytes >> 32,
        bytes_low: bytes & 0xffff_ffff,
    };
    SiteCounts {
        allocated: sums(500, 40_000),
        gone: sums(250, 20_000),
        samples: 40,
        gone_samples: 20,
        allocated_variance: variances(4096, 5 << 32),
        gone_variance: variances(2047, 1 << 32),
        ..site(key, slot, 0)
    }
}

fn function(name: &str, frees: bool) -> ProbedFunction {
    ProbedFunction { name: name.to_owned(), frees, allocator: 0 }
}

fn slot(index: u32, is_last_image: bool, events: &[(Counter, u64)]) -> SlotState {
    let mut counted = vec![0; Counter::ALL.len()];
    for &(counter, times) in events {
        counted[counter as usize] = times;
    }
    let malloc = FunctionCounts { calls: 5, bytes: 500, failed: 2, ..FunctionCounts::default() };
    let realloc = FunctionCounts { moved_objects: 1, moved_bytes: 100, ..FunctionCounts::default() };
    let free = FunctionCounts { calls: 3, bytes: 250, ..FunctionCounts::default() };
    SlotState {
        index,
        is_last_image,
        mode: Mode::Live,
        was_sampled: false,
        source: Source::Probes,
        functions: vec![function("malloc", false), function("realloc", false), function("free", true)],
        allocators: Vec::new(),
        counts: SlotCounts {
            functions: vec![malloc, realloc, free],
            events: counted,
            sizes: vec![4, 1, 0],
            lifetimes: vec![0, 0, 3],
        },
    }
}

fn moment(mode: Mode, mut slots: Vec<SlotState>, sites: Vec<SiteCounts>) -> Moment {
    slots.iter_mut().for_each(|slot| slot.mode = mode);
    let target = Target {
        pid: PID,
        start_time: 1,
        comm: "made-up".to_owned(),
        exe: "/made/up".to_owned(),
        build_id: None,
        labels: BTreeMap::new(),
        processes: 1,
        cpu_seconds: 2.0,
        tracing_cpu_seconds: None,
        counted_seconds: None,
        inuse_seconds: None,
        resident_bytes: 0,
        ended: None,
        allocators: Vec::new(),
        totals: Totals::default(),
        gc: None,
        timeline: None,
    };
    Moment {
        started_at: jiff::Timestamp::UNIX_EPOCH,
        duration: Duration::from_secs(3),
        attached: Duration::from_secs(2),
        mode,
        sample_bytes: 0,
        was_sampled: false,
        labels: BTreeMap::new(),
        host: Host { kernel: String::new(), arch: String::new(), cpus: 1 },
        targets: vec![TargetState { target, slots }],
        profiled: Vec::new(),
        sums: SiteSums::of(&sites),
        sites,
        ages: Ages::default(),
        calls_in_flight: 0,
        unknown_records: 0,
        hit_costs: ModeCosts {
            alloc: None,
            live: Some(HitCosts {
                entry_ns: 1000.0,
                return_ns: 1000.0,
                free_ns: 1000.0,
                ..HitCosts::default()
            }),
        },
        map_bytes: Some(1 << 20),
        attach_failures: BTreeMap::new(),
        notes: Vec::new(),
    }
}

fn snapshot(stacks: &[(u64, MadeUp)], moment: Moment, filter: &Filter) -> Snapshot {
    let mut model = Model::default();
    let mut symbols = Symbols::default();
    for (key, stack) in stacks {
        let frames = stack.frames.iter().map(|located| symbols.place(located.clone())).collect();
        let stack = Stack { frames, stop: stack.stop, by_pointer: false };
        model.learn(*key, SiteStack { stack, allocator: None, called: None, thread: None });
    }
    model.read_names(&moment, filter, &mut symbols);
    let mut snapshot = model.snapshot(moment, filter, &mut symbols);
    snapshot.sort_sites();
    snapshot
}

/// Check that garbage which was cut off does not keep sites apart.
#[test]
fn stacks_that_are_equal_after_the_cut_are_one_site() {
    let stacks = [
        (1, stack(&[10, 20], StopReason::NoFramePointer)),
        (2, stack(&[10, 20], StopReason::NoFramePointer)),
        (3, stack(&[10], StopReason::FramePointerZero)),
    ];
    let moment =
        moment(Mode::Live, vec![slot(0, true, &[])], vec![site(1, 0, 4), site(2, 0, 6), site(3, 0, 2)]);
    let snapshot = snapshot(&stacks, moment, &Filter::default());
    let seen: Vec<_> = snapshot
        .sites
        .iter()
        .map(|site| (site.frames.len(), site.alloc_objects, site.inuse_bytes, site.truncated.as_deref()))
        .collect();
    let cut = Some("no_frame_pointer");
    assert_eq!(seen, [(2, 10, Some(800), cut), (1, 2, Some(100), cut)]);
    assert_eq!(snapshot.quality.truncated["no_frame_pointer"], 12);
}

/// Check that a frame pointer of 0 is believed only where threads start: elsewhere it is a register like any other.
#[test]
fn stack_is_whole_only_if_it_ends_where_threads_start() {
    let ending_in = |module: Option<&str>, frames: usize| {
        let mut whole = stack(&vec![10; frames], StopReason::FramePointerZero);
        let last = whole.frames.last_mut().expect("there are frames");
        last.place = Place::Elsewhere { module: module.map(Into::into), reason: "made up" };
        whole
    };
    let check = |stack: MadeUp, expect| {
        let moment = moment(Mode::Live, vec![slot(0, true, &[])], vec![site(1, 0, 4)]);
        let snapshot = snapshot(&[(1, stack)], moment, &Filter::default());
        assert_eq!(snapshot.sites[0].truncated.as_deref(), expect);
    };
    check(stack(&[10, 20], StopReason::Complete), None);
    check(ending_in(Some("/usr/lib/libc.so.6"), 3), None);
    check(ending_in(Some("/usr/lib/libc.so.6"), 1), Some("no_frame_pointer"));
    check(ending_in(Some("/usr/bin/git"), 3), Some("no_frame_pointer"));
    check(ending_in(None, 3), Some("no_frame_pointer"));
}

/// Check that an exec ends the old heap, and keeps what was allocated.
#[test]
fn the_heap_of_an_image_that_was_replaced_is_not_in_use() {
    let slots = vec![slot(0, false, &[]), slot(1, true, &[])];
    let snapshot =
        snapshot(&[], moment(Mode::Live, slots, vec![site(1, 0, 4), site(2, 1, 6)]), &Filter::default());
    let totals = &snapshot.targets[0].totals;
    assert_eq!((totals.inuse_objects, totals.inuse_bytes), (Some(5), Some(500)));
    assert_eq!((totals.alloc_objects, totals.alloc_bytes, totals.free_objects), (10, 1000, Some(8)));
    assert_eq!(totals.free_bytes, Some(700));
    assert_eq!(totals.by_function["malloc"].failed, Some(4));
    assert_eq!(totals.by_function["free"].failed, None);
}

/// Check that a mode says nothing of what it cannot know.
#[test]
fn mode_alloc_knows_no_frees() {
    let snapshot =
        snapshot(&[], moment(Mode::Alloc, vec![slot(0, true, &[])], vec![site(1, 0, 4)]), &Filter::default());
    let totals = &snapshot.targets[0].totals;
    assert_eq!(
        (totals.free_objects, totals.free_bytes, totals.inuse_objects, totals.inuse_bytes),
        (None, None, None, None)
    );
    assert_eq!(totals.by_function["malloc"].failed, None);
    assert_eq!(totals.lifetime_histogram, None);
    assert_eq!(snapshot.quality.frees_unmatched, None);
    assert_eq!(snapshot.sites[0].inuse_bytes, None);
    assert_eq!(snapshot.sites[0].truncated.as_deref(), Some("no_stack"));
}

/// Check that the verdict is lossy if and only if something was lost or not attached to.
#[test]
fn every_loss_makes_the_verdict_lossy_and_nothing_else_does() {
    let check = |counter, expect| {
        let moment = moment(Mode::Live, vec![slot(0, true, &[(counter, 7)])], vec![site(1, 0, 4)]);
        let quality = snapshot(&[], moment, &Filter::default()).quality;
        assert_eq!(quality.verdict, expect, "{counter:?}: {quality:?}");
    };
    for &counter in Counter::ALL {
        let is_harmless = matches!(
            counter,
            Counter::SkippedEntries
                | Counter::SkippedReturns
                | Counter::SkippedFrees
                | Counter::Abandoned
                | Counter::EarlyReturn
                | Counter::FreesUnmatched
        );
        check(counter, if is_harmless { Verdict::Exact } else { Verdict::Lossy });
    }
    let mut failed = moment(Mode::Live, vec![slot(0, true, &[])], Vec::new());
    failed.attach_failures.insert("no room".to_owned(), 1);
    assert_eq!(snapshot(&[], failed, &Filter::default()).quality.verdict, Verdict::Lossy);
}

/// Check that ages come from the live blocks, and `--older-than` counts the old ones only.
#[test]
fn only_old_blocks_count_as_in_use_when_asked() {
    let blocks = [(1_000_000_000, 10), (7_000_000_000, 20), (9_500_000_000, 40)];
    let blocks = blocks
        .map(|(born_ns, size_bytes)| LiveBlock { site: 257, interval: 0, size_bytes, born_ns })
        .into_iter();
    let old = Duration::from_secs(2);
    let moment = Moment {
        ages: Ages::of(blocks, 10_000_000_000, Some(old)),
        ..moment(Mode::Live, vec![slot(0, true, &[])], vec![site(1, 0, 4)])
    };
    let filter = Filter { older_than: Some(old), ..Filter::default() };
    let snapshot = snapshot(&[(1, stack(&[10], StopReason::Complete))], moment, &filter);
    let site = &snapshot.sites[0];
    assert_eq!((site.inuse_objects, site.inuse_bytes, site.oldest_seconds), (Some(2), Some(30), Some(9.0)));
}

/// Check that the cost is hits times price over CPU time.
#[test]
fn the_cost_is_hits_times_price_over_cpu_time() {
    let moment =
        moment(Mode::Live, vec![slot(0, true, &[(Counter::SkippedFrees, 1_000_000 - 17)])], Vec::new());
    let overhead = snapshot(&[], moment, &Filter::default()).overhead;
    assert_eq!((overhead.hits, overhead.target_cpu_ratio), (1_000_000, Some(0.5)));
    assert_eq!(overhead.map_bytes, Some(1 << 20));
}

/// Check that hits come from what is counted anyway: 5 calls of malloc that succeeded, 2 that failed, 3 frees.
#[test]
fn hits_are_told_apart_by_kind() {
    let kinds = |moment: &Moment| {
        let (hits, _) = hits::of(moment.slots(), moment);
        (hits.entries, hits.returns, hits.frees)
    };
    let events = [
        (Counter::SkippedEntries, 10),
        (Counter::SkippedReturns, 9),
        (Counter::SkippedFrees, 100),
        (Counter::Abandoned, 1),
        (Counter::InFlightFull, 2),
        (Counter::EarlyReturn, 4),
    ];
    let slots = || vec![slot(0, true, &events)];
    assert_eq!(
        kinds(&moment(Mode::Live, slots(), Vec::new())),
        (5 + 2 + 10 + 1 + 2, 5 + 2 + 10 + 4, 3 + 100)
    );
    // Where attempts are counted, the failed ones are among them.
    assert_eq!(kinds(&sampled(slots(), Vec::new())), (5 + 10 + 1 + 2, 5 + 10 + 4, 3 + 100));
    // No returns are probed, and no frees.
    assert_eq!(kinds(&moment(Mode::Alloc, slots(), Vec::new())), (5 + 10, 0, 0));
}

fn sampled(slots: Vec<SlotState>, sites: Vec<SiteCounts>) -> Moment {
    sampled_in(Mode::Live, slots, sites)
}

fn sampled_in(mode: Mode, mut slots: Vec<SlotState>, sites: Vec<SiteCounts>) -> Moment {
    slots.iter_mut().for_each(|slot| slot.was_sampled = true);
    Moment { sample_bytes: 1024, was_sampled: true, ..moment(mode, slots, sites) }
}

/// Check that a sampled site has estimates, their standard errors and intervals, from the sums of the kernel side.
#[test]
fn sums_of_samples_become_estimates_with_their_errors() {
    let moment = sampled(vec![slot(0, true, &[])], vec![sampled_site(1, 0)]);
    let snapshot = snapshot(&[(1, stack(&[10, 20], StopReason::Depth))], moment, &Filter::default());
    let site = &snapshot.sites[0];
    assert_eq!((site.alloc_objects, site.alloc_bytes, site.free_objects), (500, 40_000, Some(250)));
    assert_eq!((site.inuse_objects, site.inuse_bytes), (Some(250), Some(20_000)));
    assert_eq!((site.samples, site.inuse_samples), (40, Some(20)));
    let errors = &site.standard_error;
    let close = |seen: f64, variance: f64| {
        assert!((seen - variance.sqrt()).abs() < 1e-9, "{seen}² is not {variance}");
    };
    close(errors.alloc_objects, 4096.5);
    close(errors.alloc_bytes, 5.0 * 4_294_967_296.0);
    close(errors.inuse_objects.expect("mode live"), 2049.0);
    close(errors.inuse_bytes.expect("mode live"), 4.0 * 4_294_967_296.0);
    let intervals = site.interval_95.as_ref().expect("sampled");
    // 40 samples: the normal interval. 20 in use: one that is wider above than below.
    let [low, high] = intervals.alloc_objects;
    assert!((500.0 - low - (high - 500.0)).abs() < 1e-6, "{low} … {high}");
    let [low, high] = intervals.inuse_objects.expect("mode live");
    assert!(0.0 < low && low < 250.0 && high - 250.0 > 250.0 - low, "{low} … {high}");
    assert_eq!(snapshot.quality.truncated["depth"], 40, "stacks that were walked");
}

/// Check that a sampled moment is said to be one, and what nobody knows then is not a number.
#[test]
fn a_sampled_moment_is_sampled_and_knows_no_unmatched_frees() {
    let events = [(Counter::FreesUnmatched, 5), (Counter::EarlyReturn, 5)];
    let calibration = SiteCounts { samples: 4000, ..site(2, 255, 4000) };
    let moment = sampled(vec![slot(0, true, &events)], vec![sampled_site(1, 0), calibration]);
    let snapshot = snapshot(&[], moment, &Filter::default());
    let quality = &snapshot.quality;
    assert_eq!((quality.verdict, quality.sampled), (Verdict::Sampled, 40));
    assert_eq!((quality.frees_unmatched, quality.returns_without_entry), (None, None));
    assert!(snapshot.is_sampled());
    let totals = &snapshot.targets[0].totals;
    // Counted, all of them: attempts, and frees of blocks that are known or not.
    assert_eq!((totals.alloc_objects, totals.alloc_bytes, totals.free_objects), (5, 500, Some(4)));
    assert_eq!(
        (totals.inuse_objects, totals.inuse_bytes, totals.free_bytes),
        (Some(250), Some(20_000), Some(20_000))
    );
    let names: Vec<&str> = totals.standard_error.keys().map(String::as_str).collect();
    assert_eq!(names, ["free_bytes", "inuse_bytes", "inuse_objects"]);
    assert!((totals.standard_error["free_bytes"] - 65_536.0).abs() < 1e-9);
}

/// Check that a moment in which every allocation was walked has neither errors nor a self-check.
#[test]
fn an_exact_moment_has_nothing_that_sampling_adds() {
    let moment = moment(Mode::Live, vec![slot(0, true, &[])], vec![site(1, 0, 4)]);
    let snapshot = snapshot(&[], moment, &Filter::default());
    let site = &snapshot.sites[0];
    assert_eq!((site.standard_error.alloc_bytes, site.standard_error.inuse_bytes), (0.0, Some(0.0)));
    assert_eq!((&site.interval_95, site.inuse_samples, snapshot.quality.self_check), (&None, None, None));
    assert!(snapshot.targets[0].totals.standard_error.is_empty());
    assert!(!snapshot.is_sampled());
}

/// Check that the estimates of all sites are held against the totals, without what failed.
#[test]
fn self_check_compares_the_estimates_with_the_totals() {
    let filter =
        Filter { include: Some(regex::Regex::new("nothing").expect("a pattern")), ..Filter::default() };
    let check = |mode, failed| {
        let mut slots = vec![slot(0, true, &[])];
        slots[0].counts.functions[0] =
            FunctionCounts { calls: 564, bytes: 40_000, failed, ..FunctionCounts::default() };
        let moment = sampled_in(mode, slots, vec![sampled_site(1, 0)]);
        let snapshot = snapshot(&[], moment, &filter);
        assert_eq!(snapshot.sites, [], "the filter does not matter");
        snapshot.quality.self_check.expect("sampled")
    };
    let all = check(Mode::Live, 0);
    assert_eq!((all.alloc_objects.exact, all.alloc_objects.estimated), (564, 500));
    let deviation = all.alloc_objects.deviation.expect("there is a standard error");
    assert!((deviation + 64.0 / 4096.5_f64.sqrt()).abs() < 1e-9, "{deviation}");
    assert_eq!(all.alloc_bytes.expect("nothing failed").deviation, Some(0.0));
    let failed = check(Mode::Live, 64);
    assert_eq!((failed.alloc_objects.exact, failed.alloc_bytes), (500, None));
    assert_eq!(check(Mode::Alloc, 0).alloc_objects.exact, 564);
}

/// Check that a stack which is still on its way leaves no trace where its record was counted meanwhile.
#[test]
fn a_stack_that_comes_late_gets_its_counts_and_its_number_stays() {
    let moment = || moment(Mode::Live, vec![slot(0, true, &[])], vec![site(1, 0, 4), site(2, 0, 6)]);
    let (mut model, mut symbols, filter) = (Model::default(), Symbols::default(), Filter::default());
    let learn = |model: &mut Model, symbols: &mut Symbols, key, made_up: MadeUp| {
        let frames = made_up.frames.iter().map(|located| symbols.place(located.clone())).collect();
        let stack = Stack { frames, stop: made_up.stop, by_pointer: false };
        model.learn(
            key,
            SiteStack { stack, allocator: Some("glibc".into()), called: Some("malloc".into()), thread: None },
        );
    };
    learn(&mut model, &mut symbols, 1, stack(&[10, 20], StopReason::Complete));
    let first = model.snapshot(moment(), &filter, &mut symbols);
    assert!(first.sites.iter().any(|site| site.truncated.as_deref() == Some("no_stack")));
    let known = first.sites.iter().find(|site| site.frames.len() == 2).map(|site| site.id);
    learn(&mut model, &mut symbols, 2, stack(&[30], StopReason::Complete));
    let second = model.snapshot(moment(), &filter, &mut symbols);
    let mut seen: Vec<_> = second
        .sites
        .iter()
        .map(|site| (site.frames.len(), site.alloc_objects, site.truncated.clone()))
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [(1, 6, None), (2, 4, None)]);
    assert_eq!(second.sites.iter().find(|site| site.frames.len() == 2).map(|site| site.id), known);
    assert!(second.sites.iter().all(|site| site.allocator.as_deref() == Some("glibc")));
}

/// Check that a stack is there before its names are, and gets them without another number.
#[test]
fn names_that_come_late_are_said_to_be_missing_until_then() {
    let own = std::fs::File::open("/proc/self/exe").expect("this program can be opened");
    let file = MappedFile { file: own, path: "/made/up".to_owned(), identity: (1, 2), root: None };
    let located = Located {
        address: 0x1000,
        kind: AddressKind::Return,
        place: Place::File { file: Arc::new(file), file_offset: 0x1000 },
    };
    let (mut model, mut symbols, filter) = (Model::default(), Symbols::default(), Filter::default());
    let frames = [symbols.place(located)].into();
    let stack = Stack { frames, stop: StopReason::Complete, by_pointer: false };
    model.learn(1, SiteStack { stack, allocator: None, called: None, thread: Some("worker".into()) });
    let moment = || moment(Mode::Live, vec![slot(0, true, &[])], vec![site(1, 0, 4)]);
    let early = model.snapshot(moment(), &filter, &mut symbols);
    assert_eq!(early.quality.pending_symbols, 1);
    assert_eq!(early.sites[0].frames[0].reason.as_deref(), Some("its symbols are being read"));
    symbols.wait();
    let late = model.snapshot(moment(), &filter, &mut symbols);
    assert_eq!(late.quality.pending_symbols, 0);
    assert_ne!(late.sites[0].frames[0].reason, early.sites[0].frames[0].reason);
    assert_eq!((late.sites[0].id, late.sites[0].thread.as_deref()), (early.sites[0].id, Some("worker")));
}

/// A moment of a process whose runtime counts and samples by itself, one sample per 512 KiB.
fn moment_of_runtime() -> Moment {
    let runtime = SlotState {
        source: Source::Runtime { in_use: (90, 9_000), profiled: Some((360, 1 << 19)) },
        was_sampled: true,
        functions: vec![function("mallocgc", false), function("sweep", true)],
        counts: SlotCounts {
            functions: vec![
                FunctionCounts { calls: 1000, bytes: 1 << 20, ..FunctionCounts::default() },
                FunctionCounts { calls: 950, bytes: 1 << 19, ..FunctionCounts::default() },
            ],
            ..slot(1 << 31, true, &[]).counts
        },
        ..slot(1 << 31, true, &[])
    };
    let size = |size_bytes, allocated, freed, live| ProfiledSize {
        size_bytes,
        interval_bytes: 512 << 10,
        allocated,
        freed,
        live,
    };
    let site = |key, sizes| ProfiledSite { key, slot: 1 << 31, sizes };
    let profiled = vec![
        // As large as the interval: sampled with the probability 1 - 1/e.
        site(1, vec![size(512 << 10, 100, 60, 40)]),
        // Older than the attach: it holds more than it was seen to allocate.
        site(2, vec![size(4 << 20, 0, 0, 7)]),
    ];
    let mut moment = moment(Mode::Live, vec![runtime], Vec::new());
    profiled.iter().for_each(|site| moment.sums.add_profiled(site));
    Moment { profiled, was_sampled: true, ..moment }
}

#[test]
fn samples_of_a_runtime_are_estimates_and_its_totals_are_exact() {
    let mut model = Model::default();
    let mut symbols = Symbols::default();
    for (key, address) in [(1, 0x1000), (2, 0x2000)] {
        let place = Place::Elsewhere { module: None, reason: "made up" };
        let frames = [symbols.place(Located { address, kind: AddressKind::Return, place })].into();
        let stack = Stack { frames, stop: StopReason::Complete, by_pointer: false };
        model.learn(
            key,
            SiteStack { stack, allocator: Some("go".into()), called: Some("mallocgc".into()), thread: None },
        );
    }
    let mut snapshot = model.snapshot(moment_of_runtime(), &Filter::default(), &mut symbols);
    snapshot.sort_sites();
    let totals = &snapshot.targets[0].totals;
    assert_eq!((totals.alloc_objects, totals.alloc_bytes), (1000, 1 << 20));
    assert_eq!((totals.inuse_objects, totals.inuse_bytes), (Some(90), Some(9_000)));
    assert_eq!((totals.free_objects, totals.free_bytes), (Some(950), Some(1 << 19)));
    assert!(totals.standard_error.is_empty(), "{:?}", totals.standard_error);
    let probability = 1.0 - (-1.0_f64).exp();
    let check = |site: &CallSite, objects: f64, live: f64| {
        assert_eq!(site.alloc_objects, objects.round() as u64, "{site:?}");
        assert_eq!(site.inuse_objects, Some(live.round() as u64), "{site:?}");
        assert_eq!(site.called.as_deref(), Some("mallocgc"));
        assert_eq!(site.oldest_seconds, None, "a runtime keeps no ages");
    };
    let [new, old] = &snapshot.sites[..] else { panic!("two sites: {:?}", snapshot.sites) };
    // 4 MiB is nearly always sampled: 1 - e^-8.
    check(old, 0.0, 7.0 / (1.0 - (-8.0_f64).exp()));
    check(new, 100.0 / probability, 40.0 / probability);
    let variance = 100.0 * (1.0 - probability) / (probability * probability);
    assert!((new.standard_error.alloc_objects - variance.sqrt()).abs() < 1e-9, "{new:?}");
    assert_eq!((new.samples, new.inuse_samples), (100, Some(40)));
    let check = snapshot.quality.self_check.as_ref().expect("it samples");
    assert_eq!(check.alloc_objects.exact, 360, "what was allocated while its samples were drawn");
    assert_eq!(snapshot.quality.verdict, Verdict::Sampled);
    assert_eq!((snapshot.overhead.hits, snapshot.quality.sampled), (0, 100), "nobody was stopped for it");
}

#[test]
fn the_runtime_of_an_image_that_is_over_does_not_say_what_is_traced_now() {
    let image = |index, is_last, mode| SlotState { mode, ..slot(index, is_last, &[]) };
    let check = |slots: Vec<SlotState>, expect| {
        let state = TargetState { target: Target::default(), slots };
        assert_eq!(state.mode(), expect, "{:?}", state.slots);
    };
    // A Go program that has executed one of C, whose allocations only are seen.
    check(vec![image(2, true, Mode::Alloc), image(1 << 31, false, Mode::Live)], Mode::Alloc);
    check(vec![image(2, true, Mode::Alloc), image(1 << 31, true, Mode::Live)], Mode::Live);
    check(Vec::new(), Mode::default());
}
