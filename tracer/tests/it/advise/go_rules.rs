//! The rules about Go.

use std::sync::Arc;

use tracer::model::snapshot::{CallSite, Snapshot};

use super::{go, named, report, site, snapshot};

/// A site, with the same objects of another number.
fn times(site: &CallSite, factor: u64) -> CallSite {
    CallSite {
        alloc_objects: site.alloc_objects * factor,
        alloc_bytes: site.alloc_bytes * factor,
        ..site.clone()
    }
}

/// As a profile of `runtime/pprof` is: without the runtime's own frames at the leaf.
fn without_runtime(mut snapshot: Snapshot) -> Snapshot {
    for site in &mut snapshot.sites {
        let is_runtime = |name: &str| name.starts_with("runtime.") || name.starts_with("internal/runtime/");
        let frames = site.frames.iter().skip_while(|frame| frame.function.as_deref().is_some_and(is_runtime));
        site.frames = frames.cloned().collect::<Vec<_>>().into();
    }
    snapshot
}

/// As seen in gorilla/mux and in Prometheus.
const COMPILES: [&str; 4] = [
    "regexp/syntax.(*parser).newRegexp|parse.go|160",
    "regexp.Compile|regexp.go|131",
    "github.com/gorilla/mux.newRouteRegexp|regexp.go|128",
    "runtime.goexit|asm_amd64.s|1",
];
const COMPRESSES: [&str; 4] = [
    "compress/flate.NewWriter|deflate.go|665",
    "compress/gzip.(*Writer).Write|gzip.go|191",
    "main.(*compressed).Write|compression.go|40",
    "runtime.goexit|asm_amd64.s|1",
];

/// What each rule about Go fires on.
pub(super) fn firing() -> Vec<(&'static str, Snapshot)> {
    let newest = |functions: &[&str]| go::only("1.27", functions);
    vec![
        ("go-map-empty", newest(&["main.returnsEmpty"])),
        ("go-map-growth", newest(&["main.grows"])),
        ("go-map-for-others", newest(&["main.makesForAnother", "main.fillsAnothers"])),
        ("go-map-small", newest(&["main.small"])),
        ("go-map-large", newest(&["main.sizedLarge"])),
        ("go-map-guess", without_runtime(newest(&["main.returnsEmpty"]))),
        ("go-append-growth", newest(&["main.appends"])),
        ("go-buffer-growth", newest(&["main.builds"])),
        ("go-conversion", newest(&["main.toBytes"])),
        ("go-concat", newest(&["main.concatenates"])),
        ("go-format", newest(&["main.formats"])),
        ("go-boxing", newest(&["main.boxes"])),
        ("go-short-lived", newest(&["main.makesBuffer"])),
        ("go-compile", snapshot(vec![site(&COMPILES, 100_000, 200, 0)], 1.0)),
        ("go-stream", snapshot(vec![site(&COMPRESSES, 10_000, 100_000, 0)], 1.0)),
    ]
}

/// Check the rules about maps on real stacks of all versions: who makes them, how they are filled and grow.
#[test]
fn maps_are_told_by_real_stacks_of_each_version() {
    let check = |functions: &[&str], function: &str, rule: Option<&'static str>| {
        for version in go::VERSIONS {
            let named = named(&go::only(version, functions));
            let found = named.iter().find(|(name, _)| name == function).map(|(_, rule)| *rule);
            assert_eq!(found, rule, "{version} {function}: {named:?}");
        }
    };
    check(&["main.returnsEmpty"], "main.returnsEmpty", Some("go-map-empty"));
    check(&["main.callsInlined"], "main.callsInlined", Some("go-map-empty"));
    check(&["main.(*server).lookup"], "main.(*server).lookup", Some("go-map-empty"));
    check(&["main.grows"], "main.grows", Some("go-map-growth"));
    check(&["main.growsInts"], "main.growsInts", Some("go-map-growth"));
    check(&["main.growsGeneric"], "main.fill[...]", Some("go-map-growth"));
    check(&["main.small"], "main.small", Some("go-map-small"));
    check(&["main.sizedLarge"], "main.sizedLarge", Some("go-map-large"));
    check(&["main.makesForAnother", "main.fillsAnothers"], "main.makesForAnother", Some("go-map-for-others"));
    // The fixed ones, and what is not the program's to fix.
    check(&["main.sized"], "main.sized", None);
    check(&["main.fillsAnothers"], "main.fillsAnothers", None);
    for version in go::VERSIONS {
        assert!(
            !named(&go::only(version, &["main.decodes"])).iter().any(|(_, rule)| rule.starts_with("go-map")),
            "{version}: maps that encoding/json makes"
        );
        let fixed = ["main.sized", "main.pooled", "main.newPooled", "main.returnsNil"];
        let named = named(&snapshot(go::all(version), 0.01));
        assert!(
            !named.iter().any(|(function, _)| fixed.contains(&function.as_str())),
            "{version}: {named:?}"
        );
    }
}

