//! C++ with exceptions, Rust, and C with musl, whose library has no unwind tables.

use std::path::Path;

use tracer::model::snapshot::{CallSite, Snapshot};

use super::build::{Link, NO_PIE, PIE, STATIC, STATIC_PIE, program, rust_program};
use super::chain::{assert_beginnings, assert_chains, name, sites_of, text_of};
use super::{attached, from_the_start};
use crate::allocators::system_library;
use crate::harness::{kernel_or_skip, skip};

/// By `attach` in one mode and by `run` in the other.
fn assert_whole(what: &str, program: &Path) -> Snapshot {
    let (snapshot, chains) = from_the_start(program, &[], &["--mode", "live"]);
    assert_chains(&format!("{what}, run"), &snapshot, &chains);
    let (snapshot, chains) = attached(program, &[], &["--mode", "alloc"]);
    assert_chains(&format!("{what}, attach"), &snapshot, &chains);
    snapshot
}

#[test]
fn every_stack_of_cpp_with_exceptions_is_whole() {
    if kernel_or_skip("every_stack_of_cpp_with_exceptions_is_whole") {
        for link in [PIE, NO_PIE, STATIC, STATIC_PIE] {
            let program = program(&["plain.cpp"], link, &[]).expect("a C++ program compiles");
            assert_whole(link.name, &program);
        }
    }
}

#[test]
fn every_stack_of_rust_without_frame_pointers_is_whole() {
    if kernel_or_skip("every_stack_of_rust_without_frame_pointers_is_whole") {
        let links: [(&str, &[&str]); 3] = [
            ("pie", &[]),
            ("no_pie", &["-C", "relocation-model=static"]),
            ("static_pie", &["-C", "target-feature=+crt-static"]),
        ];
        for (name, flags) in links {
            let program = rust_program(name, flags).expect("a Rust program compiles");
            assert_whole(name, &program);
        }
    }
}

/// Who calls `new`, and how often one operator calls another.
const NEWS: [(&str, usize); 4] =
    [("calls_new", 1), ("calls_array_new", 1), ("calls_aligned_new", 1), ("calls_nothrow_new", 2)];

fn assert_news(what: &str, snapshot: &Snapshot, has_own_new: bool) {
    for (caller, operators) in NEWS {
        let operators = if has_own_new { 0 } else { operators };
        let is_of_caller = |site: &&CallSite| site.frames.iter().any(|frame| name(frame) == caller);
        let site = snapshot.sites.iter().find(is_of_caller);
        let site = site.unwrap_or_else(|| panic!("{what}: {caller} is in no stack"));
        let names: Vec<_> = site.frames.iter().map(|frame| name(frame)).collect();
        let expected = [vec!["operator"; operators], vec![caller, "news", "main"]].concat();
        assert_eq!(names[..names.len().min(expected.len())], expected, "{what}: {}", text_of(site));
        assert_eq!(site.truncated, None, "{what}: {}", text_of(site));
    }
}

#[test]
fn the_function_that_called_new_is_on_the_stack_of_libstdcpp() {
    let test = "the_function_that_called_new_is_on_the_stack_of_libstdcpp";
    if kernel_or_skip(test) {
        let program = program(&["plain.cpp"], PIE, &[]).expect("a C++ program compiles");
        for mode in ["alloc", "live"] {
            let (snapshot, _) = attached(&program, &[], &["--mode", mode]);
            assert_news(mode, &snapshot, false);
        }
    }
}

#[test]
fn the_function_that_called_new_is_the_direct_caller_of_an_allocators_own_new() {
    let test = "the_function_that_called_new_is_the_direct_caller_of_an_allocators_own_new";
    if kernel_or_skip(test) {
        let libraries =
            [("libjemalloc.so.2", "libjemalloc2"), ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4")];
        for (file, package) in libraries {
            let library = match system_library(file, package) {
                Ok(library) => library,
                Err(reason) => return skip(test, &reason),
            };
            let link = Link { name: package, flags: PIE.flags };
            let program = program(&["plain.cpp"], link, &["-Wl,--no-as-needed", &library]);
            let program = program.expect("a C++ program compiles");
            for mode in ["alloc", "live"] {
                let (snapshot, chains) = attached(&program, &[], &["--mode", mode]);
                assert_chains(&format!("{file}, {mode}"), &snapshot, &chains);
                assert_news(&format!("{file}, {mode}"), &snapshot, true);
            }
        }
    }
}

#[test]
fn stacks_of_musl_are_right_as_far_as_they_reach() {
    let test = "stacks_of_musl_are_right_as_far_as_they_reach";
    if kernel_or_skip(test) {
        let link = Link { name: "musl", flags: &["-static", "-fno-pie"] };
        let program = match super::build::musl_program(&["plain.c", "frames.c", "faults.c"], link) {
            Ok(program) => program,
            Err(reason) => return skip(test, &reason),
        };
        for mode in ["alloc", "live"] {
            let (snapshot, chains) = attached(&program, &[], &["--mode", mode]);
            assert_beginnings(mode, &snapshot, &chains);
            // What calls nothing of musl reaches its start.
            let site = sites_of(&snapshot, "leaf_variadic").next().expect("it was called");
            assert_eq!(site.truncated, None, "{}", text_of(site));
        }
    }
}
