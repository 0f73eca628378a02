//! Stacks of code without frame pointers: whole, from the direct caller to `main` or the thread's start, with every name
//! right. The fixtures (`fixtures/chains`) say what they have called.

mod broken;
mod build;
mod chain;
mod languages;
mod memory;
mod objects;
mod plain;

use std::path::Path;

use tracer::model::snapshot::Snapshot;

use self::chain::{Chain, chains_of};
use crate::harness::{Target, Tracer, code_of};

/// Traces a fixture from "ready" to "done": the report, and what it wrote.
fn lines_and_snapshot(program: &Path, arguments: &[&str], options: &[&str]) -> (Snapshot, String) {
    let mut target = Target::start(program, arguments);
    let mut tracer = Tracer::attach(target.pid(), options);
    tracer.wait_counting();
    target.go();
    let mut lines = String::new();
    while !lines.ends_with("done\n") {
        lines += &(target.next_line() + "\n");
    }
    let snapshot = tracer.stop().success();
    target.go();
    assert_eq!(code_of(target.wait()), 0, "{}: it ends as it would untraced", program.display());
    (snapshot, lines)
}

/// The same: the report, and the chains that it has called.
fn attached(program: &Path, arguments: &[&str], options: &[&str]) -> (Snapshot, Vec<Chain>) {
    let (snapshot, lines) = lines_and_snapshot(program, arguments, options);
    (snapshot, chains_of(&lines))
}

/// Traces a fixture from its start to its end.
fn from_the_start(program: &Path, arguments: &[&str], options: &[&str]) -> (Snapshot, Vec<Chain>) {
    let mut tracer = Tracer::run(options, program, arguments);
    tracer.write_input("xx");
    let outcome = tracer.wait();
    (outcome.success(), chains_of(&outcome.stdout))
}
