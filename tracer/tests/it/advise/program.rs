//! The program: files in, text or JSON out, and the exit code.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tracer::model::snapshot::Snapshot;
use tracer::view::{json, pprof};

use super::{go, site, snapshot};
use crate::{Outcome, data, tracer};

/// A document in a folder that is gone with its value.
fn saved(snapshot: &Snapshot, name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join(name);
    let mut bytes = Vec::new();
    let written = if name.ends_with(".json") {
        json::write(snapshot, &mut bytes)
    } else {
        pprof::write(snapshot, &mut bytes)
    };
    written.and_then(|()| std::fs::write(&path, bytes)).expect("the directory is writable");
    (folder, path)
}

fn advise(path: &Path, options: &[&str]) -> Outcome {
    tracer(["advise".as_ref(), path.as_os_str()].into_iter().chain(options.iter().map(AsRef::as_ref)))
}

fn storm() -> Snapshot {
    go::only("1.27", &["main.grows", "main.returnsEmpty"])
}

/// Check that the text names the function, the line, the numbers, the reason and the fix, and fits any terminal.
#[test]
fn the_table_says_what_where_why_and_how_to_fix_it() {
    let (_folder, path) = saved(&storm(), "storm.json");
    let outcome = advise(&path, &[]);
    let text = outcome.success();
    for part in [
        "2 patterns worth fixing",
        "1. main.grows: fresh maps that grow step by step",
        "patterns.go:",
        "2,000 maps made",
        "0.0 % still",
        "preallocate: Make it with the number of entries",
        "or         pool: Keep the maps in a sync.Pool",
        "certain; not known: whether the number of entries is known",
        "2. main.returnsEmpty: fresh maps that stay empty",
        "return-nil: Return nil",
        "LOOKED AT",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    let top = advise(&path, &["--top", "1"]);
    assert!(top.success().contains("1 more: --top N lists more, --format json all"), "{}", top.text());
    assert!(!top.text().contains("main.returnsEmpty: fresh"), "{}", top.text());
}

/// Check that nothing found is one sentence that says what was looked at.
#[test]
fn nothing_found_is_a_sentence_that_says_what_was_looked_at() {
    let outcome = advise(&data("small.json"), &[]);
    let text = outcome.success();
    assert!(text.contains("Nothing found that is worth a change. 4 call sites of"), "{text}");
    let document: Value = serde_json::from_str(advise(&data("small.json"), &["--format", "json"]).success())
        .expect("a JSON document");
    assert_eq!(document["advice"], Value::Array(Vec::new()));
    assert_eq!(
        (&document["schema"], &document["looked_at"]["sites"]),
        (&"tracer-advice/1".into(), &4.into())
    );
}

/// Check the JSON document, on stdout and in a file.
#[test]
fn the_json_document_has_all_that_the_table_says() {
    let (folder, path) = saved(&storm(), "storm.json");
    let file = folder.path().join("advice.json");
    let outcome = advise(&path, &["-o", file.to_str().expect("a plain path"), "--top", "1"]);
    assert!(outcome.success().contains("main.grows"), "the table goes to stdout all the same");
    let document: Value =
        serde_json::from_slice(&std::fs::read(&file).expect("it was written")).expect("a JSON document");
    let advice = document["advice"].as_array().expect("a list");
    assert_eq!(advice.len(), 2, "--top is the table's");
    assert_eq!(
        (&advice[0]["rule"], &advice[0]["fix"]["name"]),
        (&"go-map-growth".into(), &"preallocate".into())
    );
    assert_eq!(advice[0]["maps"]["made"], 2000);
    assert_eq!(advice[0]["seen"]["kept_ratio"], 0.0);
    for (key, value) in
        [("certainty", "certain"), ("function", "main.grows"), ("file", "patterns.go"), ("language", "go")]
    {
        assert_eq!(advice[0][key], value);
    }
    let forced = folder.path().join("advice");
    let outcome = advise(&path, &["-o", forced.to_str().expect("a plain path"), "--format", "json"]);
    assert_eq!(outcome.success(), "", "with one -o, --format is the file's");
    assert_eq!(std::fs::read(&forced).expect("it was written"), std::fs::read(&file).expect("and before"));
}

/// Check that of what is fine the table has the five largest, the document ten, and `--all` names every one.
#[test]
fn what_is_fine_is_capped_and_the_rest_is_counted() {
    let group = |at: u64| {
        let (leaf, main) = (format!("keep_{at:02}|a.c|{at}"), "main|a.c|9");
        site(&[&leaf, main], 1000 + at, 100, 1000)
    };
    let (_folder, path) = saved(&snapshot((0..12).map(group).collect(), 1.0), "fine.json");
    let check = |options: &[&str], named: usize, rest: Option<&str>| {
        let outcome = advise(&path, options);
        let text = outcome.success();
        assert_eq!(text.matches("keep_").count(), named, "{options:?}: {text}");
        assert!(text.contains("keep_11") && text.contains("FINE"), "the largest: {text}");
        let line = text.lines().find(|line| line.contains("--all lists them")).map(str::trim);
        assert_eq!(line, rest, "{options:?}: {text}");
    };
    check(&[], 5, Some("and 7 more, --all lists them"));
    check(&["--all"], 12, None);
    let listed = |options: &[&str]| -> (usize, Value) {
        let document: Value =
            serde_json::from_str(advise(&path, options).success()).expect("a JSON document");
        (document["fine"].as_array().expect("a list").len(), document["fine_unlisted"].clone())
    };
    assert_eq!(listed(&["--format", "json"]), (10, 2.into()));
    assert_eq!(listed(&["--format", "json", "--all"]), (12, 0.into()));
}

/// Check that a pprof file gives the same advice as the JSON document.
#[test]
fn a_pprof_file_gives_the_same_advice() {
    let (_folder, of_json) = saved(&storm(), "storm.json");
    let (_folder_of_pprof, of_pprof) = saved(&storm(), "storm.pb.gz");
    let names = |path: &Path| -> Vec<String> {
        let document: Value =
            serde_json::from_str(advise(path, &["--format", "json"]).success()).expect("a JSON document");
        let name = |advice: &Value| format!("{} {} {}", advice["rule"], advice["function"], advice["line"]);
        document["advice"].as_array().expect("a list").iter().map(name).collect()
    };
    assert_eq!(names(&of_pprof), names(&of_json));
    assert_eq!(names(&of_json).len(), 2);
}

/// Check the gate: 3 above the rate, 0 at it, and the report is there in either case.
#[test]
fn the_gate_fails_above_a_rate_of_what_is_at_least_likely() {
    let many = site(&["make|a.c|1", "main|a.c|9"], 100_000, 1024, 0);
    let guess = site(&["runtime.mapassign|m.go|1", "main.small|a.go|1", "runtime.goexit|a.s|9"], 0, 1, 0);
    let (_folder, path) = saved(&snapshot(vec![many, guess], 1.0), "many.json");
    let check = |rate: &str, code: i32, sentence: &str| {
        let outcome = advise(&path, &["--fail-above", rate]);
        assert_eq!((outcome.code, outcome.stderr.trim_end()), (Some(code), sentence), "{rate}");
        assert!(
            outcome.text().contains("1. make: allocated and freed in turns"),
            "{rate}: {}",
            outcome.text()
        );
    };
    check("99999/s", 3, "tracer: 1 advice is about more than 99,999 allocations/s: ping-pong in make:1");
    check("100000/s", 0, "");
    check("97MiB/s", 3, "tracer: 1 advice is about more than 97.0 MiB/s: ping-pong in make:1");
    check("98MiB/s", 0, "");
    // It came when nine tenths of the time were over.
    let late = site(&["make|a.c|1", "main|a.c|9"], 100_000, 1024, 0);
    let mut late = snapshot(vec![late], 10.0);
    late.targets[0].counted_seconds = Some(1.0);
    let (_folder, path) = saved(&late, "late.json");
    assert_eq!(advise(&path, &["--fail-above", "99999/s"]).code, Some(3), "in its own time");
    let (_folder, path) = saved(&go::only("1.27", &["main.small"]), "possible.json");
    let outcome = advise(&path, &["--fail-above", "0"]);
    assert!(
        outcome.success().contains("go-map-small"),
        "what is only possible fails nobody: {}",
        outcome.text()
    );
}

/// Check that a profile without a duration is advised on, and gives no gate.
#[test]
fn a_gate_needs_a_duration() {
    let (_folder, path) =
        saved(&Snapshot { attached_seconds: 0.0, duration_seconds: 0.0, ..storm() }, "still.json");
    let outcome = advise(&path, &["--fail-above", "1000/s"]);
    assert_eq!((outcome.code, outcome.text()), (Some(2), ""));
    assert!(outcome.stderr.contains("how long the profile was recorded"), "{}", outcome.stderr);
    let outcome = advise(&path, &[]);
    assert!(outcome.success().contains("does not say how long it was recorded"), "{}", outcome.text());
    assert!(!outcome.text().contains("objects/s"), "{}", outcome.text());
}

/// Check that call sites can be left out, and that shares stay those of the whole process.
#[test]
fn call_sites_are_included_and_excluded_by_name() {
    let (_folder, path) = saved(&storm(), "storm.json");
    let only = advise(&path, &["--include", "returnsEmpty"]);
    assert!(only.success().contains("1 pattern worth fixing"), "{}", only.text());
    let without = advise(&path, &["--exclude", "returnsEmpty"]);
    assert!(without.success().contains("1. main.grows"), "{}", without.text());
    let share = |outcome: &Outcome| {
        let line = outcome.text().lines().find(|line| line.contains("% of the objects")).map(str::to_owned);
        line.expect("a line with shares")
    };
    assert!(share(&only).contains(" 8.3 %"), "one object in twelve: {}", share(&only));
}

/// Check what is refused, and with which code.
#[test]
fn wrong_usage_and_unreadable_files_are_refused() {
    let check = |args: &[&str], code: i32, part: &str| {
        let outcome = tracer([&["advise"], args].concat());
        assert_eq!(outcome.code, Some(code), "{args:?}: {}", outcome.stderr);
        assert_eq!(outcome.text(), "", "{args:?}: stdout is for data");
        assert!(outcome.stderr.contains(part), "{args:?}: {}", outcome.stderr);
    };
    check(&[], 2, "<FILE|--pid <PID>>");
    check(&["a.json", "--pid", "1"], 2, "cannot be used with");
    check(&["a.json", "--duration", "1s"], 2, "cannot be used with");
    check(&["a.json", "--format", "svg"], 2, "--format svg is unknown: it is table or json");
    check(&["a.json", "-o", "a.svg"], 2, "advice is written as .json or .txt");
    check(&["a.json", "--fail-above", "much"], 2, "--fail-above much: it is no rate");
    check(&["a.json", "--include", "("], 2, "--include (: ");
    check(&["--pid", "1", "--duration", "0s"], 2, "--duration 0s: it must be above 0");
    check(&["/nonexistent/a.json"], 1, "failed to read /nonexistent/a.json");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("no.json");
    for (bytes, part) in
        [(&b""[..], "empty"), (b"{}", "the schema is missing"), (b"\x1f\x8b\x08 cut", "pprof")]
    {
        std::fs::write(&path, bytes).expect("the directory is writable");
        let outcome = advise(&path, &[]);
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("no.json"), "{part}: {}", outcome.stderr);
    }
}
