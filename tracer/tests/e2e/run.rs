//! `run`: the command owns its arguments, environment, streams, signals and exit code; nothing is missed.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use crate::compare::assert_named_sites;
use crate::copies::copy_program;
use crate::fixtures;
use crate::fixtures::fixture;
use crate::harness::{Outcome, Tracer, kernel_or_skip, tracer};

/// libstdc++'s emergency pool for exceptions on x86-64: of GCC up to 12, and since.
const EMERGENCY_POOLS: [u64; 2] = [72_704, 73_728];

/// `tracer run` of `echoes` without any output option.
fn echoes(arguments: &[&str]) -> Tracer {
    Tracer::spawn(tracer().args(["run", "--"]).arg(fixture("echoes")).args(arguments))
}

fn assert_code(outcome: &Outcome, code: i32) {
    assert_eq!(outcome.code, code, "stdout: {}, stderr: {}", outcome.stdout, outcome.stderr);
}

/// Check that the command's own code comes through, and 128 + n for a signal.
#[test]
fn exit_code_of_the_command_passes_through() {
    if kernel_or_skip("exit_code_of_the_command_passes_through") {
        for code in [0, 1, 125, 255] {
            assert_code(&echoes(&["exit", &code.to_string()]).wait(), code);
        }
        for signal in [2, 9, 11] {
            assert_code(&echoes(&["kill", &signal.to_string()]).wait(), 128 + signal);
        }
    }
}

/// Check that a command that cannot be started is 127, or 126 when it is no program.
#[test]
fn command_that_cannot_be_started_is_126_or_127() {
    if kernel_or_skip("command_that_cannot_be_started_is_126_or_127") {
        let missing = Tracer::spawn(tracer().args(["run", "--", "/nonexistent/program"])).wait();
        missing.assert_refused(127, &["/nonexistent/program"]);
        let not_in_path = Tracer::spawn(tracer().args(["run", "--", "no-such-program-anywhere"])).wait();
        not_in_path.assert_refused(127, &["no-such-program-anywhere"]);
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("no_program");
        fs::write(&path, "text").expect("our own file");
        let no_program = Tracer::spawn(tracer().args(["run", "--"]).arg(&path)).wait();
        no_program.assert_refused(126, &["no_program"]);
    }
}

/// Check that a format that has no place to go is wrong usage: stdout is the command's.
#[test]
fn format_without_output_file_is_wrong_usage() {
    for format in ["json", "pprof", "folded", "svg"] {
        let outcome = Tracer::spawn(tracer().args(["run", "--format", format, "--", "true"])).wait();
        outcome.assert_refused(2, &["-o", "--output"]);
    }
}

/// Check that arguments arrive as they are, options and empty ones too.
#[test]
fn arguments_pass_through() {
    if kernel_or_skip("arguments_pass_through") {
        let arguments = ["args", "two words", "", "--pid", "-o", "--", "$HOME", "ünï"];
        let outcome = echoes(&arguments).wait();
        assert_eq!(outcome.stdout.lines().collect::<Vec<_>>(), arguments[1..], "stderr: {}", outcome.stderr);
    }
}

/// Check that the environment is the caller's, without additions that change the target.
#[test]
fn environment_passes_through() {
    if kernel_or_skip("environment_passes_through") {
        let arguments = ["run", "--"];
        let names = ["env", "E2E_ONE", "E2E_TWO", "LD_PRELOAD", "LD_DEBUG", "LD_BIND_NOW"];
        let mut command = tracer();
        command
            .args(arguments)
            .arg(fixture("echoes"))
            .args(names)
            .env("E2E_ONE", "a b")
            .env_remove("LD_PRELOAD");
        let outcome = Tracer::spawn(&mut command).wait();
        let expected = "E2E_ONE=a b\nE2E_TWO unset\nLD_PRELOAD unset\nLD_DEBUG unset\nLD_BIND_NOW unset\n";
        assert_eq!(outcome.stdout, expected, "stderr: {}", outcome.stderr);
    }
}

