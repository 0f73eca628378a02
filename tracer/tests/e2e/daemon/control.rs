//! `tracer ctl` and reloads while processes run: what changes, what must not, who may.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use tracer::model::snapshot::{Mode, Snapshot};

use super::books::{
    Watcher, assert_shows, count_of, ctl, done, expected, logged, profile, row_of, sums, wait_counted_in,
    wait_gone, wait_reloads, wait_row,
};
use super::counts::{ERRORS, Part, run_skewed};
use super::driver::Daemon;
use crate::compare::direct_caller;
use crate::copies::copy_program;
use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, eventually, kernel_or_skip};
use crate::inspect::breakpoints_of;
use crate::servants::{Servant, copy_named};

/// Allocations between two changes.
const ALLOCATIONS: u32 = 40_000;

fn config(comm: &str, mode: Mode, sample_bytes: &str) -> String {
    format!(
        "interval = \"100ms\"\n[[target]]\nname = \"the-rule\"\ncomm = \"{comm}\"\nmode = \"{mode}\"\n\
         sample_bytes = \"{sample_bytes}\"\nlabels = {{ service = \"{comm}\" }}\n"
    )
}

/// Bytes that a site has allocated, and the variance of that.
fn site(snapshot: &Snapshot, name: &str) -> (f64, f64) {
    let sites = snapshot.sites.iter().filter(|site| direct_caller(site) == Some(name));
    let both = sites.map(|site| (site.alloc_bytes as f64, site.standard_error.alloc_bytes.powi(2)));
    both.fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1))
}

/// At a site of blocks above so many rates nearly each is a sample: one that is not is a deviation that no sample tells of,
/// and the error is not a normal one's.
const LARGE: f64 = 4.0;
/// Such a block, in rates: a larger one is missed once in half a billion.
const MISSED: f64 = 20.0;

/// What the sites have allocated between two profiles, all and the greatest ones, is the truth within its own error.
#[track_caller]
fn assert_window(before: &Snapshot, after: &Snapshot, truth: &Part, rate: u64) {
    let what = format!("one sample per {rate}");
    let (mut all, mut all_variance) = (0.0, 0.0);
    for (number, &bytes) in truth.bytes.iter().enumerate() {
        let name = format!("skewed_{number}");
        let ((old, old_variance), (new, new_variance)) = (site(before, &name), site(after, &name));
        let (seen, variance) = (new - old, new_variance - old_variance);
        (all, all_variance) = (all + seen, all_variance + variance);
        // Where some tens of samples are expected the error is near a normal one's.
        if bytes > 16 << 20 && variance > 0.0 {
            let error = variance.sqrt();
            let is_large = bytes as f64 / truth.objects[number] as f64 > LARGE * rate as f64;
            let missed = if is_large { MISSED * rate as f64 } else { 0.0 };
            assert!(
                (seen - bytes as f64).abs() < 1.5 * ERRORS * error + missed,
                "{what}: {name}: {seen} ± {error}, not {bytes}"
            );
        }
    }
    let bytes = truth.bytes.iter().sum::<u64>() as f64;
    let error = all_variance.sqrt();
    println!("{what}: {all:.0} ± {error:.0} for {bytes:.0}");
    let allowed = if error == 0.0 { 0.5 } else { ERRORS * error };
    assert!((all - bytes).abs() < allowed, "{what}: {all} ± {error}, not {bytes}");
}

/// What is in use is the truth within its error, and exactly where every allocation was followed.
#[track_caller]
/// The standard error of a sampled number of what is in use, by the law of sampling: an estimate of it from some samples is too
/// small where the few that stand for most are missing, which is when the number itself is too low.
fn true_error(truth: &Part, rate: u64, weigh: fn(f64) -> f64) -> f64 {
    let sites = truth.inuse_objects.iter().zip(&truth.inuse_bytes).filter(|(objects, _)| **objects > 0);
    let variance = sites.map(|(&objects, &bytes)| {
        let size = bytes as f64 / objects as f64;
        let chance = 1.0 - (-size / rate as f64).exp();
        objects as f64 * weigh(size).powi(2) * (1.0 - chance) / chance
    });
    variance.sum::<f64>().sqrt()
}

