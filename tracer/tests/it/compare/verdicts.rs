//! What is said of releases that are worse, the same, better, or too few, and how the command ends.

use serde_json::Value;

use super::runs::{PLANTED, Pair, Release};
use super::{compare, document};
use crate::data;

/// Check the verdict, the exit code and the first site, for each kind of release.
#[test]
fn a_verdict_is_an_exit_code_and_names_the_site() {
    let check = |planted: f64, options: &[&str], verdict: &str, code: i32| {
        let pair = Pair::new(Release::default(), Release { planted, ..Release::default() });
        let (document, ended) = document(&pair.base(), &pair.canary(), options);
        assert_eq!(
            (&document["decision"]["verdict"], ended),
            (&verdict.into(), Some(code)),
            "{planted}: {}",
            document["decision"]
        );
        let first = &document["sites"][0];
        if planted != 1.0 {
            let name = first["name"].as_str().unwrap_or_default();
            assert!(name.starts_with(&format!("handle_{PLANTED} ")), "{planted}: {name}");
            assert_eq!(first["explains"], true, "{planted}");
        }
    };
    check(1.0, &[], "same", 0);
    check(1.3, &[], "worse", 3);
    check(1.3, &["--max-increase", "50%"], "worse", 0);
    check(0.7, &[], "better", 0);
    check(1.3, &["--per", "process"], "worse", 3);
    check(1.3, &["--per", "run"], "worse", 3);
    check(1.3, &["--requests", "1000"], "worse", 3);
}

/// Check that twice the requests are half of the change, and the like.
#[test]
fn requests_divide_what_was_allocated() {
    let pair = Pair::new(Release::default(), Release::default());
    let check = |requests: &str, ratio: f64| {
        let (document, _) = document(&pair.base(), &pair.canary(), &["--requests", requests]);
        let found = document["totals"][0]["change"]["ratio"].as_f64().expect("both sides allocate");
        assert!((found - ratio).abs() < 0.01, "{requests}: {found}");
        assert_eq!(document["per"], "request");
    };
    check("1000", 0.0);
    check("1000,2000", -0.5);
    check("1000,500", 1.0);
}

/// Check that the reason goes to stderr, in one line, with the code of a gate.
#[test]
fn what_stops_a_release_says_why() {
    let pair = Pair::new(Release::default(), Release { planted: 1.5, ..Release::default() });
    let outcome = compare(pair.base(), pair.canary(), &[]);
    assert_eq!(outcome.code, Some(3));
    assert!(outcome.stderr.starts_with("tracer: worse beyond 5%: "), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert!(outcome.text().starts_with("WORSE, BY MORE THAN 5% (stop)"), "{}", outcome.text());
}

/// Check that fewer than three runs a side decide nothing, unless the user says that they do.
#[test]
fn two_runs_are_not_enough_unless_the_user_says_so() {
    let few = Release { runs: 2, ..Release::default() };
    let pair = Pair::new(few, Release { planted: 2.0, ..few });
    let (undecided, code) = document(&pair.base(), &pair.canary(), &[]);
    assert_eq!((&undecided["decision"]["verdict"], code), (&"not_enough_data".into(), Some(3)));
    assert_eq!(undecided["evidence"]["sampling_error_only"], true);
    let (decided, code) = document(&pair.base(), &pair.canary(), &["--sampling-error-only"]);
    assert_eq!(
        (&decided["decision"]["verdict"], code),
        (&"worse".into(), Some(3)),
        "{}",
        decided["decision"]
    );
}

/// Check that code which moved within its file is not new.
#[test]
fn functions_that_moved_within_their_file_are_the_same_sites() {
    let pair = Pair::new(Release::default(), Release { moved: 7, ..Release::default() });
    let (document, code) = document(&pair.base(), &pair.canary(), &[]);
    assert_eq!(
        (&document["decision"]["verdict"], code),
        (&"same".into(), Some(0)),
        "{}",
        document["decision"]
    );
    let kinds: Vec<&Value> =
        document["sites"].as_array().expect("a list").iter().map(|site| &site["matched"]).collect();
    assert!(kinds.iter().all(|kind| *kind == "moved"), "{kinds:?}");
}

/// Check that `--include` is about sites, and totals are theirs then.
#[test]
fn only_the_sites_that_are_wanted_are_compared() {
    let pair = Pair::new(Release::default(), Release { planted: 1.5, ..Release::default() });
    let planted = format!("handle_{PLANTED}$");
    let (alone, code) = document(&pair.base(), &pair.canary(), &["--include", &planted]);
    assert_eq!((alone["sites"].as_array().map(Vec::len), code), (Some(1), Some(3)));
    let total = alone["totals"][0]["change"]["ratio"].as_f64().expect("it allocates");
    assert!((total - 0.5).abs() < 0.02, "{total}");
    let inuse =
        alone["totals"].as_array().and_then(|rows| rows.iter().find(|row| row["quantity"] == "inuse_bytes"));
    let kept = inuse.and_then(|row| row["change"]["ratio"].as_f64()).expect("it keeps");
    assert!((kept - 0.5).abs() < 0.05, "{kept}");
    let (without, code) = document(&pair.base(), &pair.canary(), &["--exclude", &planted]);
    assert_eq!((&without["decision"]["verdict"], code), (&"same".into(), Some(0)), "{}", without["decision"]);
}

/// Check that larger objects are told from more objects: bytes and the mean size grow, objects do not.
#[test]
fn objects_that_have_grown_are_told_from_more_objects() {
    let pair = Pair::new(Release::default(), Release { planted_bytes: 96, ..Release::default() });
    let (document, code) = document(&pair.base(), &pair.canary(), &[]);
    assert_eq!(
        (&document["decision"]["verdict"], code),
        (&"worse".into(), Some(3)),
        "{}",
        document["decision"]
    );
    let first = &document["sites"][0];
    assert!(
        first["name"].as_str().is_some_and(|name| name.starts_with(&format!("handle_{PLANTED} "))),
        "{first}"
    );
    assert_eq!(first["rows"][0]["change"]["is_significant"], true);
    assert_eq!(first["rows"][1]["change"]["is_significant"], false);
    let expect = serde_json::json!({"bytes": [64.0, 96.0], "ratio": 0.5, "interval_95": [0.5, 0.5]});
    assert_eq!(first["mean_size"], expect);
    // The planted site has 18,500 of 790,000 objects.
    let total = document["mean_size"]["ratio"].as_f64().expect("it allocates");
    assert!((total - 0.5 * 18_500.0 / 790_000.0).abs() < 1e-4, "{total}");
}

/// Check profiles that Go's own runtime has written (`data/go-heap`, by `heap.go.txt` with Go 1.19.8): three runs a side,
/// `main.parse` allocates twice as much in the canary.
#[test]
fn heap_profiles_of_gos_own_are_compared() {
    let side = |name: &str| {
        let files = [1, 2, 3].map(|run| data(&format!("go-heap/{name}-{run}.pb.gz")).display().to_string());
        files.join(",")
    };
    let (base, canary) = (side("base"), side("canary"));
    let (document, code) = document(base.as_ref(), canary.as_ref(), &[]);
    assert_eq!(
        (&document["decision"]["verdict"], code),
        (&"worse".into(), Some(3)),
        "{}",
        document["decision"]
    );
    assert_eq!(document["per"], "run", "they say neither time nor CPU time");
    let first = document["sites"][0]["name"].as_str().unwrap_or_default();
    assert!(first.starts_with("main.parse"), "{first}");
}