/// Check that the line is that of the call that makes the map, in closures and inlined functions, too.
#[test]
fn the_line_is_that_of_the_call_that_makes_the_map() {
    let source = include_str!("../../fixtures/advise/patterns.go");
    let line_of = |text: &str| source.lines().position(|line| line.contains(text)).map(|at| at as u32 + 1);
    let check = |function: &str, text: &str| {
        for version in go::VERSIONS {
            let report = report(&go::only(version, &[function]));
            let advice = report.advice.iter().find(|advice| advice.function == function);
            let advice = advice.unwrap_or_else(|| panic!("{version} {function}: {:?}", report.advice));
            assert_eq!(
                (advice.line, advice.file.as_deref()),
                (line_of(text), Some("patterns.go")),
                "{version}"
            );
        }
    };
    check("main.returnsEmpty", "func returnsEmpty()");
    check("main.grows", "m := map[string]int{}");
    check("main.growsInts", "m := make(map[int]int)");
    check("main.sizedLarge", "make(map[string]int, len(keys))");
    for version in go::VERSIONS {
        let closures: Vec<CallSite> = go::all(version)
            .into_iter()
            .filter(|site| {
                let line = line_of("return func() map[string]int");
                site.frames
                    .iter()
                    .any(|frame| frame.line == line && frame.file.as_deref() == Some("patterns.go"))
            })
            .collect();
        let report = report(&snapshot(closures, 0.01));
        let advice = report.advice.first().expect("a closure that makes maps");
        assert_eq!(advice.rule, "go-map-empty", "{version}");
        assert!(advice.function.ends_with(".func1"), "{version}: {}", advice.function);
    }
}

/// Check the other rules about Go: what the stacks of a version say, and what only those of newer ones do.
#[test]
fn other_patterns_of_go_are_told_where_the_stack_says_them() {
    let check = |function: &str, old: Option<&'static str>, newest: Option<&'static str>| {
        for version in go::VERSIONS {
            let named = named(&go::only(version, &[function]));
            let found = named.iter().find(|(name, _)| name == function).map(|(_, rule)| *rule);
            assert_eq!(
                found,
                if version == "1.27" { newest } else { old },
                "{version} {function}: {named:?}"
            );
        }
    };
    // Before 1.27 the profile leaves out the function of the runtime that the program has called.
    check("main.appends", Some("go-short-lived"), Some("go-append-growth"));
    check("main.toString", Some("go-short-lived"), Some("go-conversion"));
    check("main.makesBuffer", Some("go-short-lived"), Some("go-short-lived"));
    check("main.boxes", Some("go-short-lived"), Some("go-boxing"));
    check("main.toBytes", Some("go-conversion"), Some("go-conversion"));
    check("main.concatenates", Some("go-concat"), Some("go-concat"));
    check("main.formats", Some("go-format"), Some("go-format"));
    check("main.builds", Some("go-buffer-growth"), Some("go-buffer-growth"));
    check("main.makesObject", Some("go-short-lived"), Some("go-short-lived"));
    // What is kept is nobody's garbage.
    check("main.keepsObject", None, None);
}

