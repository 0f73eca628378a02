//! What cannot be compared is refused with a sentence.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use pprof::protos::{Message, Profile, ValueType};
use tracer::model::snapshot::Mode;

use super::runs::{Pair, Release, document, write};
use super::{compare, refused};

fn same() -> Pair {
    Pair::new(Release::default(), Release::default())
}

/// Check that what is traced must be the same on both sides.
#[test]
fn profiles_of_different_modes_are_refused() {
    let pair = Pair::new(Release::default(), Release { mode: Mode::Alloc, ..Release::default() });
    let outcome = compare(pair.base(), pair.canary(), &[]);
    refused(&outcome, 2, &["cannot compare: ", "mode"]);
}

/// Check that a profile of CPU time is no side.
#[test]
fn a_profile_of_other_units_is_refused() {
    let pair = same();
    let mut cpu =
        Profile { string_table: ["", "cpu", "nanoseconds"].map(str::to_owned).into(), ..Profile::default() };
    cpu.sample_type = vec![ValueType { ty: 1, unit: 2, ..ValueType::default() }];
    let path = pair.file("cpu.pb.gz");
    let mut gzip = GzEncoder::new(fs::File::create(&path).expect("a file"), Compression::default());
    gzip.write_all(&cpu.write_to_bytes().expect("it encodes"))
        .and_then(|()| gzip.finish().map(drop))
        .expect("written");
    refused(&compare(pair.base(), path, &[]), 1, &["cpu.pb.gz", "not a heap profile", "alloc_objects"]);
}

/// Check that two programs that have nothing in common are not called the same.
#[test]
fn programs_without_a_common_call_site_are_not_green() {
    let pair = same();
    for run in 0..5 {
        let mut snapshot = document(Release::default(), 300 + run);
        for site in &mut snapshot.sites {
            let other = |frame: &std::sync::Arc<tracer::model::snapshot::Frame>| {
                let mut frame = tracer::model::snapshot::Frame::clone(frame);
                frame.function = frame.function.map(|name| format!("other_{name}"));
                frame.file = Some("/srv/other.c".to_owned());
                std::sync::Arc::new(frame)
            };
            site.frames = site.frames.iter().map(other).collect();
        }
        write(&pair.canary().join(format!("run-{run}.json")), &snapshot);
    }
    let outcome = compare(pair.base(), pair.canary(), &[]);
    assert!(matches!(outcome.code, Some(2 | 3)), "{:?} {}", outcome.code, outcome.text());
    let said = format!("{}{}", outcome.stderr, outcome.text());
    assert!(said.contains("common"), "{said}");
}

/// Check that what holds nothing is not called the same as what holds something, nor as nothing.
#[test]
fn a_profile_without_allocations_is_not_green() {
    let pair = same();
    let mut empty = document(Release::default(), 300);
    empty.sites.clear();
    let totals = &mut empty.targets[0].totals;
    (totals.alloc_bytes, totals.alloc_objects, totals.inuse_bytes) = (0, 0, Some(0));
    let path = pair.file("empty.json");
    write(&path, &empty);
    for (base, canary) in [(pair.base(), path.clone()), (path.clone(), pair.canary()), (path.clone(), path)] {
        let outcome = compare(base, canary, &[]);
        assert!(matches!(outcome.code, Some(2 | 3)), "{:?} {}", outcome.code, outcome.text());
        assert!(outcome.stderr.contains("tracer: "), "{}", outcome.stderr);
    }
}

