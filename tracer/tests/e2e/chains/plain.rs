//! C, linked in every way, traced in every way.

use std::collections::BTreeSet;
use std::path::Path;

use tracer::model::snapshot::Snapshot;

use super::build::{Link, NO_PIE, PIE, STATIC, STATIC_PIE, program, stripped};
use super::chain::assert_chains;
use super::{attached, from_the_start};
use crate::harness::{kernel_or_skip, skip};

const SOURCES: [&str; 3] = ["plain.c", "frames.c", "faults.c"];

/// Each by `attach` and by `run`, in both modes.
fn assert_whole(what: &str, program: &Path) {
    for mode in ["alloc", "live"] {
        let options = ["--mode", mode];
        let (snapshot, chains) = attached(program, &[], &options);
        assert_chains(&format!("{what}, attach, {mode}"), &snapshot, &chains);
        let (snapshot, chains) = from_the_start(program, &[], &options);
        assert_chains(&format!("{what}, run, {mode}"), &snapshot, &chains);
    }
}

fn whole_in(test: &str, link: Link) {
    if kernel_or_skip(test) {
        match program(&SOURCES, link, &[]) {
            Ok(program) => assert_whole(link.name, &program),
            Err(reason) => skip(test, &reason),
        }
    }
}

#[test]
fn every_stack_of_a_dynamic_pie_is_whole_without_frame_pointers() {
    whole_in("every_stack_of_a_dynamic_pie_is_whole_without_frame_pointers", PIE);
}

#[test]
fn every_stack_of_a_program_at_a_fixed_address_is_whole_without_frame_pointers() {
    whole_in("every_stack_of_a_program_at_a_fixed_address_is_whole_without_frame_pointers", NO_PIE);
}

#[test]
fn every_stack_of_a_static_program_is_whole_without_frame_pointers() {
    whole_in("every_stack_of_a_static_program_is_whole_without_frame_pointers", STATIC);
}

#[test]
fn every_stack_of_a_static_pie_is_whole_without_frame_pointers() {
    whole_in("every_stack_of_a_static_pie_is_whole_without_frame_pointers", STATIC_PIE);
}

/// The stacks of a report, as places in files.
fn places(snapshot: &Snapshot, program: &str) -> BTreeSet<Vec<(bool, Option<u64>)>> {
    let place =
        |module: Option<&str>, offset| (module.is_some_and(|module| module.contains(program)), offset);
    let places = snapshot.sites.iter().map(|site| {
        site.frames.iter().map(|frame| place(frame.module.as_deref(), frame.file_offset)).collect()
    });
    places.collect()
}

#[test]
fn a_stripped_program_has_the_same_stacks_without_names() {
    let name = "a_stripped_program_has_the_same_stacks_without_names";
    if kernel_or_skip(name) {
        for link in [PIE, NO_PIE] {
            let program = match program(&SOURCES, link, &[]) {
                Ok(program) => program,
                Err(reason) => return skip(name, &reason),
            };
            let stripped = stripped(&program);
            let stem = program.file_stem().and_then(|stem| stem.to_str()).expect("a plain name");
            let (with, _) = attached(&program, &[], &["--mode", "alloc"]);
            let (without, _) = attached(&stripped, &[], &["--mode", "alloc"]);
            assert_eq!(places(&with, stem), places(&without, stem), "{}", link.name);
        }
    }
}
