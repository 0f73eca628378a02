//! Readings of a program that allocates and collects as fast as it can.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tracer::go::{HeapProfile, Unread};

use super::program::Program;
use super::toolchains::{Build, oldest_and_newest};

/// How long 200 readings and a hundred collections may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Allocated and freed objects of each bucket.
fn counts(profile: &HeapProfile) -> HashMap<u64, [u64; 2]> {
    profile.buckets.iter().map(|bucket| (bucket.address, [bucket.allocated, bucket.freed])).collect()
}

/// A reading that is whole. One that is torn to the end says so: where its writer is stopped in the middle, on a machine that
/// has other things to do.
fn whole<T>(reading: Result<T, Unread>, torn: &mut u32) -> Option<T> {
    match reading {
        Ok(whole) => Some(whole),
        Err(Unread::Torn) => {
            *torn += 1;
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn readings_under_load_are_whole_and_their_numbers_only_grow() {
    for go in oldest_and_newest("readings_under_load_are_whole_and_their_numbers_only_grow") {
        // 512 KiB, the default, and one so small that each reading has thousands of changes to meet.
        for rate in ["524288", "512"] {
            let mut program = Program::start(&go, "heap", Build::Plain, &[("RATE", rate), ("GOGC", "20")]);
            program.obey("storm");
            let mut runtime = program.runtime();
            let (mut before, mut totals_before, mut cycles) = (HashMap::<u64, [u64; 2]>::new(), [0; 4], 0);
            let (mut retries, mut readings, mut torn) = (0, 0, 0);
            let begin = Instant::now();
            while readings < 200 || cycles <= 100 {
                assert!(
                    begin.elapsed() < PATIENCE,
                    "{readings} readings, {cycles} cycles: it is not under load"
                );
                let Some(profile) = whole(runtime.profile(), &mut torn) else { continue };
                readings += 1;
                retries += profile.retries;
                for bucket in &profile.buckets {
                    assert!(bucket.live + bucket.freed <= bucket.allocated, "{bucket:?}, Go 1.{}", go.minor);
                }
                let now = counts(&profile);
                for (address, [allocated, freed]) in &before {
                    let later = now.get(address).expect("buckets are never freed");
                    assert!(
                        allocated <= &later[0] && freed <= &later[1],
                        "{readings}: {later:?}, Go 1.{}",
                        go.minor
                    );
                }
                before = now;
                let Some(totals) = whole(runtime.totals(), &mut torn) else { continue };
                let all = [totals.alloc_objects, totals.alloc_bytes, totals.free_objects, totals.free_bytes];
                assert!(
                    totals_before.iter().zip(&all).all(|(before, now)| before <= now),
                    "{totals_before:?} {all:?}"
                );
                assert!(totals.free_bytes <= totals.alloc_bytes, "{totals:?}");
                totals_before = all;
                let Some(gc) = whole(runtime.gc(), &mut torn) else { continue };
                assert!(gc.cycles >= cycles, "{gc:?}");
                assert!(gc.pauses.is_sorted_by_key(|pause| pause.end_unix_ns), "{gc:?}");
                cycles = gc.cycles;
            }
            assert!(totals_before[1] > 1 << 24, "the program was under load: {totals_before:?}");
            assert!(before.values().any(|[allocated, _]| *allocated > 10), "its profile grew");
            println!(
                "Go 1.{}, rate {rate}: {readings} readings, {torn} torn, {retries} retries, {cycles} cycles",
                go.minor
            );
            assert!(torn < readings / 10, "{torn} of {readings} readings are torn");
        }
    }
}

#[test]
fn readings_while_the_program_reads_itself_are_whole() {
    for go in oldest_and_newest("readings_while_the_program_reads_itself_are_whole") {
        let mut program = Program::start(&go, "heap", Build::Plain, &[]);
        program.obey("storm");
        let mut runtime = program.runtime();
        let mut before = 0;
        for _ in 0..100 {
            // Its `metrics.Read` turns the counters while they are read.
            program.target.command("snap");
            for _ in 0..20 {
                let totals = runtime.totals().expect("whole totals");
                assert!(
                    totals.alloc_bytes >= before,
                    "{} after {before}, Go 1.{}",
                    totals.alloc_bytes,
                    go.minor
                );
                before = totals.alloc_bytes;
            }
            assert_eq!(program.target.next_line(), "done");
        }
    }
}
