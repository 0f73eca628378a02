//! What goes wrong around a daemon: its configuration, its port, its socket, its log, its end.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tracer::model::snapshot::Mode;

use super::books::{
    assert_shows, ctl, done, expected, row_of, wait_counted_in, wait_looks, wait_reloads, wait_row,
};
use super::driver::Daemon;
use crate::groups::Group;
use crate::harness::{Tracer, eventually, kernel_or_skip, skip, tracer};
use crate::inspect::breakpoints_of;
use crate::servants::{Servant, copy_named};
use crate::servers::free_port;

/// A service manager waits so long.
const END: Duration = Duration::from_secs(5);

fn config(comm: &str) -> String {
    format!("interval = \"100ms\"\n[[target]]\ncomm = \"{comm}\"\nmode = \"live\"\nsample_bytes = \"0\"\n")
}

/// Check a configuration that is broken, by a change of the file and by SIGHUP: the old one stays, and it is said where the
/// new one is wrong.
#[test]
fn configuration_that_is_broken_is_refused_and_the_old_one_stays() {
    if !kernel_or_skip("configuration_that_is_broken_is_refused_and_the_old_one_stays") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut servant = Servant::named(&copy_named(&directory, "well-configured"));
    let daemon = Daemon::start(&config("well-configured"));
    wait_counted_in(&daemon, &[servant.pid]);
    let loaded = "tracer_config_reload_success";
    assert_eq!(daemon.metric(loaded, &[]), Some(1.0));
    let since = daemon.metric("tracer_config_reload_success_timestamp_seconds", &[]);
    // Two lines come before it.
    daemon.rewrite_config("interval = \"100ms\"\n[[target]]\ncomm = \"well-configured\"\nmode = \"alive\"\n");
    daemon.wait_metric(loaded, &[], |value| value == Some(0.0));
    eventually("it says what is wrong", || daemon.stderr().contains("the old one stays"));
    let said = daemon.stderr();
    assert!(said.contains("tracer.toml:6") && said.contains("alive"), "file and line: {said}");
    assert!(done(&daemon, &["status"]).contains("tracer.toml:6"), "the status says it too");
    servant.work(2);
    assert_shows(&daemon, &[], &expected(&[servant.tally()], Mode::Live));
    assert_eq!(daemon.metric("tracer_config_reload_success_timestamp_seconds", &[]), since);
    daemon.signal(Signal::HUP);
    assert!(wait_reloads(&daemon, 2).iter().all(serde_json::Value::is_string), "{}", daemon.stderr());
    assert_eq!(daemon.metric(loaded, &[]), Some(0.0));
    daemon.rewrite_config(&config("well-configured"));
    daemon.wait_metric(loaded, &[], |value| value == Some(1.0));
    assert!(daemon.metric("tracer_config_reload_success_timestamp_seconds", &[]) > since);
    daemon.signal(Signal::HUP);
    assert!(wait_reloads(&daemon, 4)[2..].iter().all(serde_json::Value::is_null), "{}", daemon.stderr());
    servant.work(1);
    assert_shows(&daemon, &[], &expected(&[servant.tally()], Mode::Live));
}

/// Check a port and a socket that another daemon has: it is said before anything is attached to, and the other one goes on.
#[test]
fn second_daemon_in_the_same_place_is_refused() {
    if !kernel_or_skip("second_daemon_in_the_same_place_is_refused") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let servant = Servant::named(&copy_named(&directory, "wanted-twice"));
    let first = Daemon::start("interval = \"100ms\"\n");
    let file = directory.path().join("second.toml");
    let second = |port: u16, socket: &std::path::Path| {
        let head = format!("listen = \"127.0.0.1:{port}\"\nsocket = \"{}\"\n", socket.display());
        fs::write(&file, head + &config("wanted-twice")).expect("a configuration");
        Tracer::spawn(tracer().args(["daemon", "--config"]).arg(&file)).wait()
    };
    let outcome = second(first.port(), &directory.path().join("own.sock"));
    outcome.assert_refused(1, &["listen"]);
    assert!(outcome.stderr.contains(&first.port().to_string()), "which port: {}", outcome.stderr);
    second(free_port(), &first.socket())
        .assert_refused(1, &["another daemon runs and answers on it: stop that one"]);
    assert!(!directory.path().join("own.sock").exists(), "nothing is left of the first try");
    assert_eq!(breakpoints_of(servant.pid), 0, "nothing was attached");
    assert!(done(&first, &["status"]).contains("No process is traced"), "the first one answers on");
}

