//! The view in terminals of other sizes, and without colours.

use super::{KEPT, OFTEN, Seen, Shelves, can_run, order, row};

fn is_whole(screen: &str) -> bool {
    order(screen, &KEPT.map(|(.., name)| name)).len() == KEPT.len()
}

/// Check that every size shows what it has room for, and that none is too much.
#[test]
fn view_fits_the_terminal_whenever_its_size_changes() {
    if !can_run("view_fits_the_terminal_whenever_its_size_changes") {
        return;
    }
    let (_shelves, seen) = Shelves::shown(&[]);
    let resize = |columns, rows| seen.resize(columns, rows);
    resize(80, 24);
    let small = |screen: &str| is_whole(screen) && screen.contains("GROWTH") && !screen.contains("ALLOCATED");
    seen.wait_until("what has room in 80x24", small);
    resize(200, 60);
    let large =
        |screen: &str| is_whole(screen) && screen.contains("ALLOCATED") && screen.contains("ALLOCATOR");
    seen.wait_until("what has room in 200x60", large);
    resize(40, 10);
    let tiny = |screen: &str| screen.contains("fat_shelf") && !screen.contains("GROWTH");
    seen.wait_until("what has room in 40x10", tiny);
    resize(30, 8);
    seen.wait("terminal too small: needs");
    resize(80, 24);
    seen.wait_until("what has room in 80x24 again", small);
    resize(300, 100);
    seen.wait_until("what has room in 300x100", large);
    for key in ["2", "3", "4", "5", "6"] {
        seen.keys(&[key]);
        resize(40, 10);
        seen.wait_until("a narrow screen", |screen| screen.lines().all(|line| line.chars().count() <= 40));
        resize(300, 100);
        seen.wait_until("a wide screen", |screen| {
            screen.lines().next().is_some_and(|status| status.contains("every allocation"))
        });
    }
    resize(super::SIZE.0, super::SIZE.1);
    seen.quit();
}

/// Check a list that is longer than the terminal is high: no number is lost below its edge.
#[test]
fn small_terminal_shows_the_largest_first_and_the_sum_of_all() {
    if !can_run("small_terminal_shows_the_largest_first_and_the_sum_of_all") {
        return;
    }
    let mut shelves = Shelves::start();
    let seen = Seen::attach_at((80, 24), &[shelves.pid()], &OFTEN);
    shelves.fill();
    seen.wait_row(&["4.19", "MiB", "3,014"]);
    seen.resize(60, 10);
    let screen = seen.wait_until("the largest", |screen| screen.lines().count() <= 10 && is_whole(screen));
    assert!(row(&screen, &["4.19", "MiB", "3,014"]).is_some(), "{screen}");
    seen.resize(80, 24);
    seen.quit();
}

/// The numbers of all sequences that set how characters look.
fn looks(screen: &str) -> Vec<Vec<u32>> {
    let mut looks = Vec::new();
    for part in screen.split("\x1b[").skip(1) {
        let Some((numbers, _)) = part.split_once('m') else { continue };
        let numbers = numbers.split([';', ':']).map(|number| number.parse().unwrap_or(0));
        looks.push(numbers.collect());
    }
    looks
}

/// The colours among them that are no colours of the terminal's own 16, and how many are.
fn colours(looks: &[Vec<u32>]) -> (Vec<&[u32]>, usize) {
    let mut own = 0;
    let mut foreign = Vec::new();
    for look in looks {
        match look.as_slice() {
            // The first 16 of the palette are the same ones by another name.
            [38 | 48, 5, 0..16] => own += 1,
            numbers if numbers.iter().any(|number| matches!(number, 38 | 48)) => foreign.push(numbers),
            numbers => {
                let is_colour = |number: &&u32| matches!(number, 30..=37 | 40..=47 | 90..=97 | 100..=107);
                own += numbers.iter().filter(is_colour).count();
            }
        }
    }
    (foreign, own)
}

/// Check all screens for colours that the user has not chosen, and `NO_COLOR` for any.
#[test]
fn colours_are_those_of_the_terminal_or_none() {
    if !can_run("colours_are_those_of_the_terminal_or_none") {
        return;
    }
    for is_coloured in [true, false] {
        let mut shelves = Shelves::start();
        let prefix = if is_coloured { "" } else { "NO_COLOR=1 " };
        let arguments = super::arguments(&[shelves.pid()], &OFTEN);
        let seen = Seen::command(&format!("{prefix}{} attach {arguments}", super::program()), super::SIZE);
        seen.wait(super::OPEN);
        shelves.fill();
        seen.wait_row(&["4.19", "MiB", "3,014"]);
        for (key, text) in [
            ("1", "CALL SITE"),
            ("2", "thread's start first"),
            ("3", "thread's start above"),
            ("4", " RSS "),
            ("5", "Nothing to compare"),
            ("6", "EXACT"),
            ("?", "any key closes"),
        ] {
            seen.keys(&[key]);
            seen.wait(text);
            let looks = looks(&seen.coloured());
            let (foreign, own) = colours(&looks);
            assert!(foreign.is_empty(), "screen {key}: {foreign:?}");
            assert_eq!(own > 0, is_coloured, "screen {key}: {looks:?}");
            assert!(looks.iter().flatten().any(|&number| number == 7), "screen {key}: the tab is reversed");
        }
        seen.keys(&["Escape"]);
        seen.quit();
    }
}
