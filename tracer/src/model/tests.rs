//! The model on made-up counts: what is merged, what an exec ends, what makes a verdict.

use std::collections::BTreeMap;
use std::time::Duration;

use tracer_ebpf::abi::{Counter, FunctionTotals, StopReason};

use super::snapshot::{Host, Snapshot, Target, Totals, Verdict};
use super::{Filter, Model, Moment, SlotState, TargetState};
use crate::collect::{LiveBlock, SiteCounts, SlotCounts};
use crate::mode::Mode;
use crate::symbolize::{Located, Place, Stack, Symbolizer};

const PID: u32 = 77;

fn stack(addresses: &[u64], stop: StopReason) -> Stack {
    let place = || Place::Elsewhere { module: None, reason: "made up" };
    Stack { frames: addresses.iter().map(|&address| Located { address, place: place() }).collect(), stop }
}

fn site(key: u64, slot: u32, objects: u64) -> SiteCounts {
    SiteCounts {
        key,
        slot,
        alloc_objects: objects,
        alloc_bytes: objects * 100,
        free_objects: 1,
        inuse_objects: objects - 1,
        inuse_bytes: (objects - 1) * 100,
    }
}

fn slot(index: u32, is_last_image: bool, events: &[(Counter, u64)]) -> SlotState {
    let mut counted = vec![0; Counter::ALL.len()];
    for &(counter, times) in events {
        counted[counter as usize] = times;
    }
    let malloc = FunctionTotals { calls: 5, bytes: 500, failed: 2, _reserved: 0 };
    let free = FunctionTotals { calls: 3, bytes: 250, failed: 0, _reserved: 0 };
    SlotState {
        index,
        is_last_image,
        functions: vec![("malloc".to_owned(), false), ("free".to_owned(), true)],
        counts: SlotCounts {
            functions: vec![malloc, free],
            free_objects: 3,
            free_bytes: 250,
            events: counted,
            sizes: vec![4, 1, 0],
            lifetimes: vec![0, 0, 3],
        },
    }
}

fn moment(mode: Mode, slots: Vec<SlotState>, sites: Vec<SiteCounts>) -> Moment {
    let target = Target {
        pid: PID,
        start_time: 1,
        comm: "made-up".to_owned(),
        exe: "/made/up".to_owned(),
        build_id: None,
        labels: BTreeMap::new(),
        processes: 1,
        cpu_seconds: 2.0,
        resident_bytes: 0,
        ended: None,
        allocators: Vec::new(),
        totals: Totals::default(),
    };
    Moment {
        started_at: jiff::Timestamp::UNIX_EPOCH,
        duration: Duration::from_secs(3),
        attached: Duration::from_secs(2),
        mode,
        labels: BTreeMap::new(),
        host: Host { kernel: String::new(), arch: String::new(), cpus: 1 },
        targets: vec![TargetState { target, slots }],
        sites,
        live: Vec::new(),
        now_ns: 10_000_000_000,
        calls_in_flight: 0,
        unknown_records: 0,
        ns_per_hit: 1000.0,
        attach_failures: BTreeMap::new(),
        notes: Vec::new(),
    }
}

fn snapshot(stacks: &[(u64, Stack)], moment: Moment, filter: &Filter) -> Snapshot {
    let mut model = Model::default();
    for (key, stack) in stacks {
        model.learn(*key, stack.clone());
    }
    model.snapshot(moment, filter, &mut Symbolizer::default())
}

/// Check that garbage which was cut off does not keep sites apart.
#[test]
fn stacks_that_are_equal_after_the_cut_are_one_site() {
    let stacks = [
        (1, stack(&[10, 20], StopReason::NoFramePointer)),
        (2, stack(&[10, 20], StopReason::NoFramePointer)),
        (3, stack(&[10], StopReason::Complete)),
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
        let mut whole = stack(&vec![10; frames], StopReason::Complete);
        let last = whole.frames.last_mut().expect("there are frames");
        last.place = Place::Elsewhere { module: module.map(str::to_owned), reason: "made up" };
        whole
    };
    let check = |stack: Stack, expect| {
        let moment = moment(Mode::Live, vec![slot(0, true, &[])], vec![site(1, 0, 4)]);
        let snapshot = snapshot(&[(1, stack)], moment, &Filter::default());
        assert_eq!(snapshot.sites[0].truncated.as_deref(), expect);
    };
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
    assert_eq!((totals.alloc_objects, totals.alloc_bytes, totals.free_objects), (10, 1000, Some(6)));
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
            Counter::Hits | Counter::Abandoned | Counter::EarlyReturn | Counter::FreesUnmatched
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
    let mut moment = moment(Mode::Live, vec![slot(0, true, &[])], vec![site(1, 0, 4)]);
    for (born_ns, size_bytes) in [(1_000_000_000, 10), (7_000_000_000, 20), (9_500_000_000, 40)] {
        moment.live.push(LiveBlock { slot: 0, site: 1, size_bytes, born_ns });
    }
    let filter = Filter { older_than: Some(Duration::from_secs(2)), ..Filter::default() };
    let snapshot = snapshot(&[(1, stack(&[10], StopReason::Complete))], moment, &filter);
    let site = &snapshot.sites[0];
    assert_eq!((site.inuse_objects, site.inuse_bytes, site.oldest_seconds), (Some(2), Some(30), Some(9.0)));
}

/// Check that the cost is hits times price over CPU time.
#[test]
fn the_cost_is_hits_times_price_over_cpu_time() {
    let moment = moment(Mode::Live, vec![slot(0, true, &[(Counter::Hits, 1_000_000)])], Vec::new());
    let overhead = snapshot(&[], moment, &Filter::default()).overhead;
    assert_eq!((overhead.hits, overhead.target_cpu_ratio), (1_000_000, Some(0.5)));
}
