//! What the keys do to the numbers: find, sort, look into, compare, write, sample.

use std::fs;
use std::path::PathBuf;

use tracer::model::snapshot::Snapshot;
use tracer::units::Count;

use super::{KEPT, KEPT_OBJECTS, Shelves, can_run, order, row, site_of};

/// Check that a filter leaves what it finds, and that Esc brings the rest back.
#[test]
fn filter_narrows_the_list_and_esc_clears_it() {
    if !can_run("filter_narrows_the_list_and_esc_clears_it") {
        return;
    }
    let (_shelves, seen) = Shelves::shown(&[]);
    let names = KEPT.map(|(.., name)| name);
    seen.keys(&["/"]);
    seen.text("^mid");
    // While it is typed.
    seen.wait_until("one row", |screen| order(screen, &names) == ["middle_shelf"]);
    seen.keys(&["Enter"]);
    let screen = seen.wait("filter /^mid/");
    assert_eq!(order(&screen, &names), ["middle_shelf"], "{screen}");
    assert!(row(&screen, &["97.7", "KiB", "10"]).is_some() && screen.contains("1 call site"), "{screen}");
    seen.keys(&["/", "C-u"]);
    seen.text("f(at|ull)_");
    seen.keys(&["Enter"]);
    seen.wait_until("two rows", |screen| order(screen, &names) == ["fat_shelf", "full_shelf"]);
    seen.keys(&["Escape"]);
    let screen = seen.wait_until("all rows", |screen| order(screen, &names) == names);
    assert!(!screen.contains("filter /"), "{screen}");
    seen.quit();
}

/// Check the order by bytes and by objects, each from either end.
#[test]
fn sorting_and_reversing_put_the_numbers_in_order() {
    if !can_run("sorting_and_reversing_put_the_numbers_in_order") {
        return;
    }
    let (_shelves, seen) = Shelves::shown(&[]);
    let names = KEPT.map(|(.., name)| name);
    let wait = |title: &str, expected: [&str; 3]| {
        let is_sorted = |screen: &str| screen.contains(title) && order(screen, &names) == expected;
        seen.wait_until(&format!("{expected:?} under {title:?}"), is_sorted);
    };
    wait("▼IN USE", ["fat_shelf", "middle_shelf", "full_shelf"]);
    seen.keys(&["r"]);
    wait("▲IN USE", ["full_shelf", "middle_shelf", "fat_shelf"]);
    seen.keys(&["s"]);
    wait("▼OBJECTS", ["full_shelf", "middle_shelf", "fat_shelf"]);
    seen.keys(&["r"]);
    wait("▲OBJECTS", ["fat_shelf", "middle_shelf", "full_shelf"]);
    seen.keys(&["S"]);
    wait("▼IN USE", ["fat_shelf", "middle_shelf", "full_shelf"]);
    seen.quit();
}

/// Check that Enter shows a site's exact numbers and its stack down to the start of the program.
#[test]
fn enter_shows_the_whole_stack_of_a_call_site() {
    if !can_run("enter_shows_the_whole_stack_of_a_call_site") {
        return;
    }
    let (_shelves, seen) = Shelves::shown(&[]);
    seen.keys(&["Home", "Down", "Enter"]);
    let screen = seen.wait("the allocation first");
    assert!(row(&screen, &["97.7", "KiB", "(100,000", "bytes)"]).is_some(), "{screen}");
    seen.keys(&["G"]);
    let screen = seen.wait_until("the end of the stack", |screen| screen.contains("_start"));
    let frames = ["keep", "obey", "main"];
    let found: Vec<&str> = screen
        .lines()
        .filter_map(|line| {
            line.split_whitespace().nth(1).and_then(|name| frames.iter().find(|f| **f == name))
        })
        .copied()
        .collect();
    assert_eq!(found, frames, "callers, from the allocation on:\n{screen}");
    seen.keys(&["Escape"]);
    seen.wait("CALL SITE");
    seen.quit();
}

/// Check differences since a baseline: what has grown, by how much, and what is gone.
#[test]
fn baseline_shows_what_has_changed_since() {
    if !can_run("baseline_shows_what_has_changed_since") {
        return;
    }
    let (mut shelves, seen) = Shelves::shown(&[]);
    seen.keys(&["b"]);
    seen.wait("CHANGES in");
    shelves.obey("middle 5 10000");
    seen.keys(&["5"]);
    let grown = "97.7 KiB 146 KiB +48.8 KiB +50% +5 grown middle_shelf";
    seen.wait_row(&grown.split(' ').collect::<Vec<_>>());
    let screen = seen.wait("1 grown");
    assert_eq!(order(&screen, &KEPT.map(|(.., name)| name)), ["middle_shelf"], "nothing else:\n{screen}");
    shelves.obey("clear");
    seen.wait("3 gone");
    seen.wait_row(&["4.00", "MiB", "0", "B", "-4.00", "MiB", "-100%", "-4", "gone", "fat_shelf"]);
    seen.quit();
}

