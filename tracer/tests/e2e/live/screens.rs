//! What is on the screens, and how one gets from one to another.

use std::process::Command;

use tracer::units::Bytes;

use super::{BEFORE, OFTEN, Seen, Shelves, can_run, place, row};
use crate::fixtures::fixture;
use crate::harness::Target;

/// Bytes of a cart of `leaky_service.c`.
const CART: u64 = 1024;

/// Check the whole way of a user: a leak is seen at once, and afterwards the terminal is as before.
#[test]
fn leak_is_on_the_first_screen_and_quitting_leaves_the_terminal_as_it_was() {
    if !can_run("leak_is_on_the_first_screen_and_quitting_leaves_the_terminal_as_it_was") {
        return;
    }
    let mut target = Target::spawn(&mut Command::new(fixture("leaky_service")));
    assert!(target.next_line().starts_with("ready"), "the service has begun");
    let seen = Seen::attach(&[target.pid()], &OFTEN);
    assert!(!seen.screen().contains(BEFORE), "the view has a screen of its own");
    let leak = format!("({})", place("leaky_service.c", "session->cart = malloc"));
    let is_shown = |screen: &str| {
        let Some(line) = screen.lines().find(|line| line.contains(&leak)) else { return false };
        let words: Vec<&str> = line.split_whitespace().collect();
        let objects = words[2].replace(',', "").parse::<u64>().expect("a count of objects");
        assert!(line.contains("create_session"), "{line}");
        // Each of them is a cart: the two numbers are of the same moment.
        assert_eq!(words[..2].join(" "), Bytes(objects * CART).to_string(), "{line}");
        objects > 100
    };
    let screen = seen.wait_until(&leak, is_shown);
    assert!(
        screen.lines().nth(3).is_some_and(|first| first.contains(&leak)),
        "the leak is the first of all:\n{screen}"
    );
    let screen = seen.quit();
    let summary = "tracer: traced leaky_service-";
    assert!(screen.contains(summary) && screen.contains(&format!("(pid {}) for", target.pid())), "{screen}");
    assert!(target.alive(), "the service runs on");
}

/// A text of each screen and numbers that must be on it: 3,014 blocks are kept, and 5,000 were freed at once.
const SCREENS: [(&str, &[&[&str]]); 6] = [
    ("CALL SITE", &[&["4.00", "MiB", "4"], &["93.8", "KiB", "3,000"], &["4.19", "MiB", "3,014"]]),
    ("FUNCTION, thread's start first", &[&["4.19", "MiB", "100%"], &["97.7", "KiB", "10"]]),
    ("in-use bytes, thread's start above", &[&["4.19", "MiB", "in", "3", "call", "stacks"]]),
    (
        " RSS ",
        &[
            &["allocated", "9.07", "MiB"],
            &["freed", "4.88", "MiB"],
            &["in", "use", "4.19", "MiB", "3,014"],
            &["3,000", "37.4%"],
        ],
    ),
    ("Nothing to compare with yet. Press b", &[]),
    (
        "EXACT: nothing was lost, nothing is estimated",
        &[&["13,014", "counted,", "8,014", "stacks", "walked"]],
    ),
];

/// Check each screen by its key, its text and numbers of which all are known.
#[test]
fn each_screen_has_its_key_and_shows_what_the_process_holds() {
    if !can_run("each_screen_has_its_key_and_shows_what_the_process_holds") {
        return;
    }
    let (mut shelves, seen) = Shelves::shown(&[]);
    shelves.obey("pass 5000 1024");
    let all_there = |screen: &str, at: usize| {
        let (text, rows) = SCREENS[at];
        screen.contains(text) && rows.iter().all(|words| row(screen, words).is_some())
    };
    let wait = |at: usize| seen.wait_until(&format!("{:?}", SCREENS[at]), |screen| all_there(screen, at));
    for at in [0, 1, 2, 3, 4, 5, 0] {
        seen.keys(&[&(at + 1).to_string()]);
        wait(at);
    }
    for at in [1, 2, 3, 4, 5, 0] {
        seen.keys(&["Tab"]);
        wait(at);
    }
    seen.keys(&["BTab"]);
    wait(5);
    seen.keys(&["?"]);
    let help = seen.wait("any key closes");
    for text in ["filter: text or regex", "q Ctrl-C", "write a file", "longer, shorter sampling"] {
        assert!(help.contains(text), "{text:?} is in the help:\n{help}");
    }
    seen.keys(&["q"]);
    seen.wait_until("no help", |screen| !screen.contains("any key closes") && all_there(screen, 5));
    seen.quit();
}