fn assert_inuse(snapshot: &Snapshot, truth: &Part, rate: u64) {
    let totals = &snapshot.targets[0].totals;
    for (name, seen, sums, weigh) in [
        ("inuse_bytes", totals.inuse_bytes, &truth.inuse_bytes, (|size| size) as fn(f64) -> f64),
        ("inuse_objects", totals.inuse_objects, &truth.inuse_objects, |_| 1.0),
    ] {
        let error = totals.standard_error.get(name).copied().unwrap_or(0.0);
        let (seen, sum) = (seen.expect("mode live") as f64, sums.iter().sum::<u64>() as f64);
        let by_law = if rate == 0 { 0.0 } else { true_error(truth, rate, weigh) };
        println!("one sample per {rate}: {name}: {seen} ± {error}, by the law ± {by_law:.0}, for {sum}");
        let allowed = if rate == 0 { 0.5 } else { ERRORS * error.max(by_law) };
        assert!(
            (seen - sum).abs() < allowed,
            "one sample per {rate}: {name}: {seen} ± {error}, by the law ± {by_law:.0}, not {sum}"
        );
    }
}

/// Check that estimates of before and after a change of the rate are both right, by hand and by a reload; counters stay
/// exact all the time.
#[test]
fn rate_that_changes_leaves_every_estimate_right() {
    if !kernel_or_skip("rate_that_changes_leaves_every_estimate_right") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("rate-changes");
    copy_program(&fixture("skewed"), &program);
    let mut target = Target::start(&program, &["--threads", "2"]);
    let daemon = Daemon::start(&config("rate-changes", Mode::Live, "4KiB"));
    let id = wait_counted_in(&daemon, &[target.pid()]).remove(0);
    let watcher = Watcher::of(&daemon);
    let (mut objects, mut bytes) = (0, 0);
    let mut before = profile(&daemon, &id);
    let changes: [(u64, &dyn Fn()); 5] = [
        (4 << 10, &|| ()),
        (64 << 10, &|| drop(done(&daemon, &["rate", "64KiB"]))),
        (0, &|| drop(done(&daemon, &["rate", "0", "--rule", "the-rule"]))),
        (16 << 10, &|| drop(done(&daemon, &["rate", "16KiB", "--pid", &target_pid(&daemon)]))),
        (8 << 10, &|| daemon.rewrite_config(&config("rate-changes", Mode::Live, "8KiB"))),
    ];
    for ((rate, change), seed) in changes.into_iter().zip(1..) {
        change();
        wait_row(&daemon, target.pid(), |row| row["sample_bytes"] == rate);
        // What each sample has added its free takes away again, at whatever rate it was taken.
        free_all(&daemon, &mut target);
        let truth = run_skewed(&mut target, seed, ALLOCATIONS);
        objects += truth.objects.iter().sum::<u64>();
        bytes += truth.bytes.iter().sum::<u64>();
        assert_shows(
            &daemon,
            &[("service", "rate-changes")],
            &vec![
                ("tracer_alloc_objects_total", Some(objects as f64)),
                ("tracer_alloc_bytes_total", Some(bytes as f64)),
                ("tracer_sample_interval_bytes", Some(rate as f64)),
            ],
        );
        let after = profile(&daemon, &id);
        assert_inuse(&after, &truth, rate);
        assert_window(&before, &after, &truth, rate);
        before = after;
    }
    free_all(&daemon, &mut target);
    watcher.stop();
    assert_eq!(logged(&daemon, "control").len(), 3, "each change is a line: {}", daemon.stderr());
}

/// Nothing is in use any more.
fn free_all(daemon: &Daemon, target: &mut Target) {
    target.command("free");
    assert_eq!(target.next_line(), "freed");
    let nothing = vec![("tracer_inuse_bytes", Some(0.0)), ("tracer_inuse_objects", Some(0.0))];
    assert_shows(daemon, &[], &nothing);
}

