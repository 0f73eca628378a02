//! Offsets by version, for programs whose DWARF was stripped: each row was read off the DWARF of a program that this version
//! has built, for x86-64, and an end-to-end test compares it with the DWARF of the versions that are there.

/// Structures of package `runtime` that are looked at.
pub(super) const STRUCTURES: [&str; 10] = [
    "bucket",
    "memRecord",
    "memRecordCycle",
    "mstats",
    "consistentHeapStats",
    "heapStatsDelta",
    "gcControllerState",
    "g",
    "m",
    "gobuf",
];

/// Minor versions of Go 1 that the columns stand for.
pub(super) const MINORS: [u32; 8] = [19, 21, 22, 23, 24, 25, 26, 27];

/// A version that nobody has built a program by, between two that are known: what is equal in both holds for it too.
const BETWEEN: (u32, [u32; 2]) = (20, [19, 21]);

/// The offset of a field of a structure in a minor version; the size of a structure is under an empty name.
pub(super) fn offset(minor: u32, structure: &str, field: &str) -> Option<u64> {
    let (_, _, offsets) = FIELDS.iter().find(|(of, name, _)| (*of, *name) == (structure, field))?;
    let of = |minor| Some(*offsets.get(MINORS.iter().position(|&known| known == minor)?)?);
    match BETWEEN {
        (between, [before, after]) if between == minor => of(before).filter(|_| of(before) == of(after)),
        _ => of(minor),
    }
}

/// Structure, field, and its offset in each of [`MINORS`].
#[rustfmt::skip]
const FIELDS: [(&str, &str, [u64; 8]); 50] = [
    ("bucket", "", [48, 48, 48, 48, 48, 48, 48, 48]),
    ("bucket", "allnext", [8, 8, 8, 8, 8, 8, 8, 8]),
    ("bucket", "typ", [16, 16, 16, 16, 16, 16, 16, 16]),
    ("bucket", "size", [32, 32, 32, 32, 32, 32, 32, 32]),
    ("bucket", "nstk", [40, 40, 40, 40, 40, 40, 40, 40]),
    ("memRecord", "", [128, 128, 128, 128, 128, 128, 128, 64]),
    ("memRecord", "active", [0, 0, 0, 0, 0, 0, 0, 0]),
    ("memRecord", "future", [32, 32, 32, 32, 32, 32, 32, 16]),
    ("memRecordCycle", "", [32, 32, 32, 32, 32, 32, 32, 16]),
    ("memRecordCycle", "allocs", [0, 0, 0, 0, 0, 0, 0, 0]),
    ("memRecordCycle", "frees", [8, 8, 8, 8, 8, 8, 8, 8]),
    ("mstats", "", [13512, 9040, 7744, 7744, 7744, 8264, 10440, 10440]),
    ("mstats", "heapStats", [0, 0, 0, 0, 0, 0, 0, 0]),
    ("mstats", "last_gc_unix", [3592, 3592, 3592, 3592, 3592, 3568, 3568, 3568]),
    ("mstats", "pause_total_ns", [3600, 3600, 3600, 3600, 3600, 3576, 3576, 3576]),
    ("mstats", "pause_ns", [3608, 3608, 3608, 3608, 3608, 3584, 3584, 3584]),
    ("mstats", "pause_end", [5656, 5656, 5656, 5656, 5656, 5632, 5632, 5632]),
    ("mstats", "numgc", [7704, 7704, 7704, 7704, 7704, 7680, 7680, 7680]),
    ("mstats", "numforcedgc", [7708, 7708, 7708, 7708, 7708, 7684, 7684, 7684]),
    ("mstats", "gc_cpu_fraction", [7712, 7712, 7712, 7712, 7712, 7688, 7688, 7688]),
    ("mstats", "last_gc_nanotime", [7720, 7720, 7720, 7720, 7720, 7696, 7696, 7696]),
    ("mstats", "enablegc", [7736, 7736, 7736, 7736, 7736, 8256, 10432, 10432]),
    ("consistentHeapStats", "stats", [0, 0, 0, 0, 0, 0, 0, 0]),
    ("consistentHeapStats", "gen", [3528, 3528, 3528, 3528, 3528, 3504, 3504, 3504]),
    ("heapStatsDelta", "", [1176, 1176, 1176, 1176, 1176, 1168, 1168, 1168]),
    ("heapStatsDelta", "tinyAllocCount", [48, 48, 48, 48, 48, 40, 40, 40]),
    ("heapStatsDelta", "largeAlloc", [56, 56, 56, 56, 56, 48, 48, 48]),
    ("heapStatsDelta", "largeAllocCount", [64, 64, 64, 64, 64, 56, 56, 56]),
    ("heapStatsDelta", "smallAllocCount", [72, 72, 72, 72, 72, 64, 64, 64]),
    ("heapStatsDelta", "largeFree", [616, 616, 616, 616, 616, 608, 608, 608]),
    ("heapStatsDelta", "largeFreeCount", [624, 624, 624, 624, 624, 616, 616, 616]),
    ("heapStatsDelta", "smallFreeCount", [632, 632, 632, 632, 632, 624, 624, 624]),
    ("gcControllerState", "", [424, 392, 392, 392, 392, 392, 392, 392]),
    ("gcControllerState", "gcPercent", [0, 0, 0, 0, 0, 0, 0, 0]),
    ("gcControllerState", "memoryLimit", [8, 8, 8, 8, 8, 8, 8, 8]),
    ("gcControllerState", "gcPercentHeapGoal", [104, 72, 72, 72, 72, 72, 72, 72]),
    ("gcControllerState", "sweepDistMinTrigger", [112, 80, 80, 80, 80, 80, 80, 80]),
    ("gcControllerState", "triggered", [120, 88, 88, 88, 88, 88, 88, 88]),
    ("gcControllerState", "heapMarked", [184, 152, 152, 152, 152, 152, 152, 152]),
    ("gcControllerState", "heapFree", [320, 288, 288, 288, 288, 288, 288, 288]),
    ("gcControllerState", "totalAlloc", [328, 296, 296, 296, 296, 296, 296, 296]),
    ("gcControllerState", "totalFree", [336, 304, 304, 304, 304, 304, 304, 304]),
    ("gcControllerState", "mappedReady", [344, 312, 312, 312, 312, 312, 312, 312]),
    ("gcControllerState", "heapLive", [136, 104, 104, 104, 104, 104, 104, 104]),
    ("g", "m", [48, 48, 48, 48, 48, 48, 48, 48]),
    ("g", "sched", [56, 56, 56, 56, 56, 56, 56, 56]),
    ("m", "curg", [192, 192, 192, 192, 192, 184, 184, 184]),
    ("m", "preemptoff", [248, 248, 248, 248, 248, 240, 248, 248]),
    ("gobuf", "sp", [0, 0, 0, 0, 0, 0, 0, 0]),
    ("gobuf", "bp", [48, 48, 48, 48, 48, 40, 40, 40]),
];
