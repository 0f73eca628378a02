//! Snapshots for the tests of the views: small, with everything that is hard to show.

mod busy;
pub(crate) mod canaries;
pub(crate) mod canary;
mod go;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::snapshot::{
    Allocator, CallSite, Comparison, Frame, FunctionTotals, Host, Mode, Overhead, Probe, Quality, SCHEMA,
    SelfCheck, SiteErrors, SiteIntervals, SizeBucket, Snapshot, Target, Tool, Totals, Verdict,
};

pub(crate) use busy::{busy, fleet, many};
pub(crate) use go::{cgo, collections, go};

const EXE: &str = "/srv/leaky/bin/leaky";
const EXE_BUILD_ID: &str = "6f1b2c3d4e5f60718293a4b5c6d7e8f901234567";
const LIBC: &str = "/usr/lib/x86_64-linux-gnu/libc.so.6";
const LIBC_BUILD_ID: &str = "51657f818beb1ae70372216a99b7412b8a100a20";

/// One target, two sites: a C++ leak through inlined and unnamed frames, and a stack that is cut.
pub(crate) fn sample() -> Snapshot {
    let sites = vec![leak(4242), cut(4242)];
    let quality = Quality {
        events: 6201,
        sampled: 3100,
        lost: counts(&[("map_full", 0), ("ring_full", 0)]),
        truncated: counts(&[("depth", 0), ("no_frame_pointer", 1)]),
        unsymbolized_frames: 1,
        pending_symbols: 0,
        frees_unmatched: Some(17),
        pending_unreturned: 1,
        returns_without_entry: Some(2),
        self_check: None,
        attach_failures: BTreeMap::new(),
        notes: vec!["realloc is single-stepped: its first instructions cannot be emulated".to_owned()],
        verdict: Verdict::Exact,
    };
    Snapshot {
        schema: SCHEMA.to_owned(),
        tool: Tool { version: "0.1.0".to_owned() },
        host: Host { kernel: "6.18.5".to_owned(), arch: "x86_64".to_owned(), cpus: 4 },
        started_at: "2026-03-04T02:59:58Z".parse().expect("a timestamp"),
        duration_seconds: 10.5,
        attached_seconds: 10.0,
        mode: Mode::Live,
        sample_bytes: 0,
        labels: labels(&[("service", "shop")]),
        targets: vec![target(4242, "leaky", &sites)],
        sites,
        overhead: Overhead {
            hits: 6201,
            ns_per_hit: 570.0,
            target_cpu_ratio: Some(0.0023),
            hit_costs: None,
            map_bytes: Some(65_635_936),
        },
        quality,
    }
}

/// Two targets with the same program at different addresses; the second has a site without any frame.
pub(crate) fn two_targets() -> Snapshot {
    let mut snapshot = sample();
    let mut moved = leak(4343);
    for frame in Arc::make_mut(&mut moved.frames) {
        let frame = Arc::make_mut(frame);
        let address = u64::from_str_radix(&frame.address[2..], 16).expect("an address");
        frame.address = format!("{:#x}", address + 0x10_0000);
    }
    moved.id = 2;
    let bare =
        CallSite { id: 3, frames: Arc::default(), truncated: Some("read_fault".to_owned()), ..cut(4343) };
    let sites = [moved, bare];
    let mut second = target(4343, "leaky-2", &sites);
    second.labels = labels(&[("canary_group", "canary")]);
    second.ended = Some("exited".to_owned());
    snapshot.targets.push(second);
    snapshot.sites.extend(sites);
    snapshot.quality.truncated = counts(&[("no_frame_pointer", 1), ("read_fault", 1)]);
    snapshot.quality.lost = counts(&[("map_full", 1234), ("ring_full", 0)]);
    snapshot.quality.attach_failures = counts(&[("permission denied", 1)]);
    snapshot.quality.verdict = Verdict::Lossy;
    snapshot
}

/// Mode `alloc`: nothing is known of what is in use.
pub(crate) fn alloc_mode() -> Snapshot {
    let mut snapshot = sample();
    snapshot.mode = Mode::Alloc;
    snapshot.quality.frees_unmatched = None;
    for site in &mut snapshot.sites {
        (site.free_objects, site.inuse_objects, site.inuse_bytes, site.oldest_seconds) =
            (None, None, None, None);
        (site.standard_error.inuse_objects, site.standard_error.inuse_bytes) = (None, None);
    }
    for target in &mut snapshot.targets {
        let totals = &mut target.totals;
        (totals.free_objects, totals.free_bytes) = (None, None);
        (totals.inuse_objects, totals.inuse_bytes) = (None, None);
        totals.by_function.remove("free");
        totals.by_function.values_mut().for_each(|function| function.failed = None);
    }
    snapshot
}