/// Check each kind of file that is no profile, or no whole one.
#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() {
    let pair = same();
    let whole = fs::read(pair.base().join("run-0.json")).expect("it was written");
    let go = fs::read(crate::data("go-heap/base-1.pb.gz")).expect("the profile is kept beside the tests");
    for (name, bytes, part) in [
        ("cut.json", &whole[..whole.len() / 2], "not a tracer JSON document"),
        ("cut.pb.gz", &go[..go.len() / 2], "failed to read"),
        ("nothing.json", &[][..], "the file is empty"),
        ("other.json", b"{\"schema\": \"tracer/9\"}", "the schema is"),
        ("noise.pb.gz", &[0x1f, 0x8b, 8, 0, 1, 2, 3], "failed to read"),
    ] {
        let path = pair.file(name);
        fs::write(&path, bytes).expect("the folder is writable");
        refused(&compare(pair.base(), path, &[]), 1, &[name, part]);
    }
    refused(
        &compare(pair.base(), pair.file("gone.json"), &[]),
        1,
        &["failed to read", "gone.json", "No such file"],
    );
    let folder = pair.file("folder");
    fs::create_dir(&folder).expect("a folder");
    refused(&compare(pair.base(), &folder, &[]), 4, &["folder has no profile", ".pb.gz"]);
}

/// Check that a file given twice does not count as two runs.
#[test]
fn a_file_that_is_given_twice_is_refused() {
    let pair = same();
    let one = pair.base().join("run-0.json").display().to_string();
    let folder = pair.base().display().to_string();
    refused(&compare(format!("{one},{folder}"), pair.canary(), &[]), 2, &["given twice"]);
}

/// Check each option that is wrong, or wrong with another.
#[test]
fn options_that_are_wrong_are_refused_with_what_would_be_right() {
    for (sides, options, part) in [
        (["a", "b"], &["--confidence", "99"][..], "--confidence 99: use a percentage such as 5%"),
        (["a", "b"], &["--confidence", "100%"], "it must be 50% to 99.9999%"),
        (["a", "b"], &["--max-increase=-1%"], "it must be 0% to 10000%"),
        (["a", "b"], &["--min-share", "x%"], "use a percentage"),
        (["a", "b"], &["--per", "request"], "--per request needs --requests"),
        (["a", "b"], &["--per", "run", "--requests", "5"], "--requests is for --per request"),
        (["a", "b"], &["--requests", "0"], "--requests 0: it must be above 0"),
        (["a", "b"], &["--requests", "rate(x)"], "is no number: give --prometheus URL too"),
        (["a", "b"], &["--prometheus", "http://a"], "--prometheus needs --requests with a query"),
        (
            ["a", "b"],
            &["--requests", "5", "--prometheus", "http://a"],
            "--prometheus needs --requests with a query",
        ),
        (
            ["a", "b"],
            &["--requests", "r{$labels}", "--prometheus", "http://a"],
            "$labels is for sides that are given as labels",
        ),
        (
            ["1", "2"],
            &["--requests", "r", "--prometheus", "http://a"],
            "the query is the same for both sides",
        ),
        (["a", "b"], &["--requests", "r", "--prometheus", "a:9090"], "neither http:// nor https://"),
        (["a", "b"], &["--duration", "5s"], "--duration is for pids and labels"),
        (["1", "2"], &["--duration", "0s"], "--duration 0s: it must be above 0"),
        (["1", "2"], &["--mode", "growth"], "--mode growth is not there yet"),
        (["7,8", "8,9"], &[], "pid 8 is on both sides"),
        (["pid:x", "8"], &[], "\"x\" is no pid"),
        (["{a=b}", "8"], &[], "the value of a is not in quotes"),
        (["a", "b"], &["--format", "pprof"], "--format pprof is unknown for a comparison"),
        (["a", "b"], &["--format", "tui"], "--format tui needs stdout to be a terminal"),
        (["a", "b"], &["-o", "x.pb.gz"], "-o x.pb.gz: a comparison is written as .json, .md, .svg or .txt"),
        (["a", "b"], &["--include", "("], "--include ("),
        (["a", "b"], &["--view", "inuse_objects"], "is not compared"),
        (["a", "b"], &["--daemon", "x"], "--daemon x: "),
        (["a", "b"], &["--token-file", "/no/such/file"], "failed to read the token from /no/such/file"),
    ] {
        refused(&compare(sides[0], sides[1], options), 2, &[part]);
    }
}