/// Check that a megabyte goes in and comes out, and that stderr holds the command's own and the table.
#[test]
fn standard_streams_belong_to_the_command() {
    if kernel_or_skip("standard_streams_belong_to_the_command") {
        let text = "0123456789abcde\n".repeat(1 << 16);
        // Its one block was freed, so the default view, what is in use, has no row for it.
        let arguments = ["run", "--view", "alloc_space", "--"];
        let mut tracer = Tracer::spawn(tracer().args(arguments).arg(fixture("echoes")).arg("cat"));
        tracer.write_input(&text);
        let outcome = tracer.wait();
        assert_code(&outcome, 0);
        assert_eq!(outcome.stdout.len(), text.len(), "every byte comes out");
        assert!(outcome.stdout == text, "and unchanged");
        assert!(
            outcome.stderr.contains(&format!("{} bytes", text.len())),
            "its own stderr: {}",
            outcome.stderr
        );
        assert!(outcome.stderr.contains("touch_the_heap"), "the table follows on stderr: {}", outcome.stderr);
    }
}

/// Check that TERM, HUP, USR1 and USR2 go on to the command, and that INT does not end the tracer before it.
#[test]
fn signals_are_forwarded_to_the_command() {
    if kernel_or_skip("signals_are_forwarded_to_the_command") {
        let mut tracer = echoes(&["signals"]);
        tracer.wait_output("ready");
        let numbers = [(Signal::HUP, "01"), (Signal::USR1, "10"), (Signal::USR2, "12")];
        for (signal, number) in numbers {
            tracer.signal(signal);
            tracer.wait_output(&format!("got {number}"));
        }
        // A terminal sends it to the whole group; here only the tracer gets it and must leave it alone.
        tracer.signal(Signal::INT);
        tracer.signal(Signal::USR1);
        tracer.signal(Signal::TERM);
        let outcome = tracer.wait();
        assert_code(&outcome, 42);
        assert!(outcome.stdout.contains("got 15"), "TERM arrived: {}", outcome.stdout);
        assert!(!outcome.stdout.contains("got 02"), "INT is not forwarded: {}", outcome.stdout);
    }
}

/// Check that what constructors allocate before main is counted, and what libstdc++ takes for itself.
#[test]
fn constructors_before_main_are_counted() {
    if kernel_or_skip("constructors_before_main_are_counted") {
        let outcome = Tracer::run(&[], &fixtures::with_constructors(), &[]).wait();
        let snapshot = outcome.success();
        assert_eq!(outcome.stdout, "constructed\n", "the program did its work");
        let library_bytes = (1000..1050).sum();
        assert_named_sites(
            &snapshot,
            &[
                ("before_main_site", 50, library_bytes),
                ("static_object_site", 30, 15_000),
                ("main_site", 20, 5_000),
            ],
        );
        let in_libstdcxx = snapshot.sites.iter().filter(|site| {
            let module = site.frames.first().and_then(|frame| frame.module.as_deref());
            module.is_some_and(|path| path.contains("libstdc++"))
        });
        let pool: u64 = in_libstdcxx.map(|site| site.alloc_bytes).sum();
        assert!(EMERGENCY_POOLS.contains(&pool), "libstdc++'s pool: {pool} in {:?}", snapshot.sites);
        let own = 50 + 30 + 20 + 1;
        assert_eq!(snapshot.targets[0].totals.alloc_objects, own, "and nothing else: {:?}", snapshot.sites);
    }
}