/// Sampled, with standard errors: one site of many samples, one of few.
pub(crate) fn sampled() -> Snapshot {
    let mut snapshot = sample();
    snapshot.sample_bytes = 512 << 10;
    snapshot.quality.verdict = Verdict::Sampled;
    snapshot.quality.sampled = 84;
    (snapshot.quality.frees_unmatched, snapshot.quality.returns_without_entry) = (None, None);
    for (site, samples) in snapshot.sites.iter_mut().zip([60, 4]) {
        (site.samples, site.inuse_samples) = (samples + 20, Some(samples));
        let (objects, bytes) = (site.inuse_objects.unwrap_or(0) as f64, site.inuse_bytes.unwrap_or(0) as f64);
        site.standard_error = SiteErrors {
            alloc_objects: site.alloc_objects as f64 * 0.125,
            alloc_bytes: site.alloc_bytes as f64 * 0.125,
            inuse_objects: Some(objects * 0.25),
            inuse_bytes: Some(bytes * 0.25),
        };
        let around = |value: f64| [value * 0.5, value * 2.0];
        site.interval_95 = Some(Arc::new(SiteIntervals {
            alloc_objects: around(site.alloc_objects as f64),
            alloc_bytes: around(site.alloc_bytes as f64),
            inuse_objects: Some(around(objects)),
            inuse_bytes: Some(around(bytes)),
        }));
    }
    let totals = &mut snapshot.targets[0].totals;
    totals.standard_error.insert("inuse_bytes".to_owned(), totals.inuse_bytes.unwrap_or(0) as f64 * 0.03125);
    let compare = |exact: u64, estimated: u64, standard_error: f64| Comparison {
        exact,
        estimated,
        standard_error,
        deviation: Some((estimated as f64 - exact as f64) / standard_error),
    };
    snapshot.quality.self_check = Some(SelfCheck {
        alloc_objects: compare(3100, 3340, 200.0),
        alloc_bytes: Some(compare(13_064_000, 12_500_000, 705_000.0)),
    });
    snapshot
}

/// Attached, and nothing happened.
pub(crate) fn empty() -> Snapshot {
    let mut snapshot = sample();
    snapshot.sites.clear();
    snapshot.targets[0].totals = target(4242, "leaky", &[]).totals;
    snapshot.quality = Quality { frees_unmatched: Some(0), ..Quality::default() };
    snapshot.overhead = Overhead::default();
    snapshot
}

fn leak(pid: u32) -> CallSite {
    let insert = frame(0x5555_5555_61a8, "Cache::insert(std::string const&)", EXE, 0x21a8);
    CallSite {
        called: None,
        id: 0,
        pid,
        thread: None,
        allocator: Some("glibc".into()),
        alloc_objects: 2100,
        alloc_bytes: 13_000_000,
        free_objects: Some(100),
        inuse_objects: Some(2000),
        inuse_bytes: Some(12_582_912),
        oldest_seconds: Some(9.8),
        standard_error: SiteErrors {
            inuse_objects: Some(0.0),
            inuse_bytes: Some(0.0),
            ..SiteErrors::default()
        },
        interval_95: None,
        samples: 2100,
        inuse_samples: None,
        recent: None,
        truncated: None,
        by_frame_pointers: false,
        frames: [
            frame(
                0x7fff_f7ca_1017,
                "operator new(unsigned long)",
                "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
                0xa1017,
            ),
            Frame {
                function: Some(
                    "std::vector<std::string, std::allocator<std::string> >::push_back(std::string const&)"
                        .to_owned(),
                ),
                file: Some("/usr/include/c++/12/bits/stl_vector.h".to_owned()),
                line: Some(1287),
                inlined: true,
                ..insert.clone()
            },
            at(insert, "/srv/leaky/src/cache.cpp", 42),
            Frame {
                function: None,
                reason: Some("no symbol".to_owned()),
                ..frame(0x7fff_f7fb_1a30, "", "/srv/leaky/lib/libplugin.so", 0x1a30)
            },
            at(frame(0x5555_5555_5c10, "main", EXE, 0x1c10), "/srv/leaky/src/main.cpp", 12),
            frame(0x7fff_f782_724a, "__libc_start_call_main", LIBC, 0x2724a),
            frame(0x5555_5555_5a01, "_start", EXE, 0x1a01),
        ]
        .map(Arc::new)
        .into(),
    }
}

