//! What a document says of Go's runtime: which sites are its, since when it knows what is in use, whether it samples at all.

use tracer::advise::Language;
use tracer::model::snapshot::{Allocator, CallSite, Gc, Snapshot};

use super::{named, report, site, snapshot};

/// Of a Go program with C in it: the compiler of C says that both stand in the Go file.
const IN_A_GO_FILE: [&str; 3] = ["read_line|both.go|12", "main.main|both.go|40", "runtime.main|proc.go|250"];

fn of(allocator: &str, site: CallSite) -> CallSite {
    CallSite { allocator: Some(allocator.into()), ..site }
}

/// A process whose runtime samples like this, with so many finished cycles.
fn with_runtime(mut snapshot: Snapshot, sample_bytes: Option<u64>, cycles: u64) -> Snapshot {
    let target = &mut snapshot.targets[0];
    target.gc = Some(Gc { cycles, ..Gc::default() });
    target.allocators = vec![Allocator {
        name: "go".to_owned(),
        object: "/srv/app".to_owned(),
        version: Some("go1.27.3".to_owned()),
        prefix: String::new(),
        source: "runtime".to_owned(),
        sample_bytes,
        profile_age_seconds: None,
        lag_bytes: None,
        totals: None,
        probes: Vec::new(),
    }];
    snapshot
}

#[test]
fn c_that_stands_in_a_go_file_is_c() {
    let check = |allocator: &str, rule: &str, language: Language| {
        let site = of(allocator, site(&IN_A_GO_FILE, 100_000, 4096, 3));
        let report = report(&snapshot(vec![site], 1.0));
        let advice = report.advice.first().expect("it fires");
        assert_eq!((advice.rule, advice.language), (rule, language));
    };
    check("glibc", "ping-pong", Language::C);
    check("go", "go-short-lived", Language::Go);
}

#[test]
fn what_lives_is_not_known_before_the_third_collection() {
    let kept_none = || snapshot(vec![of("go", site(&IN_A_GO_FILE, 100_000, 4096, 0))], 1.0);
    let check = |cycles, rules: &[&str]| {
        let found = named(&with_runtime(kept_none(), Some(1), cycles));
        let found: Vec<_> = found.iter().map(|(_, rule)| *rule).collect();
        assert_eq!(found, rules, "{cycles} cycles");
    };
    check(2, &[]);
    check(3, &["go-short-lived"]);
}

#[test]
fn a_runtime_that_takes_no_profile_is_said() {
    let check = |sample_bytes, is_said: bool| {
        let notes = report(&with_runtime(snapshot(Vec::new(), 1.0), sample_bytes, 9)).notes.join("\n");
        assert_eq!(notes.contains("no heap profile here"), is_said, "{sample_bytes:?}: {notes}");
    };
    check(None, true);
    check(Some(512 << 10), false);
}

/// Check that a map nobody was seen to fill is said to stay empty only if there were samples enough to see one filled.
#[test]
fn few_samples_are_no_proof_that_maps_stay_empty() {
    let header = [
        "runtime.makemap_small|map.go|1",
        "main.labels|a.go|7",
        "main.main|a.go|9",
        "runtime.main|proc.go|1",
    ];
    let check = |samples, rules: &[&str]| {
        let mut site = of("go", CallSite { samples, ..site(&header, 200_000, 48, 0) });
        site.standard_error.alloc_objects = 200_000.0 / (samples as f64).sqrt();
        site.standard_error.alloc_bytes = 48.0 * site.standard_error.alloc_objects;
        let found = named(&with_runtime(snapshot(vec![site], 1.0), Some(512 << 10), 9));
        let found: Vec<_> = found.iter().map(|(_, rule)| *rule).collect();
        assert_eq!(found, rules, "{samples} samples");
    };
    check(9, &[]);
    check(10, &["go-map-empty"]);
}
