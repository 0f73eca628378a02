//! The quality block: what was seen, what is missing, and the verdict.

use std::collections::BTreeMap;

use tracer_ebpf::abi::Counter;

use super::sites::Sites;
use super::snapshot::{Quality, Verdict};
use super::{Moment, SlotState, Source, check};
use crate::mode::Mode;

/// Every reason a stack may be truncated for, so that a reader sees the zeros too.
const TRUNCATIONS: [&str; 8] = [
    "depth",
    "no_frame_pointer",
    "no_table",
    "bad_cfa",
    "read_fault",
    "foreign_return_probe",
    "no_mapping",
    "unsupported_rule",
];

fn counted(moment: &Moment, counter: Counter) -> u64 {
    moment.slots().map(|slot| slot.counts.event(counter)).sum()
}

/// What the counters say.
pub(super) fn of(moment: &Moment) -> Quality {
    let live = moment.mode == Mode::Live;
    let count = |counter| counted(moment, counter);
    let walked = |slot: &SlotState| match slot.source {
        Source::Probes if !moment.was_sampled => calls(slot, false),
        Source::Probes | Source::Runtime { .. } => moment.sums.slot(slot.index).samples,
    };
    let samples: u64 = moment.slots().map(walked).sum();
    let mut lost = lost(count);
    lost.insert("unknown_record".to_owned(), moment.unknown_records);
    let mut notes = moment.notes.clone();
    notes.extend(advice(
        count(Counter::SitesFull),
        "allocations have no call site of their own",
        "--max-stacks",
    ));
    notes.extend(advice(count(Counter::LiveFull), "blocks were not followed", "--max-live"));
    Quality {
        events: moment.slots().map(events).sum(),
        sampled: samples - count(Counter::ScratchBusy).min(samples),
        lost,
        frees_unmatched: (live && !moment.was_sampled).then(|| count(Counter::FreesUnmatched)),
        self_check: is_checked(moment).then(|| check::of(moment)),
        pending_unreturned: count(Counter::Abandoned) + moment.calls_in_flight,
        returns_without_entry: (live && !moment.was_sampled).then(|| count(Counter::EarlyReturn)),
        attach_failures: moment.attach_failures.clone(),
        notes,
        ..Quality::default()
    }
}

/// Whether the estimates of all sites are held against the totals: those of probes, or where there are none those of runtimes.
fn is_checked(moment: &Moment) -> bool {
    let probed = || moment.slots().filter(|slot| slot.source == Source::Probes);
    let has_probes = probed().any(|slot| !slot.functions.is_empty());
    if has_probes { probed().any(|slot| slot.was_sampled) } else { moment.was_sampled }
}

fn calls(slot: &SlotState, free: bool) -> u64 {
    slot.functions_that(free).map(|(_, totals)| totals.calls).sum()
}

/// Allocations and frees that were counted.
pub(super) fn events(slot: &SlotState) -> u64 {
    calls(slot, false) + calls(slot, true) + slot.moved_objects()
}

/// What is missing, by reason.
pub(super) fn lost(count: impl Fn(Counter) -> u64) -> BTreeMap<String, u64> {
    let mut lost: BTreeMap<String, u64> = [
        Counter::RingFull,
        Counter::ScratchBusy,
        Counter::ReadFault,
        Counter::StackCollision,
        Counter::InFlightFull,
        Counter::Replaced,
    ]
    .iter()
    .map(|&counter| (counter.name().to_owned(), count(counter)))
    .collect();
    lost.insert("map_full".to_owned(), count(Counter::SitesFull) + count(Counter::LiveFull));
    lost
}

fn advice(times: u64, what: &str, option: &str) -> Option<String> {
    (times > 0).then(|| format!("{times} {what}: the map was full. Raise {option}"))
}

/// With what only the sites tell, and the verdict.
pub(super) fn complete(
    quality: Quality,
    of_sites: &Sites,
    pending_symbols: u64,
    was_sampled: bool,
) -> Quality {
    let mut all: BTreeMap<String, u64> = TRUNCATIONS.iter().map(|&name| (name.to_owned(), 0)).collect();
    all.extend(of_sites.truncated.clone());
    let sites = &of_sites.sites;
    let mut notes = quality.notes;
    let by_pointer = sites.iter().filter(|site| site.by_frame_pointers).count();
    if by_pointer > 0 {
        notes.push(format!(
            "frame pointers led through {by_pointer} of {} call stacks, where code has no unwind table or by --unwind \
             frame-pointers: callers may be missing between their frames",
            sites.len()
        ));
    }
    let is_lossy = quality.lost.values().chain(quality.attach_failures.values()).any(|&count| count > 0);
    Quality {
        truncated: all,
        unsymbolized_frames: of_sites.unnamed,
        pending_symbols,
        notes,
        verdict: match (is_lossy, was_sampled) {
            (true, _) => Verdict::Lossy,
            (false, true) => Verdict::Sampled,
            (false, false) => Verdict::Exact,
        },
        ..quality
    }
}
