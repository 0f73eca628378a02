//! A target that profiles itself goes on doing so, whoever looks.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, kernel_or_skip, number, skip};

/// Objects and bytes in use, from the line `  t*: OBJECTS: BYTES [OBJECTS: BYTES]` of jemalloc's profile.
fn in_use(profile: &str) -> (u64, u64) {
    let line = profile.lines().find_map(|line| line.trim().strip_prefix("t*: "));
    let numbers = line.and_then(|line| line.split_once(" [")?.0.split_once(": "));
    let (objects, bytes) = numbers.unwrap_or_else(|| panic!("jemalloc's profile: {profile}"));
    (objects.parse().expect("a number"), bytes.parse().expect("a number"))
}

/// Check that jemalloc's own profile of a traced process is what the process did.
#[test]
fn profile_that_jemalloc_keeps_is_true_while_its_process_is_traced() {
    let name = "profile_that_jemalloc_keeps_is_true_while_its_process_is_traced";
    if !kernel_or_skip(name) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let paths = ["before", "after"].map(|name| directory.path().join(name));
    let mut target = Target::spawn(
        Command::new(fixture("profiles_itself"))
            .args(&paths)
            .env("LD_PRELOAD", "libjemalloc.so.2")
            .env("MALLOC_CONF", "prof:true,lg_prof_sample:0"),
    );
    target.wait_ready();
    if !paths[0].exists() {
        return skip(name, "there is no jemalloc that profiles; Debian has one in libjemalloc2");
    }
    let mut tracer = Tracer::attach(target.pid(), &[]);
    tracer.wait_counting();
    target.go();
    let truth: Value = target.next_json();
    drop(tracer.stop().success());
    assert!(target.alive(), "the target lives on");
    assert_eq!(number(&truth, "profiling"), 1, "it could write its profile: {truth}");
    let [before, after] = paths.map(|path| in_use(&fs::read_to_string(path).expect("a profile")));
    let grown = (after.0 - before.0, after.1 - before.1);
    assert_eq!(grown, (number(&truth, "inuse_objects"), number(&truth, "inuse_bytes")), "{truth}");
}