fn target_pid(daemon: &Daemon) -> String {
    daemon.json("/targets")["targets"][0]["pid"].to_string()
}

/// Check that a process is counted on in the other mode, that nothing goes back, and that a reload undoes what was said.
#[test]
fn mode_that_changes_goes_on_counting() {
    if !kernel_or_skip("mode_that_changes_goes_on_counting") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut servant = Servant::named(&copy_named(&directory, "mode-changes"));
    let daemon = Daemon::start(&config("mode-changes", Mode::Live, "0"));
    let id = wait_counted_in(&daemon, &[servant.pid]).remove(0);
    let watcher = Watcher::of(&daemon);
    let labels = [("service", "mode-changes")];
    servant.work(2);
    assert_shows(&daemon, &labels, &expected(&[servant.tally()], Mode::Live));
    assert_eq!(done(&daemon, &["mode", "alloc"]), "mode changed for 1 process\n");
    wait_row(&daemon, servant.pid, |row| row["mode"] == "alloc");
    let before = servant.tally();
    servant.work(3);
    let [objects, bytes, ..] = sums(&[servant.tally()], Mode::Alloc);
    let [_, _, freed, ..] = sums(&[before], Mode::Live);
    let mut shown = vec![
        ("tracer_alloc_objects_total", Some(objects)),
        ("tracer_alloc_bytes_total", Some(bytes)),
        ("tracer_free_objects_total", Some(freed)),
        ("tracer_inuse_objects", None),
        ("tracer_inuse_bytes", None),
        ("tracer_target_processes", Some(1.0)),
    ];
    assert_shows(&daemon, &labels, &shown);
    // A new process of the rule is traced as the rule is now.
    let late = Servant::named(&directory.path().join("mode-changes"));
    wait_row(&daemon, late.pid, |row| row["mode"] == "alloc");
    drop(late);
    assert_eq!(
        done(&daemon, &["mode", "live", "--pid", &servant.pid.to_string()]),
        "mode changed for 1 process\n"
    );
    wait_row(&daemon, servant.pid, |row| row["mode"] == "live");
    servant.obey("reset", "reset");
    servant.work(1);
    servant.obey("drop 7", "dropped");
    let now = [servant.tally()];
    let [_, new_bytes, new_freed, new_freed_bytes, old] = sums(&now, Mode::Live);
    shown = vec![
        ("tracer_free_objects_total", Some(freed + new_freed + old)),
        // What is older than the tracing in this mode is not known.
        ("tracer_inuse_objects", Some(100.0 - new_freed)),
        ("tracer_inuse_bytes", Some(new_bytes - new_freed_bytes)),
    ];
    assert_shows(&daemon, &labels, &shown);
    let document = daemon.json(&format!("/targets/{id}/snapshot"));
    let seconds = |name: &str| document["targets"][0][name].as_f64().expect("a number");
    let (all, inuse) = (seconds("counted_seconds"), seconds("inuse_seconds"));
    assert!(0.0 < inuse && inuse < all - 0.5, "counted for {all} s, what is in use for {inuse} s");
    done(&daemon, &["mode", "alloc"]);
    wait_row(&daemon, servant.pid, |row| row["mode"] == "alloc");
    daemon.rewrite_config(&(config("mode-changes", Mode::Live, "0") + "# another\n"));
    wait_row(&daemon, servant.pid, |row| row["mode"] == "live");
    watcher.stop();
    assert!(servant.process.alive());
}

