//! What the collector did, against `debug.ReadGCStats`, `runtime.MemStats` and `runtime/metrics`.

use tracer::go::{GcState, Pause};

use super::program::{Program, Truth};
use super::toolchains::{Build, Go, all};

fn compare(go: &Go, read: &GcState, truth: &Truth) {
    let memory = &truth.memory;
    let said = (memory.num_gc, memory.num_forced_gc, memory.pause_total_ns, memory.last_gc);
    let counts = (read.cycles, read.forced_cycles, read.pause_total_ns, read.last_end_unix_ns);
    assert_eq!(counts, said, "Go 1.{}", go.minor);
    assert!((read.cpu_fraction - memory.gc_cpu_fraction).abs() < 1e-12, "{read:?}");
    let (lengths, ends) = (truth.pauses.iter().flatten(), truth.ends.iter().flatten());
    let mut pauses: Vec<Pause> = lengths
        .zip(ends)
        .zip((1..=memory.num_gc).rev())
        .map(|((&nanoseconds, &end_unix_ns), cycle)| Pause { cycle, nanoseconds, end_unix_ns })
        .collect();
    pauses.reverse();
    assert_eq!(read.pauses, pauses, "Go 1.{}", go.minor);
    assert_eq!(read.heap_goal_bytes, Some(memory.next_gc), "Go 1.{}", go.minor);
    if let Some(live) = truth.metrics.get("/gc/heap/live:bytes") {
        assert_eq!(read.heap_marked_bytes, Some(*live), "Go 1.{}", go.minor);
    }
}

#[test]
fn the_collections_are_those_of_the_program_itself() {
    let environments: [&[(&str, &str)]; 3] = [
        &[("GOGC", "50")],
        &[("GOMEMLIMIT", "24MiB"), ("GOGC", "400")],
        &[("GOGC", "off"), ("GOMEMLIMIT", "1GiB")],
    ];
    for go in all("the_collections_are_those_of_the_program_itself") {
        for (environment, percent) in environments.iter().zip([50, 400, -1]) {
            let mut program = Program::start(&go, "heap", Build::Plain, environment);
            let mut runtime = program.runtime();
            // Before the first, after some, and after more than the ring holds.
            for (count, least) in [("gc 0", 0), ("gc 3", 3), ("gc 300", 303)] {
                for command in ["grow 3000", count] {
                    program.obey(command);
                }
                let (read, truth) = program.at_rest(|| runtime.gc().expect("whole"));
                assert!(read.cycles >= least && read.forced_cycles == least, "{read:?}");
                assert_eq!(read.gc_percent, Some(percent), "Go 1.{}", go.minor);
                compare(&go, &read, &truth);
            }
        }
    }
}

#[test]
fn a_program_that_is_to_collect_never_has_no_goal() {
    for go in all("a_program_that_is_to_collect_never_has_no_goal") {
        let program = Program::start(&go, "heap", Build::Plain, &[("GOGC", "off")]);
        let read = program.runtime().gc().expect("it stands still");
        assert_eq!(
            (read.heap_goal_bytes, read.cycles, read.last_end_unix_ns),
            (None, 0, 0),
            "Go 1.{}",
            go.minor
        );
    }
}
