//! Go programs, whose runtime counts their heap: one of Go alone, and one with C beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{at, frame, leak, sample, target};
use crate::model::snapshot::{
    Allocator, AllocatorTotals, CallSite, Frame, FunctionTotals, Gc, Overhead, PAUSE_BOUNDS_SECONDS,
    PauseBucket, Quality, SiteErrors, SiteIntervals, SizeBucket, Snapshot, Target, Totals, Verdict,
};

const EXE: &str = "/srv/mapstorm/bin/mapstorm";
const GOROOT: &str = "/usr/local/go/src";
const PID: u32 = 4242;

/// A service that returns maps: two sites, of many samples and of few.
pub(crate) fn go() -> Snapshot {
    let mut snapshot = sample();
    snapshot.labels.clear();
    snapshot.sites = vec![maps(), once()];
    let totals = totals();
    let mut process = target(PID, "mapstorm", &snapshot.sites);
    process.exe = EXE.to_owned();
    process.build_id = None;
    process.resident_bytes = 190 << 20;
    process.allocators = vec![heap(&totals)];
    process.totals = Totals {
        alloc_objects: totals.alloc_objects,
        alloc_bytes: totals.alloc_bytes,
        free_objects: totals.free_objects,
        free_bytes: totals.free_bytes,
        // Older than the attach too: more than what was allocated less what was freed.
        inuse_objects: Some(1_300_000),
        inuse_bytes: Some(96 << 20),
        standard_error: BTreeMap::new(),
        by_function: totals.by_function,
        size_histogram: vec![
            SizeBucket { le: Some(64), count: 6_000_000 },
            SizeBucket { le: Some(512), count: 4_200_000 },
        ],
        lifetime_histogram: None,
    };
    process.gc = Some(collections());
    snapshot.targets = vec![process];
    snapshot.overhead = Overhead::default();
    snapshot.quality =
        Quality { events: 20_100_000, sampled: 4_120, verdict: Verdict::Sampled, ..Quality::default() };
    snapshot
}

/// The same with cgo: the C heap beside it, by probes, every allocation.
pub(crate) fn cgo() -> Snapshot {
    let mut snapshot = go();
    let beside = sample();
    let process: &mut Target = &mut snapshot.targets[0];
    let c = target(PID, "mapstorm", &[leak(PID)]);
    let mut glibc = c.allocators[0].clone();
    glibc.totals = Some(AllocatorTotals {
        alloc_objects: c.totals.alloc_objects,
        alloc_bytes: c.totals.alloc_bytes,
        free_objects: c.totals.free_objects,
        free_bytes: c.totals.free_bytes,
        by_function: c.totals.by_function.clone(),
    });
    process.allocators.insert(0, glibc);
    let totals = &mut process.totals;
    totals.alloc_objects += c.totals.alloc_objects;
    totals.alloc_bytes += c.totals.alloc_bytes;
    for (sum, more) in [
        (&mut totals.free_objects, c.totals.free_objects),
        (&mut totals.free_bytes, c.totals.free_bytes),
        (&mut totals.inuse_objects, c.totals.inuse_objects),
        (&mut totals.inuse_bytes, c.totals.inuse_bytes),
    ] {
        *sum = sum.zip(more).map(|(a, b)| a + b);
    }
    totals.by_function.extend(c.totals.by_function);
    snapshot.sites.push(CallSite { id: 7, ..leak(PID) });
    snapshot.overhead = beside.overhead;
    snapshot
}

/// 83 cycles in 10 seconds.
pub(crate) fn collections() -> Gc {
    let counts = [(25e-6, 30_u64), (50e-6, 41), (100e-6, 8), (500e-6, 2), (2.5e-3, 2)];
    let count = |bound: f64| counts.iter().find(|&&(le, _)| le == bound).map_or(0, |&(_, count)| count);
    let bucket = |le_seconds: f64| PauseBucket { le_seconds: Some(le_seconds), count: count(le_seconds) };
    let rest = PauseBucket { le_seconds: None, count: 0 };
    Gc {
        cycles: 83,
        forced_cycles: 2,
        pause_seconds: 6.91e-3,
        longest_pause_seconds: Some(1.21e-3),
        pause_histogram: PAUSE_BOUNDS_SECONDS.into_iter().map(bucket).chain([rest]).collect(),
        pauses_missed: 0,
        cpu_ratio: Some(0.041),
        heap_goal_bytes: Some(120 << 20),
        heap_live_bytes: Some(61 << 20),
        gc_percent: Some(100),
        last_cycle_age_seconds: Some(0.4),
        stops: None,
    }
}

