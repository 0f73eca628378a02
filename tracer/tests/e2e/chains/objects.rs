//! Code that comes and goes.

use std::path::PathBuf;

use super::build::{PIE, library, program};
use super::chain::{assert_chains, sites_of, text_of};
use super::{attached, from_the_start};
use crate::harness::kernel_or_skip;

fn libraries() -> [PathBuf; 2] {
    let one = |name: &str, frame| {
        library("in_between.c", name, &[&format!("-DNAME={name}"), &format!("-DFRAME={frame}")])
    };
    [one("first_library", 40), one("second_library", 488)]
}

#[test]
fn stacks_are_right_through_code_that_comes_and_goes() {
    if kernel_or_skip("stacks_are_right_through_code_that_comes_and_goes") {
        let program = program(&["objects.c"], PIE, &[]).expect("a C program compiles");
        let paths = libraries();
        let paths = paths.each_ref().map(|path| path.to_str().expect("a plain path"));
        for mode in ["alloc", "live"] {
            let (snapshot, chains) = attached(&program, &paths, &["--mode", mode]);
            assert_chains(&format!("attach, {mode}"), &snapshot, &chains);
            let whole = sites_of(&snapshot, "leaf_loaded").all(|site| site.truncated.is_none());
            assert!(whole, "its table was there before counting began");
            let (snapshot, chains) = from_the_start(&program, &paths, &["--mode", mode]);
            assert_chains(&format!("run, {mode}"), &snapshot, &chains);
            let jit: Vec<_> = sites_of(&snapshot, "leaf_jit").map(text_of).collect();
            assert!(jit.iter().any(|text| text.ends_with('@')), "known after it was met: {jit:?}");
        }
    }
}

#[test]
fn stacks_of_children_and_of_what_they_execute_are_whole() {
    if kernel_or_skip("stacks_of_children_and_of_what_they_execute_are_whole") {
        let program = program(&["children.c"], PIE, &[]).expect("a C program compiles");
        for mode in ["alloc", "live"] {
            let options = ["--mode", mode, "--follow-forks", "yes"];
            let (snapshot, chains) = attached(&program, &[], &options);
            assert_chains(&format!("attach, {mode}"), &snapshot, &chains);
            let (snapshot, chains) = from_the_start(&program, &[], &options);
            assert_chains(&format!("run, {mode}"), &snapshot, &chains);
        }
    }
}
