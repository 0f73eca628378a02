//! Which series a process is counted in: by its labels, which a reload may change, as far as there is room.

use tracer::model::snapshot::Mode;

use super::books::{
    Watcher, assert_shows, expected, sums, wait_counted_in, wait_looks, wait_reloads, wait_row,
};
use super::driver::Daemon;
use crate::harness::kernel_or_skip;
use crate::servants::{Servant, copy_named};
use crate::tally::Tally;

/// Check that another version closes the series of the old one, whose counts are not in the new one's.
#[test]
fn label_that_a_reload_changes_closes_the_series_and_begins_another() {
    if !kernel_or_skip("label_that_a_reload_changes_closes_the_series_and_begins_another") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut servant = Servant::named(&copy_named(&directory, "relabelled"));
    let config = |version: &str| {
        format!(
            "interval = \"100ms\"\n[[target]]\ncomm = \"relabelled\"\nmode = \"live\"\nsample_bytes = \"0\"\n\
             labels = {{ service = \"api\", version = \"{version}\" }}\n"
        )
    };
    let daemon = Daemon::start(&config("1"));
    let id = wait_counted_in(&daemon, &[servant.pid]).remove(0);
    let watcher = Watcher::of(&daemon);
    servant.work(2);
    let before = servant.tally();
    let first = expected(&[before], Mode::Live);
    assert_shows(&daemon, &[("version", "1")], &first);
    daemon.rewrite_config(&config("2"));
    wait_row(&daemon, servant.pid, |row| row["labels"]["version"] == "2");
    assert_eq!(daemon.metric("tracer_alloc_objects_total", &[("version", "1")]), None, "it is closed");
    assert_eq!(daemon.metric("tracer_inuse_bytes", &[("version", "1")]), None, "with its gauges");
    let [old_objects, old_bytes, old_freed, ..] = sums(&[servant.tally()], Mode::Live);
    servant.work(3);
    let all = [servant.tally()];
    let [objects, bytes, freed, freed_bytes, _] = sums(&all, Mode::Live);
    assert_shows(
        &daemon,
        &[("version", "2")],
        &vec![
            ("tracer_alloc_objects_total", Some(objects - old_objects)),
            ("tracer_alloc_bytes_total", Some(bytes - old_bytes)),
            ("tracer_free_objects_total", Some(freed - old_freed)),
            // Blocks go where their process goes.
            ("tracer_inuse_objects", Some(objects - freed)),
            ("tracer_inuse_bytes", Some(bytes - freed_bytes)),
        ],
    );
    // The same image, with the same probes: nothing was lost between.
    assert_eq!(wait_counted_in(&daemon, &[servant.pid])[0], id);
    daemon.rewrite_config(&config("1"));
    wait_row(&daemon, servant.pid, |row| row["labels"]["version"] == "1");
    servant.work(1);
    let [now, ..] = sums(&[servant.tally()], Mode::Live);
    let counted = vec![("tracer_alloc_objects_total", Some(old_objects + now - objects))];
    assert_shows(&daemon, &[("version", "1")], &counted);
    watcher.stop();
}

/// Check that label sets beyond the limit are one, in which their numbers are, and that each is counted once.
#[test]
fn label_sets_without_room_are_one_together() {
    if !kernel_or_skip("label_sets_without_room_are_one_together") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "many-labels");
    let mut servants: Vec<Servant> = Vec::new();
    let mut config = "interval = \"100ms\"\nmax_series = 2\n[[label]]\nname = \"service\"\nfrom = \"env\"\nkey = \"WHO\"\n\
                      match = '^(.*)$'\nvalue = \"$1\"\n"
        .to_owned();
    config += "[[target]]\ncomm = \"many-labels\"\nmode = \"live\"\nsample_bytes = \"0\"\n";
    let daemon = Daemon::start(&config);
    let watcher = Watcher::of(&daemon);
    let mut tallies: Vec<Tally> = Vec::new();
    for (times, who) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
        let mut servant = Servant::spawn(std::process::Command::new(&program).env("WHO", who));
        wait_counted_in(&daemon, &[servant.pid]);
        servant.obey("reset", "reset");
        servant.work(times);
        tallies.push(servant.tally());
        servants.push(servant);
    }
    let of_others = sums(&tallies[2..], Mode::Live);
    let shown = |name: &str, who: &str| daemon.metric(name, &[("service", who)]);
    daemon.wait_metric("tracer_inuse_objects", &[("service", "__other__")], |value| {
        value == Some(of_others[0] - of_others[2])
    });
    daemon.wait_metric("tracer_series_suppressed_total", &[], |value| value == Some(2.0));
    for (who, tally) in ["a", "b"].into_iter().zip(&tallies) {
        let [objects, _, freed, ..] = sums(std::slice::from_ref(tally), Mode::Live);
        assert_eq!(
            shown("tracer_inuse_objects", who),
            Some(objects - freed),
            "{who} has a series of its own"
        );
    }
    assert_eq!(shown("tracer_target_processes", "c"), None);
    assert_eq!(shown("tracer_target_processes", "__other__"), Some(2.0));
    // What is not labelled in the metrics is told apart by profiles all the same.
    let row = wait_row(&daemon, servants[3].pid, |_| true);
    assert_eq!(row["labels"]["service"], "d");
    // With room again, a later process has its own.
    daemon.rewrite_config(&config.replace("max_series = 2", "max_series = 9"));
    wait_reloads(&daemon, 1);
    let late = Servant::spawn(std::process::Command::new(&program).env("WHO", "e"));
    wait_counted_in(&daemon, &[late.pid]);
    wait_looks(&daemon, 1);
    assert_eq!(shown("tracer_target_processes", "e"), Some(1.0));
    watcher.stop();
}
