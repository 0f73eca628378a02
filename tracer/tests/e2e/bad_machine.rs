//! Missing privileges, files that cannot be written, and a tracer that is killed.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use rustix::process::Signal;
use tracer::model::snapshot::Mode;

use crate::compare::{Seen, Truth, assert_exact};
use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, eventually, kernel_or_skip, send, skip};
use crate::inspect::{breakpoints_of, descendants_of};

/// Runs the tracer by another program, such as `setpriv`.
fn by(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).arg(env!("CARGO_BIN_EXE_tracer")).env("NO_COLOR", "1");
    command
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Check that root without the needed capabilities gets code 5 and their names.
#[test]
fn missing_capability_is_code_5_and_named() {
    let name = "missing_capability_is_code_5_and_named";
    let without = ["--bounding-set", "-bpf,-perfmon,-sys_admin", "--inh-caps", "-bpf,-perfmon,-sys_admin"];
    if !kernel_or_skip(name) {
        return;
    }
    if !runs("setpriv", &[&without[..], &["true"]].concat()) {
        return skip(name, "setpriv cannot drop capabilities here");
    }
    let mut target = Target::start(&fixture("truth"), &["--wait-start"]);
    let outcome = Tracer::attach_with(by("setpriv", &without), target.pid(), &["--duration", "1s"]).wait();
    outcome.assert_refused(5, &["cap_bpf", "cap_perfmon", "cap_sys_admin"]);
    assert!(target.alive(), "the target lives on");
}

/// Check that another user gets code 5 and a way out.
#[test]
fn user_without_privileges_is_code_5_with_the_remedy() {
    let name = "user_without_privileges_is_code_5_with_the_remedy";
    if !kernel_or_skip(name) {
        return;
    }
    let user = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let readable = runs("setpriv", &[&user[..], &["test", "-x", env!("CARGO_BIN_EXE_tracer")]].concat());
    if !readable {
        return skip(name, "another user cannot execute the tracer where it was built");
    }
    let target = Target::start(&fixture("truth"), &["--wait-start"]);
    let mut command = by("setpriv", &user);
    command.args(["attach", "--duration", "1s", "--format", "json", "--pid", &target.pid().to_string()]);
    Tracer::spawn(&mut command).wait().assert_refused(5, &["cap_bpf", "root", "sudo"]);
}

/// The report of a traced truth program whose `-o` fails must be on stderr as a table, the code 1.
fn assert_report_on_stderr(command: Command, path: &str) {
    let options = ["--rounds", "3", "--stacks", "64", "--hold-all", "--wait-start", "--wait-end"];
    let mut target = Target::start(&fixture("truth"), &options);
    let mut command = command;
    command.args(["attach", "-v", "-o", path, "--pid", &target.pid().to_string()]);
    let mut tracer = Tracer::spawn(&mut command);
    tracer.wait_counting();
    target.go();
    let _truth: Truth = target.next_json();
    let outcome = tracer.stop();
    outcome.assert_refused(1, &[path]);
    assert!(outcome.stderr.contains("site_"), "the table is on stderr, with its sites: {}", outcome.stderr);
}

/// Check that a report that cannot be written goes to stderr as a table.
#[test]
fn unwritable_output_is_code_1_and_the_report_is_not_lost() {
    if kernel_or_skip("unwritable_output_is_code_1_and_the_report_is_not_lost") {
        assert_report_on_stderr(crate::harness::tracer(), "/nonexistent/directory/report.json");
    }
}

/// Check that a report that does not fit on the disk goes to stderr as a table.
#[test]
fn full_disk_is_code_1_and_the_report_is_not_lost() {
    let name = "full_disk_is_code_1_and_the_report_is_not_lost";
    if !kernel_or_skip(name) {
        return;
    }
    if !runs("unshare", &["-m", "true"]) {
        return skip(name, "no private mount namespace here");
    }
    let directory = tempfile::tempdir().expect("a mount point");
    let mount_point = directory.path().to_str().expect("a plain path");
    let script = format!("mount -t tmpfs -o size=8k none {mount_point} && exec \"$0\" \"$@\"");
    let command = by("unshare", &["-m", "sh", "-c", &script]);
    assert_report_on_stderr(command, &format!("{mount_point}/report.json"));
}

