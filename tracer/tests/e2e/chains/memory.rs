//! Less memory than the unwind tables need.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tracer::model::snapshot::Snapshot;
use tracer::target::selection;

use super::build::{PIE, program};
use super::chain::{assert_chains, chains_of};
use crate::harness::{Tracer, eventually, kernel_or_skip, nonzero, skip};

const PYTHON: &str = "/usr/bin/python3";
/// Far more libraries than 1 MiB has room for, the last of which allocate.
const SCRIPT: &str =
    "import ssl, sqlite3, decimal, ctypes, json, lzma, bz2, curses, readline, xml.parsers.expat
ssl.create_default_context(); sqlite3.connect(':memory:').execute('create table t(a)')
print(sum(len(str(i)) for i in range(2000)))";
const NO_ROOM: &str = "no room for the unwind table of";

/// More than a small program's tables take to be built.
const TABLES: Duration = Duration::from_millis(500);

/// Whether a process runs a program.
fn runs(program: &Path) -> bool {
    selection::all_processes()
        .into_iter()
        .any(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == *program))
}

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
        // It begins when it is told to: its tables are built beside it.
        eventually("the last program runs", || runs(&small));
        thread::sleep(TABLES);
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
