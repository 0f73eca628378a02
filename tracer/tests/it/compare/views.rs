//! What a saved comparison looks like in each format, and where `compare` writes it.

use super::compare;
use super::runs::{PLANTED, Pair, Release};
use crate::{data, tracer};

const SAVED: &str = "comparison.json";

fn view(options: &[&str]) -> String {
    let file = data(SAVED).display().to_string();
    tracer(["view", &file].iter().chain(options)).success().to_owned()
}

#[test]
fn a_saved_comparison_is_shown_as_a_table() {
    insta::assert_snapshot!("comparison_table", view(&[]));
}

#[test]
fn a_saved_comparison_is_shown_as_markdown() {
    insta::assert_snapshot!("comparison_markdown", view(&["--format", "markdown"]));
}

#[test]
fn a_saved_comparison_is_shown_as_the_document_that_it_is() {
    let again: serde_json::Value = serde_json::from_str(&view(&["--format", "json"])).expect("JSON");
    let saved = std::fs::read(data(SAVED)).expect("the document is kept beside the tests");
    let saved: serde_json::Value = serde_json::from_slice(&saved).expect("JSON");
    assert_eq!(again["sites"][0]["name"], saved["sites"][0]["name"]);
    assert_eq!(again["decision"], saved["decision"]);
}

#[test]
fn a_saved_comparison_is_drawn_as_a_flame_graph_of_each_quantity() {
    let check = |view_option: &[&str], title: &str| {
        let options: Vec<&str> = ["--format", "svg"].iter().chain(view_option).copied().collect();
        let svg = view(&options);
        assert!(svg.contains(title), "{title} in {svg}");
        assert!(svg.contains("red: more than the base, blue: less"));
        let parsed = svg.matches("<g").count();
        assert_eq!(parsed, svg.matches("</g>").count(), "the picture is whole");
    };
    check(&[], "Bytes allocated, canary against base: bytes per 1,000 × process and second");
    check(&["--view", "alloc_objects"], "Objects allocated, canary against base: objects per 1,000 ×");
    check(&["--view", "inuse_space"], "Bytes in use, canary against base: bytes per process");
    let svg = view(&["--format", "svg"]);
    let titles = svg.split("<title>").skip(1).filter_map(|rest| rest.split("</title>").next());
    let titles: Vec<&str> = titles.collect();
    insta::assert_snapshot!("comparison_flame", titles.join("\n"));
}

#[test]
fn a_comparison_has_no_formats_of_profiles() {
    let file = data(SAVED).display().to_string();
    for (options, part) in [
        (
            &["--format", "pprof"][..],
            "--format pprof is unknown for a comparison: it is tui, table, json, markdown or svg",
        ),
        (&["--format", "tui"], "--format tui needs stdout to be a terminal"),
        (&["--view", "inuse_objects"], "--view inuse_objects is not compared"),
    ] {
        let outcome = tracer(["view", &file].iter().chain(options));
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
    }
}

#[test]
fn files_are_written_by_their_suffix_whatever_the_verdict() {
    let pair = Pair::new(Release::default(), Release { planted: 1.5, ..Release::default() });
    let files = ["verdict.json", "verdict.md", "verdict.svg", "verdict.txt"].map(|name| pair.file(name));
    let texts = files.each_ref().map(|file| file.display().to_string());
    let options: Vec<&str> = texts.iter().flat_map(|text| ["-o", text]).collect();
    let outcome = compare(pair.base(), pair.canary(), &options);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    let planted = format!("handle_{PLANTED}");
    for file in &files {
        let text = std::fs::read_to_string(file).expect("it was written");
        assert!(text.contains(&planted), "{}: {text}", file.display());
    }
    let saved = tracer(["view", &texts[0]]);
    assert_eq!(saved.success(), outcome.text(), "the table of the document is the table");
}

#[test]
fn one_file_takes_the_format_and_leaves_stdout_empty() {
    let pair = Pair::new(Release::default(), Release::default());
    let file = pair.file("report");
    let outcome =
        compare(pair.base(), pair.canary(), &["--format", "markdown", "-o", &file.display().to_string()]);
    assert_eq!(outcome.success(), "");
    let text = std::fs::read_to_string(file).expect("it was written");
    assert!(text.starts_with("### ✅ Allocations: same, within 5% (go)"), "{text}");
}