/// Check a daemon that is killed as by the kernel when memory runs out: nothing of it stays but its socket, its targets live
/// on, and the next one begins anew.
#[test]
fn daemon_that_is_killed_leaves_nothing_and_starts_again() {
    if !kernel_or_skip("daemon_that_is_killed_leaves_nothing_and_starts_again") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut servant = Servant::named(&copy_named(&directory, "outlives-it"));
    let mut daemon = Daemon::start(&config("outlives-it"));
    wait_counted_in(&daemon, &[servant.pid]);
    servant.work(3);
    assert_shows(&daemon, &[], &expected(&[servant.tally()], Mode::Live));
    assert!(breakpoints_of(servant.pid) > 0);
    daemon.kill();
    eventually("its probes are gone", || breakpoints_of(servant.pid) == 0);
    assert!(daemon.socket().exists(), "nobody could remove it");
    assert!(UnixStream::connect(daemon.socket()).is_err());
    ctl(&daemon, &["status"]).assert_refused(4, &["no daemon listens"]);
    servant.work(5);
    daemon.start_again();
    wait_counted_in(&daemon, &[servant.pid]);
    servant.obey("reset", "reset");
    servant.work(2);
    servant.obey("drop 4", "dropped");
    // Blocks of before are freed like any other, and were never in use for this one.
    assert_shows(&daemon, &[], &expected(&[servant.tally()], Mode::Live));
    assert!(done(&daemon, &["status"]).contains("outlives-it"));
    assert!(servant.process.alive());
}

/// Check the end that a service manager asks for, with thirty processes.
#[test]
fn daemon_ends_in_time_and_takes_its_socket_along() {
    if !kernel_or_skip("daemon_ends_in_time_and_takes_its_socket_along") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "until-the-end");
    let servants: Vec<Servant> = (0..30).map(|_| Servant::named(&program)).collect();
    let daemon = Daemon::start(&config("until-the-end"));
    let pids: Vec<u32> = servants.iter().map(|servant| servant.pid).collect();
    wait_counted_in(&daemon, &pids);
    let socket = daemon.socket();
    let begin = Instant::now();
    let ended = daemon.stop();
    assert!(begin.elapsed() < END, "it took {:?}", begin.elapsed());
    assert_eq!(ended.code(), Some(0));
    assert!(!socket.exists());
    assert!(pids.iter().all(|&pid| breakpoints_of(pid) == 0), "no probe stays");
}

/// Check that a full disk under the log stops nothing: not the loop, not the control socket, not a reload.
#[test]
fn log_that_cannot_be_written_stops_nothing() {
    if !kernel_or_skip("log_that_cannot_be_written_stops_nothing") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut servant = Servant::named(&copy_named(&directory, "never-mind"));
    let full = File::options().write(true).open("/dev/full").expect("it is always there");
    let folder = tempfile::tempdir().expect("a folder");
    let mut daemon = Daemon::spawn_in(folder, free_port(), &config("never-mind"), full);
    daemon.wait_ready();
    wait_counted_in(&daemon, &[servant.pid]);
    for rate in ["64KiB", "0"] {
        done(&daemon, &["rate", rate]);
    }
    ctl(&daemon, &["rate", "0", "--rule", "nobody"]).assert_refused(1, &["there is no rule nobody"]);
    wait_row(&daemon, servant.pid, |row| row["sample_bytes"] == 0);
    daemon.rewrite_config("mode = \n");
    daemon.wait_metric("tracer_config_reload_success", &[], |value| value == Some(0.0));
    daemon.rewrite_config(&config("never-mind"));
    daemon.wait_metric("tracer_config_reload_success", &[], |value| value == Some(1.0));
    servant.work(2);
    let [objects, ..] = super::books::sums(&[servant.tally()], Mode::Live);
    assert_shows(&daemon, &[], &vec![("tracer_alloc_objects_total", Some(objects))]);
    wait_looks(&daemon, 2);
    assert!(row_of(&daemon, servant.pid).is_some());
    assert_eq!(daemon.stop().code(), Some(0));
}

/// Check that the memory limit of a target's group is shown, once for all of the group.
#[test]
fn memory_limit_of_the_targets_group_is_shown() {
    let name = "memory_limit_of_the_targets_group_is_shown";
    if !kernel_or_skip(name) {
        return;
    }
    let limit = 64 << 20;
    let Some(group) = Group::with_memory_limit("daemon", limit) else {
        return skip(name, "no memory of a control group can be limited here");
    };
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "with-a-limit");
    let servants = [Servant::named(&program), Servant::named(&program)];
    servants.iter().for_each(|servant| group.take(servant.pid));
    let free = Servant::named(&copy_named(&directory, "without-limit"));
    let daemon = Daemon::start(
        &(config("with-a-limit") + &config("without-limit").replace("interval = \"100ms\"\n", "")),
    );
    wait_counted_in(&daemon, &[servants[0].pid, servants[1].pid, free.pid]);
    let shown = |service| daemon.metric("tracer_target_memory_limit_bytes", &[("service", service)]);
    assert_eq!(shown("with-a-limit"), Some(limit as f64), "each limit once");
    let row = wait_row(&daemon, servants[0].pid, |_| true);
    assert_eq!(row["memory_limit_bytes"], limit);
    assert_eq!(shown("without-limit"), None, "a process without a limit has none");
    assert!(row_of(&daemon, free.pid).expect("it is counted in")["memory_limit_bytes"].is_null());
}