fn assert_kept(snapshot: &Snapshot) {
    let numbers = |name: &str| {
        let site = site_of(snapshot, name);
        (site.inuse_objects, site.inuse_bytes)
    };
    assert_eq!(numbers("fat_shelf"), (Some(4), Some(4 << 20)));
    assert_eq!(numbers("middle_shelf"), (Some(10), Some(100_000)));
    assert_eq!(numbers("full_shelf"), (Some(3000), Some(96_000)));
}

/// Check files by their suffix, read back; and that what cannot be written is said and does no harm.
#[test]
fn view_writes_what_it_shows_and_says_where_or_why_not() {
    if !can_run("view_writes_what_it_shows_and_says_where_or_why_not") {
        return;
    }
    let (mut shelves, seen) = Shelves::shown(&[]);
    let snapshot = seen.document("a.json");
    assert_kept(&snapshot);
    let recent = site_of(&snapshot, "fat_shelf").recent.as_ref().expect("how the site went");
    assert_eq!(recent.growth_bytes, Some(4 << 20), "it was not there at the first look: {recent:?}");
    let timeline = snapshot.targets[0].timeline.as_ref().expect("how the target went");
    let last = timeline.points.last().expect("looks");
    assert!(timeline.points.len() > 1, "{timeline:?}");
    assert_eq!(
        (last.inuse_bytes, last.inuse_objects),
        (Some((4 << 20) + 196_000), Some(3014)),
        "{timeline:?}"
    );
    let profile = fs::read(seen.write("a.pb.gz")).expect("it was written");
    assert_kept(&tracer::view::pprof::read(&profile).expect("it is a profile"));
    let picture = fs::read_to_string(seen.write("a.svg")).expect("it was written");
    assert!(picture.contains("<svg") && picture.contains("fat_shelf"), "{picture}");
    for name in ["no-such-folder/a.json", "/proc/a.json"] {
        seen.keys(&["w", "C-u"]);
        seen.text(name);
        seen.keys(&["Enter"]);
        let path = PathBuf::from(name);
        seen.wait(&format!("failed to write {}: No such file or directory", path.display()));
    }
    seen.keys(&["w", "C-u"]);
    seen.text("a.doc");
    seen.keys(&["Enter"]);
    seen.wait("needs .svg .pb.gz .json .folded .txt");
    seen.keys(&["Escape"]);
    shelves.obey("middle 1 10000");
    seen.wait_row(&["107", "KiB", "11"]);
    assert!(!seen.path("a.doc").exists(), "nothing was written");
    seen.quit();
}

/// Check a coarser interval and the way back, by the stacks that were walked.
#[test]
fn sampling_interval_changes_while_the_view_is_open() {
    if !can_run("sampling_interval_changes_while_the_view_is_open") {
        return;
    }
    let (mut shelves, seen) = Shelves::shown(&[]);
    seen.keys(&["6"]);
    let (mut counted, mut before) = (KEPT_OBJECTS, KEPT_OBJECTS);
    let mut walked = |command: &str, events: u64| {
        shelves.obey(command);
        counted += events;
        let row = seen.wait_row(&[&Count(counted).to_string(), "counted,"]);
        let now: u64 = row[3].replace(',', "").parse().unwrap_or_else(|error| panic!("{error}: {row:?}"));
        now - std::mem::replace(&mut before, now)
    };
    seen.wait(" · every allocation · ");
    assert_eq!(walked("middle 100 10000", 100), 100, "each allocation");
    seen.keys(&["+"]);
    seen.wait(" · a sample every 64.0 KiB · ");
    // Each is an allocation and a free. 312.5 are expected, with a deviation of 17.5.
    let few = walked("pass 20000 1024", 40_000);
    assert!((225..400).contains(&few), "{few} samples of 20,000 KiB");
    seen.keys(&["+"]);
    seen.wait(" · a sample every 128 KiB · ");
    let fewer = walked("pass 20000 1024", 40_000);
    assert!((90..225).contains(&fewer), "{fewer} samples of 20,000 KiB");
    seen.keys(&["-", "-"]);
    seen.wait(" · every allocation now, samples before · ");
    assert_eq!(walked("middle 100 10000", 100), 100, "each allocation again");
    seen.keys(&["-"]);
    seen.wait("that is every allocation already");
    seen.quit();
}