/// Check that one run writes every format by the suffix of its file.
#[test]
fn every_output_format_is_written_by_suffix() {
    if kernel_or_skip("every_output_format_is_written_by_suffix") {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let mut command = tracer();
        command.arg("run");
        for name in ["x.json", "y.pb.gz", "z.svg", "w.folded"] {
            command.arg("-o").arg(path(name));
        }
        command.arg("--").arg(fixture("truth")).args(["--stacks", "16", "--hold-all"]);
        let outcome = Tracer::spawn(&mut command).wait();
        assert_code(&outcome, 0);
        let read = |name: &str| fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let json: serde_json::Value = serde_json::from_slice(&read("x.json")).expect("one JSON object");
        assert_eq!(json["schema"], "tracer/1", "the contract's document");
        assert_eq!(read("y.pb.gz")[..2], [0x1f, 0x8b], "gzip");
        let svg = String::from_utf8(read("z.svg")).expect("text");
        assert!(svg.contains("<svg") && svg.contains("site_3_malloc"), "a flamegraph with its functions");
        assert_folded(&String::from_utf8(read("w.folded")).expect("text"), &json);
    }
}

/// Folded lines are `root;…;leaf VALUE`, and their sum is the JSON's.
fn assert_folded(folded: &str, json: &serde_json::Value) {
    let values = folded.lines().map(|line| {
        let (stack, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("a stack and a value: {line}"));
        assert!(!stack.is_empty(), "a stack: {line}");
        value.parse::<u64>().unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    let sum: u64 = values.sum();
    assert_eq!(Some(sum), json["targets"][0]["totals"]["inuse_bytes"].as_u64(), "bytes in use: {folded}");
}

/// Check that without any option the table comes on stderr, after the command has ended.
#[test]
fn table_goes_to_stderr_without_an_output_file() {
    if kernel_or_skip("table_goes_to_stderr_without_an_output_file") {
        let arguments = ["run", "--top", "200", "--"];
        let mut command = tracer();
        command.args(arguments).arg(fixture("truth")).args(["--stacks", "4", "--hold-all"]);
        let outcome = Tracer::spawn(&mut command).wait();
        assert_code(&outcome, 0);
        assert_eq!(outcome.stdout.lines().count(), 1, "stdout is the command's alone: {}", outcome.stdout);
        for site in ["site_0_malloc", "site_3_realloc"] {
            assert!(outcome.stderr.contains(site), "{site} is in the table: {}", outcome.stderr);
        }
    }
}

/// Check that a set-uid program is not traced, and that this is said.
#[test]
fn set_uid_command_is_not_traced_and_that_is_said() {
    if kernel_or_skip("set_uid_command_is_not_traced_and_that_is_said") {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("set_uid");
        copy_program(&fixture("echoes"), &path);
        let owned = Command::new("chown").arg("65534").arg(&path).status().expect("chown is everywhere");
        let marked = Command::new("chmod").arg("4755").arg(&path).status().expect("chmod is everywhere");
        assert!(owned.success() && marked.success(), "the copy is set-uid");
        let outcome = Tracer::spawn(tracer().args(["run", "--"]).arg(&path).args(["exit", "3"])).wait();
        let message = outcome.stderr.to_lowercase();
        assert!(message.contains("set-uid") || message.contains("setuid"), "it says so: {}", outcome.stderr);
        assert!(!message.contains("touch_the_heap"), "and shows nothing of it: {}", outcome.stderr);
    }
}

/// Check that a program found in PATH runs, with shebang scripts and their interpreters.
#[test]
fn commands_from_path_and_scripts_run() {
    if kernel_or_skip("commands_from_path_and_scripts_run") {
        let outcome = Tracer::spawn(tracer().args(["run", "--", "sh", "-c", "exit 5"])).wait();
        assert_code(&outcome, 5);
        let directory = tempfile::tempdir().expect("a directory");
        let script = directory.path().join("script");
        fs::write(&script, "#!/bin/sh\necho from the script\nexit 6\n").expect("our own file");
        let marked = Command::new("chmod").arg("755").arg(&script).status().expect("chmod is everywhere");
        assert!(marked.success(), "the script is executable");
        let outcome = Tracer::spawn(tracer().args(["run", "--"]).arg(&script)).wait();
        assert_code(&outcome, 6);
        assert_eq!(outcome.stdout, "from the script\n", "its output");
    }
}