fn totals() -> AllocatorTotals {
    let function = |calls, bytes| FunctionTotals { calls, bytes, failed: None };
    AllocatorTotals {
        alloc_objects: 10_200_000,
        alloc_bytes: 4_800_000_000,
        free_objects: Some(9_900_000),
        free_bytes: Some(4_750_000_000),
        by_function: BTreeMap::from([
            ("mallocgc".to_owned(), function(10_200_000, 4_800_000_000)),
            ("sweep".to_owned(), function(9_900_000, 4_750_000_000)),
        ]),
    }
}

fn heap(totals: &AllocatorTotals) -> Allocator {
    Allocator {
        name: "go".to_owned(),
        object: EXE.to_owned(),
        version: Some("go1.27.3".to_owned()),
        prefix: String::new(),
        source: "runtime".to_owned(),
        sample_bytes: Some(512 << 10),
        profile_age_seconds: Some(0.4),
        lag_bytes: Some(1_310_720),
        totals: Some(totals.clone()),
        probes: Vec::new(),
    }
}

/// Through an inlined function.
fn maps() -> CallSite {
    let handle = go_frame(0x6f_1204, "main.(*server).handle", "/src/mapstorm/main.go", 88);
    CallSite {
        samples: 4_100,
        inuse_samples: Some(96),
        ..site(
            5,
            [4_700_000_000, 9_800_000, 60 << 20, 400_000],
            [
                Frame {
                    function: Some("main.labels".to_owned()),
                    line: Some(41),
                    inlined: true,
                    ..handle.clone()
                },
                handle,
                go_frame(
                    0x6f_0101,
                    "net/http.HandlerFunc.ServeHTTP",
                    &format!("{GOROOT}/net/http/server.go"),
                    2322,
                ),
                go_frame(0x47_3a01, "runtime.goexit", &format!("{GOROOT}/runtime/asm_amd64.s"), 1771),
            ],
        )
    }
}

fn once() -> CallSite {
    CallSite {
        samples: 6,
        inuse_samples: Some(6),
        ..site(
            6,
            [3 << 20, 6, 3 << 20, 6],
            [
                go_frame(0x6f_0f00, "main.main", "/src/mapstorm/main.go", 120),
                go_frame(0x44_1c22, "runtime.main", &format!("{GOROOT}/runtime/proc.go"), 290),
            ],
        )
    }
}

/// With allocated bytes and objects, and those in use.
fn site<const N: usize>(id: u32, numbers: [u64; 4], frames: [Frame; N]) -> CallSite {
    let [alloc_bytes, alloc_objects, inuse_bytes, inuse_objects] = numbers;
    let error = |value: u64, share: f64| value as f64 * share;
    let around = |value: u64| [value as f64 * 0.75, value as f64 * 1.25];
    CallSite {
        id,
        pid: PID,
        allocator: Some("go".into()),
        called: Some("mallocgc".into()),
        alloc_objects,
        alloc_bytes,
        free_objects: Some(alloc_objects.saturating_sub(inuse_objects)),
        inuse_objects: Some(inuse_objects),
        inuse_bytes: Some(inuse_bytes),
        standard_error: SiteErrors {
            alloc_objects: error(alloc_objects, 0.02),
            alloc_bytes: error(alloc_bytes, 0.02),
            inuse_objects: Some(error(inuse_objects, 0.1)),
            inuse_bytes: Some(error(inuse_bytes, 0.1)),
        },
        interval_95: Some(Arc::new(SiteIntervals {
            alloc_objects: around(alloc_objects),
            alloc_bytes: around(alloc_bytes),
            inuse_objects: Some(around(inuse_objects)),
            inuse_bytes: Some(around(inuse_bytes)),
        })),
        frames: frames.map(Arc::new).into(),
        ..CallSite::default()
    }
}

fn go_frame(address: u64, function: &str, file: &str, line: u32) -> Frame {
    at(frame(address, function, EXE, address - 0x40_0000), file, line)
}
