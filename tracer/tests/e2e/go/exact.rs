//! The heap profile and the totals of a program that samples every allocation, against its own.

use std::collections::HashMap;

use tracer::go::{Bucket, HeapProfile};

use super::program::{Program, Record, Truth};
use super::toolchains::{Build, all, oldest_and_newest};

/// A row of the profile: stack, bytes of an object, allocated and freed objects.
type Row = (Vec<u64>, u64, u64, u64);

fn rows_of_truth(records: &[Record]) -> Vec<Row> {
    let rows = records.iter().filter(|record| record.allocated > 0);
    let row = |record: &Record| {
        (record.stack.clone(), record.allocated_bytes / record.allocated, record.allocated, record.freed)
    };
    let mut rows: Vec<Row> = rows.map(row).collect();
    rows.sort();
    rows
}

fn rows_read(profile: &HeapProfile) -> Vec<Row> {
    let published = profile.buckets.iter().filter(|bucket| bucket.live + bucket.freed > 0);
    let row = |bucket: &Bucket| {
        // `MemProfileRecord` holds no more.
        let stack = bucket.stack.iter().copied().take(32).collect();
        (stack, bucket.size_bytes, bucket.live + bucket.freed, bucket.freed)
    };
    let mut rows: Vec<Row> = published.map(row).collect();
    rows.sort();
    rows
}

/// What was read of objects that a function made.
fn made_by<'a>(profile: &'a HeapProfile, truth: &Truth, function: &str) -> Vec<&'a Bucket> {
    let records = truth.records.iter().filter(|record| record.functions.iter().any(|name| name == function));
    let stacks: Vec<&[u64]> = records.map(|record| record.stack.as_slice()).collect();
    profile
        .buckets
        .iter()
        .filter(|bucket| stacks.iter().any(|stack| bucket.stack.starts_with(stack)))
        .collect()
}

#[test]
fn the_heap_profile_is_that_of_the_program_itself() {
    for go in all("the_heap_profile_is_that_of_the_program_itself") {
        for build in [Build::Plain, Build::Pie] {
            let mut program = Program::start(&go, "heap", build, &[("RATE", "1")]);
            for command in ["grow 1000", "gc 2"] {
                program.obey(command);
            }
            let mut runtime = program.runtime();
            assert_eq!(runtime.missing(), Vec::<String>::new());
            let (read, truth) = program.at_rest(|| runtime.profile().expect("whole"));
            assert_eq!((read.interval_bytes, read.retries), (1, 0));
            assert!(truth.records.len() > 20, "{truth:?}");
            assert_eq!(rows_read(&read), rows_of_truth(&truth.records), "Go 1.{}, {build:?}", go.minor);
            for (function, bytes, count) in
                [("main.makeNode", 48, 1000), ("main.makeLarge", 106_496, 10), ("main.makeTiny", 16, 188)]
            {
                let made = made_by(&read, &truth, function);
                assert_eq!(
                    made.iter().map(|bucket| bucket.size_bytes).collect::<Vec<_>>(),
                    [bytes],
                    "{function}"
                );
                let live: u64 = made.iter().map(|bucket| bucket.live).sum();
                let allocated: u64 = made.iter().map(|bucket| bucket.allocated).sum();
                match function {
                    // How many share a block depends on what else does.
                    "main.makeTiny" => assert!((150..=1000).contains(&live), "{function}: {live}"),
                    _ => assert_eq!((allocated, live), (count, count), "{function}, Go 1.{}", go.minor),
                }
            }
        }
    }
}

#[test]
fn allocations_are_counted_at_once_and_what_lives_as_of_a_collection() {
    for go in oldest_and_newest("allocations_are_counted_at_once_and_what_lives_as_of_a_collection") {
        let mut program = Program::start(&go, "heap", Build::Plain, &[("RATE", "1"), ("GOGC", "off")]);
        let mut runtime = program.runtime();
        let mut seen = Vec::new();
        for command in ["grow 100", "gc 2", "grow 23", "drop", "gc 2"] {
            program.obey(command);
            seen.push(runtime.profile().expect("it stands still"));
        }
        program.obey("snap");
        let truth = program.truth();
        let numbers: Vec<_> = seen
            .iter()
            .map(|profile| made_by(profile, &truth, "main.makeNode"))
            .map(|made| {
                made.first().map_or((0, 0, 0), |bucket| (bucket.allocated, bucket.live, bucket.freed))
            })
            .collect();
        let expected = [(100, 0, 0), (100, 100, 0), (123, 100, 0), (123, 100, 0), (123, 0, 123)];
        assert_eq!(numbers, expected, "Go 1.{}", go.minor);
        // Nothing of a bucket is found out twice.
        let addresses = |profile: &HeapProfile| -> HashMap<u64, *const u64> {
            profile.buckets.iter().map(|bucket| (bucket.address, bucket.stack.as_ptr())).collect()
        };
        let (first, last) = (addresses(&seen[0]), addresses(&seen[4]));
        assert!(first.len() > 10);
        assert!(first.iter().all(|(address, stack)| last.get(address) == Some(stack)));
    }
}

#[test]
fn the_totals_are_those_of_the_program_itself() {
    for go in all("the_totals_are_those_of_the_program_itself") {
        let mut program = Program::start(&go, "heap", Build::Plain, &[]);
        for command in ["grow 5000", "gc 1", "drop", "gc 2", "grow 77"] {
            program.obey(command);
        }
        let mut runtime = program.runtime();
        let (read, truth) = program.at_rest(|| runtime.totals().expect("whole"));
        let memory = &truth.memory;
        let said = (memory.mallocs, memory.total_alloc, memory.frees, memory.total_alloc - memory.heap_alloc);
        let totals = (read.alloc_objects, read.alloc_bytes, read.free_objects, read.free_bytes);
        assert_eq!(totals, said, "Go 1.{}", go.minor);
        // `BySize` ends before the largest classes.
        for (by_size, class) in memory.by_size.iter().skip(1).zip(&read.sizes) {
            assert_eq!(
                (Some(by_size.size), by_size.mallocs),
                (class.bytes, class.objects),
                "Go 1.{}",
                go.minor
            );
        }
        assert_eq!(read.sizes.len(), 68, "67 classes and the large ones");
        let sum: u64 = read.sizes.iter().map(|class| class.objects).sum();
        assert_eq!(sum + read.tiny_objects, read.alloc_objects);
        assert!(
            read.tiny_objects >= 4000
                && read.sizes.iter().any(|class| class.bytes.is_none() && class.objects >= 50)
        );
        let processors = read.lag_bytes.expect("allp has a symbol") / (2 * 1_376_256);
        assert!((1..=4096).contains(&processors), "{processors}");
        // `runtime/metrics` was asked just before: the program has allocated nothing since, but may have counted more.
        for (name, ours) in [
            ("/gc/heap/allocs:bytes", read.alloc_bytes),
            ("/gc/heap/frees:bytes", read.free_bytes),
            ("/gc/heap/tiny/allocs:objects", read.tiny_objects),
        ] {
            let theirs = truth.metrics[name];
            assert!(theirs <= ours, "{name}: {theirs}, {ours}, Go 1.{}", go.minor);
        }
    }
}
