//! Less memory than the unwind tables need.

use std::path::Path;

use tracer::model::snapshot::Snapshot;

use super::build::{PIE, program};
use super::chain::{assert_chains, chains_of};
use crate::harness::{Tracer, kernel_or_skip, nonzero, skip};

const PYTHON: &str = "/usr/bin/python3";
const SCRIPT: &str =
    "import ssl, sqlite3, decimal, ctypes, json; print(sum(len(str(i)) for i in range(2000)))";
const NO_ROOM: &str = "no room for the unwind table of";

fn python(limit: &str) -> Snapshot {
    let options = ["--mode", "alloc", "--max-unwind", limit];
    Tracer::run(&options, Path::new(PYTHON), &["-c", SCRIPT]).wait().success()
}

#[test]
fn stacks_end_where_there_is_no_room_for_a_table_and_that_is_said() {
    let test = "stacks_end_where_there_is_no_room_for_a_table_and_that_is_said";
    if kernel_or_skip(test) {
        if !Path::new(PYTHON).exists() {
            return skip(test, "there is no python3");
        }
        let little = python("1MiB");
        let notes = little.quality.notes.join("\n");
        assert!(notes.contains(NO_ROOM) && notes.contains("--max-unwind"), "{notes}");
        let cut = nonzero(&little.quality.truncated);
        assert!(cut.contains_key("no_table"), "{cut:?}");
        let whole = little.sites.iter().filter(|site| site.truncated.is_none()).count();
        println!("1 MiB: {whole} of {} stacks are whole, {cut:?}", little.sites.len());
        assert!(whole > 0, "what has tables is whole: {cut:?}");

        let enough = python("64MiB");
        let notes = enough.quality.notes.join("\n");
        assert!(!notes.contains(NO_ROOM), "{notes}");
        let whole = enough.sites.iter().filter(|site| site.truncated.is_none()).count();
        println!("64 MiB: {whole} of {}, {:?}", enough.sites.len(), nonzero(&enough.quality.truncated));
    }
}

/// Small programs one after the other, while there is room for the tables of few: those of ended ones make room.
#[test]
fn tables_of_programs_that_have_ended_make_room() {
    let test = "tables_of_programs_that_have_ended_make_room";
    if kernel_or_skip(test) {
        let programs =
            ["/usr/bin/python3", "/usr/bin/perl", "/usr/bin/git", "/usr/bin/gdb", "/usr/bin/openssl"];
        let programs: Vec<_> = programs.into_iter().filter(|path| Path::new(path).exists()).collect();
        let versions: Vec<_> = programs.iter().map(|path| format!("{path} --version; sleep 0.3")).collect();
        let small = program(&["plain.c", "frames.c", "faults.c"], PIE, &[]).expect("a C program compiles");
        let script = format!("{}; exec {}", versions.join("; "), small.display());
        let options = ["--mode", "alloc", "--max-unwind", "2MiB", "--follow-forks", "yes"];
        let mut tracer = Tracer::run(&options, Path::new("/bin/sh"), &["-c", &script]);
        tracer.write_input("xx");
        let outcome = tracer.wait();
        let snapshot = outcome.success();
        println!("{programs:?}: {:?}", snapshot.quality.notes);
        let last = chains_of(&outcome.stdout);
        let is_last = |module: &String| module.contains("chains_plain_c");
        let mut own = snapshot;
        own.sites.retain(|site| site.frames.iter().any(|frame| frame.module.as_ref().is_some_and(is_last)));
        assert_chains("the last program", &own, &last);
    }
}