/// Check targets that are added and removed by hand, the status, and what is refused.
#[test]
fn targets_are_added_and_removed_by_hand_and_all_of_it_is_logged() {
    if !kernel_or_skip("targets_are_added_and_removed_by_hand_and_all_of_it_is_logged") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let by_rule = Servant::named(&copy_named(&directory, "by-rule"));
    let mut by_hand = Servant::named(&copy_named(&directory, "by-hand"));
    let (rule_pid, hand_pid) = (by_rule.pid.to_string(), by_hand.pid.to_string());
    let daemon = Daemon::start(&config("by-rule", Mode::Live, "0"));
    wait_counted_in(&daemon, &[by_rule.pid]);
    done(&daemon, &["target", "add", &hand_pid]);
    let row = wait_row(&daemon, by_hand.pid, |_| true);
    assert_eq!(
        (&row["mode"], count_of(&row, "sample_bytes")),
        (&"alloc".into(), 512 << 10),
        "as by default: {row}"
    );
    by_hand.work(2);
    let counted = vec![("tracer_alloc_objects_total", Some(200.0))];
    assert_shows(&daemon, &[("service", "by-hand")], &counted);
    let status = done(&daemon, &["status"]);
    for text in ["by-rule", "the-rule", "by-hand", "added by hand", &rule_pid, &hand_pid] {
        assert!(status.contains(text), "{text} in:\n{status}");
    }
    done(&daemon, &["target", "remove", &rule_pid]);
    wait_gone(&daemon, by_rule.pid);
    done(&daemon, &["target", "remove", &hand_pid]);
    wait_gone(&daemon, by_hand.pid);
    eventually("probes go", || breakpoints_of(by_rule.pid) + breakpoints_of(by_hand.pid) == 0);
    ctl(&daemon, &["target", "remove", &hand_pid]).assert_refused(1, &["is not traced"]);
    ctl(&daemon, &["target", "add", "1073741824"]).assert_refused(1, &["1073741824"]);
    ctl(&daemon, &["rate", "1KiB", "--rule", "nobody"]).assert_refused(1, &["there is no rule nobody"]);
    daemon.rewrite_config(&(config("by-rule", Mode::Live, "0") + "# another\n"));
    wait_reloads(&daemon, 1);
    done(&daemon, &["target", "add", &rule_pid]);
    assert_eq!(wait_row(&daemon, by_rule.pid, |_| true)["rule"], "the-rule", "its rule comes first");
    assert!(row_of(&daemon, by_hand.pid).is_none());
    let lines = logged(&daemon, "control");
    let kinds: Vec<_> = lines.iter().map(|line| line["request"]["do"].as_str().unwrap_or("?")).collect();
    assert_eq!(
        kinds,
        ["add", "remove", "remove", "remove", "add", "rate", "add"],
        "one line each: {lines:?}"
    );
    let refused = lines.iter().filter(|line| line["answer"].get("refused").is_some());
    assert_eq!(refused.count(), 3, "{lines:?}");
    assert!(lines.iter().all(|line| line["peer"]["uid"] == 0 && line["at"].is_string()), "{lines:?}");
}

/// Check another user: the socket is shut for them, and where somebody has opened it the daemon refuses and logs that.
#[test]
fn other_users_are_refused_and_that_is_logged() {
    if !kernel_or_skip("other_users_are_refused_and_that_is_logged") {
        return;
    }
    let directory = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir();
    let program = directory.as_ref().expect("a directory").path().join("tracer");
    copy_program(Path::new(env!("CARGO_BIN_EXE_tracer")), &program);
    let daemon = Daemon::start("interval = \"100ms\"\n");
    let socket = daemon.socket();
    let as_nobody = || {
        let mut command = Command::new(&program);
        command.args(["ctl", "mode", "live", "--socket"]).arg(&socket).uid(65_534).gid(65_534);
        Tracer::spawn(&mut command).wait()
    };
    as_nobody().assert_refused(5, &["ask as root"]);
    assert!(logged(&daemon, "control").is_empty(), "who cannot come is not heard");
    // Somebody lets them in.
    let folder = socket.parent().expect("a folder");
    fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("it is ours");
    chown(&socket, Some(65_534), None).expect("root may");
    as_nobody().assert_refused(1, &["only root"]);
    eventually("it is logged", || !logged(&daemon, "control").is_empty());
    let lines = logged(&daemon, "control");
    assert_eq!((lines.len(), &lines[0]["peer"]["uid"]), (1, &65_534.into()), "{lines:?}");
    assert!(lines[0]["answer"]["refused"].is_string(), "{lines:?}");
    // Root's own program does not ask at a socket that others own.
    ctl(&daemon, &["status"]).assert_refused(5, &["not trusted"]);
}
