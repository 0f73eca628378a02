//! Programs that end while they are read, keep no profile, or may not be looked into.

use rustix::process::Signal;
use tracer::go::runtime::Unread;
use tracer::go::runtime::layout::Layout;

use super::program::Program;
use super::toolchains::{Build, oldest_and_newest};

#[test]
fn a_program_that_ends_while_it_is_read_is_gone() {
    for go in oldest_and_newest("a_program_that_ends_while_it_is_read_is_gone") {
        let mut program = Program::start(&go, "heap", Build::Plain, &[("RATE", "512")]);
        program.obey("storm");
        let mut runtime = program.runtime();
        let reader = std::thread::spawn(move || {
            let mut readings = 0_u64;
            loop {
                if let Err(error) = runtime.profile().map(drop).and_then(|()| runtime.totals().map(drop)) {
                    return (readings, error, runtime.totals().err(), runtime.gc().err());
                }
                readings += 1;
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(300));
        program.target.signal(Signal::KILL);
        let (readings, error, totals, gc) = reader.join().expect("no reading panics");
        assert!(readings > 0, "it was read before it ended");
        assert_eq!((error, totals, gc), (Unread::Gone, Some(Unread::Gone), Some(Unread::Gone)));
    }
}

#[test]
fn a_program_without_a_profile_says_so_and_has_its_totals() {
    for go in oldest_and_newest("a_program_without_a_profile_says_so_and_has_its_totals") {
        let program = Program::start(&go, "no_profile", Build::Plain, &[]);
        let mut runtime = program.runtime();
        let missing = runtime.missing();
        let expected = "the heap profile: MemProfileRate is 0: the linker switches it off where nothing can read the \
                        profile; importing net/http/pprof, or calling runtime/pprof for the heap, switches it on";
        assert_eq!(missing, [expected]);
        assert!(matches!(runtime.profile(), Err(Unread::Missing(_))));
        let totals = runtime.totals().expect("it stands still");
        let lag = totals.lag_bytes.expect("allp has a symbol");
        assert!(totals.alloc_bytes <= 11 << 20, "{totals:?}");
        assert!(totals.alloc_bytes + lag >= 10 << 20, "{totals:?}");
    }
}

#[test]
fn a_layout_of_another_version_does_no_harm() {
    for go in oldest_and_newest("a_layout_of_another_version_does_no_harm") {
        let mut program = Program::start(&go, "heap", Build::Plain, &[("RATE", "1")]);
        for command in ["grow 500", "gc 2"] {
            program.obey(command);
        }
        let other = if go.minor == 27 { 19 } else { 27 };
        let layout = Layout::from_table(other).expect("the table has it");
        let mut runtime = program.runtime_by(layout).expect("the variables are there");
        // Whatever it says, it ends.
        for reading in [runtime.profile().err(), runtime.totals().err(), runtime.gc().err()] {
            assert!(reading != Some(Unread::Gone));
        }
        assert!(program.target.alive());
    }
}

#[test]
fn the_runtime_of_a_process_that_has_ended_is_not_found() {
    for go in oldest_and_newest("the_runtime_of_a_process_that_has_ended_is_not_found") {
        let mut program = Program::start(&go, "no_profile", Build::Plain, &[]);
        let runtime = program.runtime();
        program.target.signal(Signal::KILL);
        program.target.wait();
        assert_eq!(runtime.missing(), Vec::<String>::new(), "what is unknown is not missing");
        let path = std::path::PathBuf::from(format!("/proc/{}/mem", program.target.pid()));
        assert!(!path.exists());
    }
}
