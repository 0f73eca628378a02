//! Several processes in one view: a list first, and each of them behind it.

use super::{OFTEN, Seen, Shelves, can_run, row};

/// Check the sums of two processes, the way into one of them, and the way back.
#[test]
fn several_processes_are_a_list_to_look_into() {
    if !can_run("several_processes_are_a_list_to_look_into") {
        return;
    }
    let (mut one, mut two) = (Shelves::start(), Shelves::start());
    let seen = Seen::attach(&[one.pid(), two.pid()], &OFTEN);
    one.obey("fat 4 1048576");
    two.obey("full 3000 32");
    let (first, second) = (one.pid().to_string(), two.pid().to_string());
    seen.wait_row(&[&first, "4.00", "MiB"]);
    seen.wait_row(&[&second, "93.8", "KiB"]);
    let screen = seen.screen();
    assert!(row(&screen, &["all", "4.09", "MiB"]).is_some(), "the sum:\n{screen}");
    assert!(screen.contains(" Processes") && screen.contains("2 processes"), "{screen}");
    // To the line of the second, whichever of the two that is.
    let line = screen.lines().filter(|line| line.contains("shelves-") && !line.contains('·'));
    let at = line.take_while(|line| !line.contains(&second)).count();
    let mut keys = vec!["Home"];
    keys.extend(std::iter::repeat_n("Down", at + 1));
    keys.push("Enter");
    seen.keys(&keys);
    let screen = seen.wait("full_shelf");
    assert!(row(&screen, &["93.8", "KiB", "3,000"]).is_some(), "{screen}");
    assert!(!screen.contains("fat_shelf"), "that is another's:\n{screen}");
    seen.keys(&["Escape"]);
    seen.wait_row(&[&first, "4.00", "MiB"]);
    seen.keys(&["Home", "Enter"]);
    seen.wait_until("both", |screen| screen.contains("fat_shelf") && screen.contains("full_shelf"));
    let screen = seen.quit();
    assert!(screen.contains("traced 2 processes for"), "{screen}");
}
