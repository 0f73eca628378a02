//! Rules: which processes they are about, which of several holds, and what they say if they say little.

use std::fs;
use std::process::Command;

use super::books::{count_of, row_of, wait_counted_in, wait_looks, wait_row};
use super::driver::Daemon;
use crate::groups::Group;
use crate::harness::{kernel_or_skip, skip};
use crate::inspect::breakpoints_of;
use crate::servants::{Servant, copy_named};

/// Check every kind of rule, those with two kinds, and that the first that fits holds.
#[test]
fn each_process_is_traced_by_the_first_rule_that_fits_it() {
    let name = "each_process_is_traced_by_the_first_rule_that_fits_it";
    if !kernel_or_skip(name) {
        return;
    }
    let Some(group) = Group::create("rules") else { return skip(name, "no control group can be made here") };
    let directory = tempfile::tempdir().expect("a directory");
    let start = |name: &str| Servant::named(&copy_named(&directory, name));
    let id = format!("{:08x}{}", std::process::id(), "0123456789abcdef".repeat(4));
    let (unit, pod) = (group.below("api-test.service"), group.below(&format!("docker-{}.scope", &id[..64])));
    let tree = group.below("tree");
    let names = ["r-pidfile", "r-comm", "r-exe", "r-group", "r-unit", "r-container", "r-both"];
    let mut servants = names.map(start);
    let [by_file, _, _, in_tree, in_unit, in_pod, both] = &servants;
    tree.below("deeper-still").take(in_tree.pid);
    unit.take(in_unit.pid);
    pod.take(in_pod.pid);
    unit.take(both.pid);
    let pid_file = directory.path().join("pid");
    fs::write(&pid_file, format!("{}\n", by_file.pid)).expect("a pid file");
    // The name alone is not enough where a unit is asked for, nor the unit alone.
    let (half, _stranger) = (start("r-half"), start("r-stranger"));
    let config = format!(
        "interval = \"100ms\"\n\
         [[target]]\nname = \"both\"\ncomm = [\"r-both\", \"r-half\"]\nunit = \"api-test.service\"\n\
         [[target]]\nname = \"r-pidfile\"\npid_file = \"{}\"\n\
         [[target]]\nname = \"r-comm\"\ncomm = \"r-comm\"\n\
         [[target]]\nname = \"r-exe\"\nexe = \"{}\"\n\
         [[target]]\nname = \"r-group\"\ncgroup = \"{}\"\n\
         [[target]]\nname = \"r-unit\"\nunit = \"api-test.service\"\n\
         [[target]]\nname = \"r-container\"\ncontainer = \"{}\"\n\
         [[target]]\nname = \"never\"\ncomm = [\"r-comm\", \"r-unit\", \"r-both\"]\nmode = \"live\"\n",
        pid_file.display(),
        directory.path().join("r-exe").display(),
        tree.path().display(),
        &id[..12]
    );
    let daemon = Daemon::start(&config);
    for (servant, name) in servants.iter_mut().zip(names) {
        let row = wait_row(&daemon, servant.pid, |_| true);
        let rule = if name == "r-both" { "both" } else { name };
        assert_eq!(row["rule"], rule, "{row}");
        assert_eq!((&row["mode"], count_of(&row, "sample_bytes")), (&"alloc".into(), 512 << 10), "{row}");
        servant.work(1);
    }
    assert_eq!(daemon.metric("tracer_target_processes", &[]), Some(7.0), "and no other one");
    assert_eq!(breakpoints_of(half.pid), 0, "half of a rule is no rule");
    let intervals = daemon.metrics();
    let intervals = intervals.iter().filter(|sample| sample.name == "tracer_sample_interval_bytes");
    assert!(intervals.clone().count() > 0 && intervals.clone().all(|sample| sample.value == 524_288.0));
    later(&daemon, &directory, &unit, half, &pid_file);
    drop(servants);
}

/// The same for what comes later: into a pid file, by exec, into a unit before it.
fn later(
    daemon: &Daemon,
    directory: &tempfile::TempDir,
    unit: &Group,
    mut half: Servant,
    pid_file: &std::path::Path,
) {
    // As systemd does it: into the group first, then the program.
    unit.take(half.pid);
    half.become_program(&directory.path().join("r-half"));
    half.process.wait_ready();
    assert_eq!(wait_row(daemon, half.pid, |_| true)["rule"], "both");
    let mut becomes = Servant::named(&copy_named(directory, "r-nobody"));
    wait_looks(daemon, 1);
    assert!(row_of(daemon, becomes.pid).is_none());
    becomes.become_program(&directory.path().join("r-comm"));
    becomes.process.wait_ready();
    assert_eq!(wait_row(daemon, becomes.pid, |_| true)["rule"], "r-comm");
    let named = Servant::named(&directory.path().join("r-nobody"));
    fs::write(pid_file, named.pid.to_string()).expect("a pid file");
    assert_eq!(wait_row(daemon, named.pid, |_| true)["rule"], "r-pidfile");
}

/// Check that without a rule nothing is traced, until one is there; and that a rule that goes takes its processes along.
#[test]
fn nothing_is_traced_without_a_rule() {
    if !kernel_or_skip("nothing_is_traced_without_a_rule") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut servant = Servant::named(&copy_named(&directory, "no-rule-yet"));
    let daemon = Daemon::start("interval = \"100ms\"\n");
    assert!(daemon.stderr().contains("no rule, so nothing is traced"), "{}", daemon.stderr());
    servant.work(1);
    assert!(Command::new("true").status().expect("it runs").success());
    wait_looks(&daemon, 2);
    assert_eq!(daemon.metric("tracer_target_processes", &[]), None);
    assert_eq!(daemon.metric("tracer_probes_attached", &[]), Some(0.0));
    assert_eq!(breakpoints_of(servant.pid), 0);
    daemon.rewrite_config("interval = \"100ms\"\n[[target]]\ncomm = \"no-rule-yet\"\nsample_bytes = \"0\"\n");
    let mut late = Servant::named(&directory.path().join("no-rule-yet"));
    wait_counted_in(&daemon, &[servant.pid, late.pid]);
    servant.obey("reset", "reset");
    servant.work(2);
    late.work(1);
    let labels = [("service", "no-rule-yet")];
    daemon.wait_metric("tracer_alloc_objects_total", &labels, |value| value >= Some(300.0));
    daemon.rewrite_config("interval = \"100ms\"\n");
    daemon.wait_metric("tracer_probes_attached", &[], |value| value == Some(0.0));
    crate::harness::eventually("its probes are gone", || breakpoints_of(servant.pid) == 0);
    servant.work(2);
    wait_looks(&daemon, 1);
    assert_eq!(daemon.metric("tracer_target_processes", &labels), Some(0.0));
}