fn cut(pid: u32) -> CallSite {
    CallSite {
        called: None,
        id: 1,
        pid,
        thread: None,
        allocator: Some("glibc".into()),
        alloc_objects: 1000,
        alloc_bytes: 64_000,
        free_objects: Some(990),
        inuse_objects: Some(10),
        inuse_bytes: Some(640),
        oldest_seconds: Some(0.25),
        standard_error: SiteErrors {
            inuse_objects: Some(0.0),
            inuse_bytes: Some(0.0),
            ..SiteErrors::default()
        },
        interval_95: None,
        samples: 1000,
        inuse_samples: None,
        recent: None,
        truncated: Some("no_frame_pointer".to_owned()),
        by_frame_pointers: false,
        frames: [at(frame(0x5555_5555_7d02, "parse_request", EXE, 0x3d02), "/srv/leaky/src/http.c", 88)]
            .map(Arc::new)
            .into(),
    }
}

fn frame(address: u64, function: &str, module: &str, file_offset: u64) -> Frame {
    let build_id = match module {
        EXE => Some(EXE_BUILD_ID.to_owned()),
        LIBC => Some(LIBC_BUILD_ID.to_owned()),
        _ => None,
    };
    Frame {
        address: format!("{address:#x}"),
        function: Some(function.to_owned()),
        module: Some(module.to_owned()),
        build_id,
        file_offset: Some(file_offset),
        file: None,
        line: None,
        inlined: false,
        reason: None,
    }
}

fn at(frame: Frame, file: &str, line: u32) -> Frame {
    Frame { file: Some(file.to_owned()), line: Some(line), ..frame }
}

fn target(pid: u32, comm: &str, sites: &[CallSite]) -> Target {
    let sum = |value: fn(&CallSite) -> u64| sites.iter().map(value).sum::<u64>();
    let allocated = sum(|site| site.alloc_objects);
    let freed = sum(|site| site.free_objects.unwrap_or(0));
    let function = |calls, bytes, failed| FunctionTotals { calls, bytes, failed: Some(failed) };
    Target {
        pid,
        start_time: 8_675_309,
        comm: comm.to_owned(),
        exe: EXE.to_owned(),
        build_id: Some(EXE_BUILD_ID.to_owned()),
        labels: BTreeMap::new(),
        processes: 1,
        cpu_seconds: 1.54,
        tracing_cpu_seconds: None,
        counted_seconds: None,
        inuse_seconds: None,
        resident_bytes: 48 << 20,
        ended: None,
        allocators: vec![Allocator {
            name: "glibc".to_owned(),
            object: LIBC.to_owned(),
            version: Some("2.36".to_owned()),
            prefix: String::new(),
            source: "uprobe".to_owned(),
            sample_bytes: None,
            profile_age_seconds: None,
            lag_bytes: None,
            totals: None,
            probes: vec![probe("malloc", 0x98930, "uretprobe"), probe("free", 0x98f59, "none")],
        }],
        totals: Totals {
            alloc_objects: allocated,
            alloc_bytes: sum(|site| site.alloc_bytes),
            free_objects: Some(freed),
            free_bytes: Some(sum(|site| site.alloc_bytes - site.inuse_bytes.unwrap_or(0))),
            inuse_objects: Some(sum(|site| site.inuse_objects.unwrap_or(0))),
            inuse_bytes: Some(sum(|site| site.inuse_bytes.unwrap_or(0))),
            standard_error: BTreeMap::new(),
            by_function: BTreeMap::from([
                ("malloc".to_owned(), function(allocated, sum(|site| site.alloc_bytes), 3)),
                ("free".to_owned(), function(freed, 0, 0)),
            ]),
            size_histogram: vec![
                SizeBucket { le: Some(64), count: 1000 },
                SizeBucket { le: None, count: allocated },
            ],
            lifetime_histogram: None,
        },
        gc: None,
        timeline: None,
    }
}

fn probe(function: &str, file_offset: u64, returns: &str) -> Probe {
    Probe {
        function: function.to_owned(),
        aliases: vec![format!("__libc_{function}")],
        file_offset,
        shift: 0,
        emulated: true,
        attach: "uprobe_multi".to_owned(),
        returns: returns.to_owned(),
        note: None,
    }
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value)).collect()
}