/// Check what lies beside each threshold of the rules about maps.
#[test]
fn what_is_nearly_a_map_storm_is_none() {
    let header = ["runtime.makemap_small|map.go|1", "main.f|f.go|3", "runtime.goexit|a.s|1"];
    let first = ["runtime.mapassign_faststr|map.go|2", "main.f|f.go|4", "runtime.goexit|a.s|1"];
    let growth = [
        "runtime.makeBucketArray|m.go|1",
        "runtime.hashGrow|m.go|1",
        "runtime.mapassign_faststr|map.go|2",
        "main.f|f.go|4",
    ];
    let growth = [&growth[..], &["runtime.goexit|a.s|1"]].concat();
    let other = ["runtime.mapassign_faststr|map.go|2", "main.g|f.go|9", "runtime.goexit|a.s|1"];
    let pool =
        ["runtime.makemap_small|map.go|1", "main.f|f.go|3", "sync.(*Pool).Get|pool.go|1", "main.g|f.go|4"];
    let pool = [&pool[..], &["runtime.goexit|a.s|1"]].concat();
    let check = |sites: Vec<CallSite>, rule: Option<&'static str>, what: &str| {
        let found = named(&snapshot(sites, 1.0));
        let of_f = found.iter().find(|(function, _)| function == "main.f").map(|(_, rule)| *rule);
        assert_eq!(of_f, rule, "{what}: {found:?}");
    };
    let made = || site(&header, 10_000, 48, 0);
    check(vec![made()], Some("go-map-empty"), "nothing is put into them");
    check(vec![made(), site(&first, 400, 208, 0)], Some("go-map-empty"), "4 in 100 are filled");
    check(vec![made(), site(&first, 600, 208, 0)], None, "6 in 100 are filled: no rule is sure");
    check(vec![made(), site(&other, 400, 208, 0)], Some("go-map-empty"), "another fills 4 in 100");
    check(vec![made(), site(&other, 600, 208, 0)], Some("go-map-for-others"), "another fills 6 in 100");
    check(vec![made(), site(&first, 10_000, 208, 0)], Some("go-map-small"), "all are filled");
    check(vec![site(&header, 10_000, 48, 9000), site(&first, 10_000, 208, 9000)], None, "filled and kept");
    let filled = |grown: u64| vec![made(), site(&first, 10_000, 208, 0), site(&growth, 10_000, grown, 0)];
    check(filled(80), None, "growing takes 24 % of the bytes");
    check(filled(416), Some("go-map-growth"), "growing takes 62 % of the bytes");
    check(vec![site(&growth, 10_000, 416, 0)], None, "it lets others' maps grow");
    let one_that_stays = |made| vec![site(&header, made, 48, made), site(&growth, 10_000, 416, 7500)];
    check(one_that_stays(99), None, "it makes few maps: it may be one that stays and grows");
    check(one_that_stays(100), Some("go-map-growth"), "it makes as many as a storm needs");
    check(vec![site(&pool, 10_000, 48, 0)], None, "made for a sync.Pool");
    check(vec![site(&header, 400, 48, 0)], None, "too few");
}

/// Check that a large map has to be large, and short-lived, before anybody is told to keep it.
#[test]
fn a_map_with_a_size_is_named_only_if_it_is_large_and_short_lived() {
    let sized = |site: &CallSite| CallSite {
        alloc_bytes: if site.alloc_bytes / site.alloc_objects > 1000 {
            site.alloc_bytes / 4
        } else {
            site.alloc_bytes
        },
        ..site.clone()
    };
    for version in go::VERSIONS {
        let large = go::only(version, &["main.sizedLarge"]);
        assert_eq!(named(&large).len(), 1, "{version}");
        let smaller = Snapshot { sites: large.sites.iter().map(sized).collect(), ..large.clone() };
        assert_eq!(named(&smaller), [], "{version}: a quarter of the size");
        let kept = |site: &CallSite| CallSite { inuse_objects: Some(site.alloc_objects / 2), ..site.clone() };
        let kept = Snapshot { sites: large.sites.iter().map(kept).collect(), ..large };
        assert_eq!(named(&kept), [], "{version}: half of them kept");
    }
}

/// Check that an object of 48 bytes is taken for a map only where the profile hides the runtime, and only as a guess.
#[test]
fn objects_of_48_bytes_are_a_guess_where_the_runtime_is_hidden() {
    let frames = ["main.f|f.go|3", "main.main|f.go|9", "runtime.main|proc.go|1"];
    let reflected = ["reflect.mapassign0|m.go|1", "main.g|f.go|4", "main.main|f.go|9"];
    let of_runtime =
        ["runtime.doaddtimer|time.go|1", "time.resetTimer|sleep.go|1", "runtime.bgscavenge|mgcscavenge.go|1"];
    let in_runtime = ["runtime.makeslice|slice.go|1", "main.g|f.go|4", "main.main|f.go|9"];
    let check = |sites: Vec<CallSite>, expect: &[&str]| {
        let report = report(&snapshot(sites, 1.0));
        let rules: Vec<&str> = report.advice.iter().map(|advice| advice.rule).collect();
        assert_eq!(rules, expect);
    };
    check(vec![site(&frames, 10_000, 48, 9000)], &["go-map-guess"]);
    check(vec![site(&frames, 10_000, 50, 9000)], &[]);
    let left_in = [site(&reflected, 10, 100, 0), site(&of_runtime, 10, 100, 0)];
    check([&[site(&frames, 10_000, 48, 9000)], &left_in[..]].concat(), &["go-map-guess"]);
    check(vec![site(&frames, 10_000, 48, 9000), site(&in_runtime, 10, 100, 0)], &[]);
    let notes = report(&snapshot(vec![site(&frames, 10_000, 48, 9000)], 1.0)).notes;
    assert!(notes.iter().any(|note| note.contains("leaves out the frames of Go's runtime")), "{notes:?}");
}