/// The ids of this machine's BPF links and programs, as `link N` and `prog N`.
fn bpf_ids() -> BTreeSet<String> {
    let output = Command::new(fixture("bpf_ids")).output().expect("the helper runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "the kernel lists them: {text}");
    text.lines().map(ToOwned::to_owned).collect()
}

/// The same of one process, from its open files.
fn bpf_ids_of(pid: u32) -> BTreeSet<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("our own child");
    let texts = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
    let id = |line: &str| {
        let (name, number) = line.split_once(":\t")?;
        matches!(name, "link_id" | "prog_id").then(|| format!("{} {number}", &name[..4]))
    };
    texts.flat_map(|text| text.lines().filter_map(id).collect::<Vec<_>>()).collect()
}

/// Check that `kill -9` of the tracer leaves the target unharmed and nothing in the kernel or in its code.
#[test]
fn killed_tracer_leaves_the_target_unharmed_and_no_probe() {
    if !kernel_or_skip("killed_tracer_leaves_the_target_unharmed_and_no_probe") {
        return;
    }
    for attach in ["auto", "perf"] {
        let mut target = Target::start(&fixture("storm"), &["--threads", "2", "--until-term"]);
        let mut tracer = Tracer::attach(target.pid(), &["--attach", attach]);
        tracer.wait_counting();
        let held = bpf_ids_of(tracer.pid());
        assert!(held.iter().any(|id| id.starts_with("prog")), "{attach}: it holds programs: {held:?}");
        assert!(held.is_subset(&bpf_ids()), "{attach}: the kernel lists what it holds: {held:?}");
        assert!(breakpoints_of(target.pid()) > 0, "{attach}: its probes are in the target's libc");
        tracer.signal(Signal::KILL);
        assert_eq!(tracer.wait().code, 137, "{attach}: it was killed");
        eventually("the target's libc is as in its file", || breakpoints_of(target.pid()) == 0);
        eventually("its programs and links are gone", || bpf_ids().is_disjoint(&held));
        assert!(target.alive(), "{attach}: the target lives on");
        target.signal(Signal::TERM);
        let truth: serde_json::Value = target.next_json();
        assert_eq!(truth["alloc_objects"], truth["free_objects"], "{attach}: it worked to its own end");
        assert_eq!(target.wait().code(), Some(0), "{attach}: and ended well");
    }
}

/// Check that a killed tracer's command goes on by itself.
#[test]
fn command_of_a_killed_tracer_runs_on() {
    if kernel_or_skip("command_of_a_killed_tracer_runs_on") {
        let mut command = crate::harness::tracer();
        let mut tracer = Tracer::spawn(command.args(["run", "--"]).arg(fixture("echoes")).arg("signals"));
        tracer.wait_output("ready");
        let pid = *descendants_of(tracer.pid()).first().expect("the command is the tracer's child");
        tracer.signal(Signal::KILL);
        // It also holds the tracer's stdout, so its end is the end of this pipe.
        eventually("the command's libc is as in its file", || breakpoints_of(pid) == 0);
        send(pid, Signal::USR1);
        tracer.wait_text("got 10");
        send(pid, Signal::TERM);
        let outcome = tracer.wait();
        assert_eq!(outcome.code, 137, "the tracer was killed: {}", outcome.stderr);
        assert!(outcome.stdout.contains("got 15"), "the command got every signal: {}", outcome.stdout);
    }
}

/// Check that a killed tracer does not spoil the next one's numbers.
#[test]
fn next_tracer_after_a_killed_one_is_exact() {
    if kernel_or_skip("next_tracer_after_a_killed_one_is_exact") {
        let options = ["--rounds", "5", "--stacks", "16", "--leave-every", "3", "--wait-start", "--wait-end"];
        let mut target = Target::start(&fixture("truth"), &options);
        let mut killed = Tracer::attach(target.pid(), &[]);
        killed.wait_counting();
        killed.signal(Signal::KILL);
        killed.wait();
        let mut tracer = Tracer::attach(target.pid(), &[]);
        tracer.wait_counting();
        target.go();
        let truth: Truth = target.next_json();
        assert_exact(&tracer.stop().success(), &truth, Mode::Live, Seen::SinceAttach);
    }
}

/// Check that Ctrl-C reports, and leaves no probe and a target that runs on.
#[test]
fn interrupted_tracer_detaches_cleanly() {
    if kernel_or_skip("interrupted_tracer_detaches_cleanly") {
        let mut target = Target::start(&fixture("storm"), &["--threads", "2", "--until-term"]);
        let mut tracer = Tracer::attach(target.pid(), &[]);
        tracer.wait_counting();
        let outcome = tracer.stop();
        assert_eq!(outcome.code, 0, "the first Ctrl-C reports: {}", outcome.stderr);
        eventually("the target's libc is as in its file", || breakpoints_of(target.pid()) == 0);
        assert!(target.alive(), "the target lives on");
    }
}
