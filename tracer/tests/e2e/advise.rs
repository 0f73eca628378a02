//! `advise --pid`: what a real process does is named, with its line, and nothing else is.

use serde_json::Value;

use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, kernel_or_skip, tracer};

/// Check the patterns of a process that runs, the gate, and that what is kept is not named.
#[test]
fn patterns_of_a_running_process_are_named_with_their_lines() {
    if !kernel_or_skip("patterns_of_a_running_process_are_named_with_their_lines") {
        return;
    }
    let mut target = Target::start(&fixture("advise_patterns"), &[]);
    target.go();
    let pid = target.pid().to_string();
    let options = ["advise", "--pid", &pid, "--duration", "2s", "--format", "json", "--fail-above", "1000/s"];
    let outcome = Tracer::spawn(tracer().args(options)).wait();
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    let report: Value = serde_json::from_str(&outcome.stdout).expect("a JSON document");
    let source = include_str!("../fixtures/advise_patterns.cpp");
    let line_of = |text: &str| source.lines().position(|line| line.contains(text)).map(|at| at as u64 + 1);
    let advice = report["advice"].as_array().expect("a list");
    let check = |function: &str, rule: &str, text: &str| {
        let found =
            advice.iter().find(|one| one["function"].as_str().is_some_and(|name| name.starts_with(function)));
        let found = found.unwrap_or_else(|| panic!("{function} is named: {advice:?}"));
        assert_eq!(
            (found["rule"].as_str(), found["line"].as_u64()),
            (Some(rule), line_of(text)),
            "{function}"
        );
    };
    check("make_node", "tiny-objects", "malloc(24)");
    check("read_line", "ping-pong", "malloc(4000)");
    check("collect", "container-growth", "numbers.push_back(i)");
    assert_eq!(advice.len(), 3, "{advice:?}");
    assert!(target.alive(), "and it goes on");
}

/// Check that an idle process gets a sentence and the code 0.
#[test]
fn an_idle_process_is_fine() {
    if !kernel_or_skip("an_idle_process_is_fine") {
        return;
    }
    let target = Target::start(&fixture("advise_patterns"), &[]);
    let pid = target.pid().to_string();
    let outcome = Tracer::spawn(tracer().args(["advise", "--pid", &pid, "--duration", "300ms"])).wait();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.contains("Nothing found that is worth a change."), "{}", outcome.stdout);
}
