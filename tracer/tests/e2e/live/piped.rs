//! What stands in the place of the view where stdout is no terminal.

use super::{KEPT, Shelves, can_run, row};
use crate::harness::{Tracer, eventually, tracer};

/// What each table begins with.
const TABLE: &str = "\ntracer 0";

fn tables(output: &str) -> Vec<String> {
    format!("\n{output}").split(TABLE).skip(1).map(str::to_owned).collect()
}

fn spawn(pid: u32, options: &[&str]) -> Tracer {
    Tracer::spawn(tracer().args(["attach", "-v", "--pid", &pid.to_string()]).args(options))
}

/// Check tables that follow each other: earlier numbers first, the final ones at the end.
#[test]
fn interval_prints_a_table_each_time_where_there_is_no_terminal() {
    if !can_run("interval_prints_a_table_each_time_where_there_is_no_terminal") {
        return;
    }
    let mut shelves = Shelves::start();
    let mut tracer = spawn(shelves.pid(), &["--interval", "500ms", "--duration", "2s"]);
    tracer.wait_output("no call site has in-use bytes");
    shelves.fill();
    let outcome = tracer.wait();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let tables = tables(&outcome.stdout);
    assert!((2..=5).contains(&tables.len()), "one each half second:\n{}", outcome.stdout);
    assert!(row(&tables[0], &["in", "use", "0", "B", "0"]).is_some(), "{}", tables[0]);
    let last = tables.last().expect("tables");
    assert!(row(last, &["in", "use", "4.19", "MiB", "3,014"]).is_some(), "{last}");
    for (_, numbers, name) in KEPT {
        assert!(row(last, &numbers).is_some_and(|line| line.contains(name)), "{name}: {last}");
    }
    assert!(!outcome.stdout.contains('\x1b'), "a pipe gets text only");
}

/// Check that without an interval there is one table, at the end.
#[test]
fn one_table_is_printed_at_the_end_where_there_is_no_terminal() {
    if !can_run("one_table_is_printed_at_the_end_where_there_is_no_terminal") {
        return;
    }
    let mut shelves = Shelves::start();
    let mut tracer = spawn(shelves.pid(), &["--duration", "1500ms"]);
    tracer.wait_counting();
    shelves.fill();
    let outcome = tracer.wait();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let tables = tables(&outcome.stdout);
    assert_eq!(tables.len(), 1, "{}", outcome.stdout);
    assert!(row(&tables[0], &["in", "use", "4.19", "MiB", "3,014"]).is_some(), "{}", tables[0]);
}

/// Check that who asks for the view where it cannot be is told so.
#[test]
fn view_that_is_asked_for_without_a_terminal_is_refused_in_words() {
    if !can_run("view_that_is_asked_for_without_a_terminal_is_refused_in_words") {
        return;
    }
    let mut shelves = Shelves::start();
    let outcome = spawn(shelves.pid(), &["--format", "tui"]).wait();
    outcome.assert_refused(2, &["--format tui needs stdout to be a terminal"]);
    assert_eq!(outcome.stdout, "", "nothing is printed");
    eventually("the target lives on", || shelves.0.alive());
}