/// Check what of the library is meant to be made once and used again, and what is not.
#[test]
fn what_is_compiled_or_buffered_anew_is_told_by_the_function_of_the_library() {
    let check = |callees: &[&str], kept: u64, rule: Option<&str>| {
        let stack = [callees, &["main.f|f.go|3", "runtime.goexit|a.s|1"]].concat();
        let found = named(&snapshot(vec![site(&stack, 20_000, 4096, kept)], 1.0));
        assert_eq!(found.first().map(|(_, rule)| *rule), rule, "{callees:?}: {found:?}");
    };
    check(&["regexp/syntax.compile|c.go|1", "regexp.MustCompile|regexp.go|1"], 0, Some("go-compile"));
    check(&["regexp.compile|c.go|1", "regexp.MatchString|regexp.go|1"], 0, Some("go-compile"));
    let parse = "html/template.(*Template).Parse|t.go|1";
    check(&["text/template/parse.lex|l.go|1", parse], 0, Some("go-compile"));
    check(&["bufio.NewReaderSize|b.go|1"], 0, Some("go-stream"));
    check(&["compress/flate.NewReader|i.go|1", "compress/gzip.NewReader|g.go|1"], 0, Some("go-stream"));
    // It is used, not made; and a few that stay are as they should be.
    check(&["regexp.(*Regexp).FindStringSubmatch|regexp.go|1"], 0, None);
    check(&["html/template.(*Template).Execute|t.go|1"], 0, None);
    check(&["bufio.(*Reader).ReadString|b.go|1"], 0, None);
    check(&["regexp.Compile|regexp.go|1"], 10_000, None);
    check(&["bufio.NewReaderSize|b.go|1"], 10_000, None);
}

/// Check that what the library does for itself is not the program's to fix, and not to be named.
#[test]
fn what_nobody_of_the_program_asked_for_is_not_named() {
    let serve = [
        "runtime.makemap_small|m.go|1",
        "net/http.readRequest|r.go|3",
        "net/http.(*conn).serve|s.go|4",
        "runtime.goexit|a.s|1",
    ];
    let through = [
        "runtime.makemap_small|m.go|1",
        "net/url.ParseQuery|u.go|3",
        "main.f|f.go|4",
        "runtime.goexit|a.s|1",
    ];
    let found = snapshot(vec![site(&serve, 100_000, 48, 0), site(&through, 100_000, 48, 0)], 1.0);
    let report = report(&found);
    assert_eq!(report.advice, []);
    assert!(report.notes.iter().any(|note| note.starts_with("1 of 2 call sites")), "{:?}", report.notes);
    let fine: Vec<_> = report.fine.iter().map(|fine| fine.function.as_str()).collect();
    assert_eq!(fine, ["main.f"]);
}

/// Check that several versions of a stack are one function, and that their numbers add up.
#[test]
fn call_sites_of_one_function_are_one_advice() {
    let mut found = go::only("1.27", &["main.returnsEmpty"]);
    let again = found.sites.iter().map(|site| {
        let mut site = times(site, 2);
        let mut frames = site.frames.to_vec();
        let outermost = frames.pop().expect("a root");
        frames.push(Arc::new(tracer::model::snapshot::Frame { line: Some(9), ..(*outermost).clone() }));
        site.frames = frames.into();
        site
    });
    let again: Vec<CallSite> = again.collect();
    found.sites.extend(again);
    let report = report(&found);
    assert_eq!(report.advice.len(), 1);
    let maps = report.advice[0].maps.expect("they are maps");
    assert_eq!((maps.made, maps.first_filled, maps.sized, maps.grown), (6000, 0, 0, 0));
}
