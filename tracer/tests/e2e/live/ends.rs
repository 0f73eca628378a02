//! However the view ends, the terminal is given back: by its key, by a signal, by a panic; and while it is stopped.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use tracer::view::tui;

use super::{BEFORE, OFTEN, OPEN, SIZE, Seen, Shelves, arguments, can_run, program, site_of};
use crate::harness::send;
use crate::tmux::Terminal;

/// In the environment of a test that was started by another one: who is to panic.
const WHO_PANICS: &str = "TRACER_TEST_WHO_PANICS";

/// Check the end of the target: what was seen last stays, says so, and can be written.
#[test]
fn last_picture_stays_when_the_target_has_ended() {
    if !can_run("last_picture_stays_when_the_target_has_ended") {
        return;
    }
    let (mut shelves, seen) = Shelves::shown(&[]);
    shelves.0.wait();
    seen.wait(" · ENDED · ");
    let screen = seen.screen();
    for words in [["4.00", "MiB", "4"], ["97.7", "KiB", "10"], ["93.8", "KiB", "3,000"]] {
        assert!(super::row(&screen, &words).is_some(), "{words:?}:\n{screen}");
    }
    let snapshot = seen.document("a.json");
    assert_eq!(snapshot.targets[0].ended.as_deref(), Some("ended"));
    assert_eq!(site_of(&snapshot, "fat_shelf").inuse_objects, Some(4));
    let screen = seen.quit();
    assert!(screen.contains("4.19 MiB in use in 3,014 objects, exact"), "{screen}");
}

/// Check Ctrl-Z in a shell that controls jobs: it can be used meanwhile, and `fg` brings the view back.
#[test]
fn view_stops_and_goes_on_as_any_job_of_a_shell() {
    if !can_run("view_stops_and_goes_on_as_any_job_of_a_shell") {
        return;
    }
    let mut shelves = Shelves::start();
    let seen = Seen::command("HISTFILE= PS1='at the shell: ' bash --norc --noprofile -i", SIZE);
    seen.wait("at the shell:");
    seen.text(&format!("{} attach {}", program(), arguments(&[shelves.pid()], &OFTEN)));
    seen.keys(&["Enter"]);
    seen.wait(OPEN);
    shelves.obey("fat 4 1048576");
    seen.wait_row(&["4.00", "MiB", "4"]);
    seen.keys(&["M"]);
    seen.wait("mouse: click");
    seen.keys(&["C-z"]);
    let screen = seen.wait("Stopped");
    assert!(screen.contains(BEFORE) && !screen.contains("CALL SITE"), "the shell's own screen:\n{screen}");
    assert_eq!(
        ["alternate_on", "cursor_flag", "mouse_any_flag"].map(|name| seen.told(name)),
        ["0", "1", "0"]
    );
    seen.text("echo usable $((40 + 2)); stty -a");
    seen.keys(&["Enter"]);
    let screen = seen.wait_until("what stty says", |screen| screen.contains("-extproc"));
    let words: Vec<&str> = screen.split_whitespace().collect();
    assert!(words.contains(&"icanon") && words.contains(&"echo"), "{screen}");
    assert!(screen.contains("usable 42"), "{screen}");
    // Nobody counts for it meanwhile, but the kernel does.
    shelves.obey("fat 1 1048576");
    seen.text("fg");
    seen.keys(&["Enter"]);
    let screen = seen.wait_until("the view", |screen| super::row(screen, &["5.00", "MiB", "5"]).is_some());
    assert!(screen.contains(OPEN) && !screen.contains("usable"), "the view's own screen:\n{screen}");
    assert_eq!(seen.told("mouse_any_flag"), "1", "it listens to the mouse again");
    seen.keys(&["q"]);
    seen.wait("tracer: traced ");
    seen.text("exit $?");
    seen.keys(&["Enter"]);
    seen.assert_restored(0);
}

/// Check the signals of the system and the keys of the user that mean the same.
#[test]
fn signals_end_the_view_as_its_key_does() {
    if !can_run("signals_end_the_view_as_its_key_does") {
        return;
    }
    for signal in [Some(Signal::TERM), Some(Signal::INT), Some(Signal::HUP), None] {
        let mut shelves = Shelves::start();
        let seen = Seen::attach(&[shelves.pid()], &OFTEN);
        match signal {
            Some(signal) => send(seen.tracer(), signal),
            None => seen.keys(&["C-c"]),
        }
        let screen = seen.assert_restored(0);
        assert!(screen.contains("tracer: traced "), "{signal:?}:\n{screen}");
        assert!(shelves.0.alive(), "the target lives on");
    }
}

/// Check that a document, too, gives the terminal back when a signal ends it.
#[test]
fn signals_end_the_view_of_a_document() {
    if !can_run("signals_end_the_view_of_a_document") {
        return;
    }
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data/small.json");
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let seen = Seen::command(&format!("{} view '{document}'", program()), SIZE);
        seen.wait(" · saved · ");
        send(seen.tracer(), signal);
        seen.assert_restored(0);
    }
}

/// Check a panic of the thread that has the terminal, and of another one: this test starts itself in a terminal.
#[test]
fn panic_gives_the_terminal_back_before_its_message() {
    let name = "panic_gives_the_terminal_back_before_its_message";
    if let Ok(who) = std::env::var(WHO_PANICS) {
        return panic_with_a_terminal(&who);
    }
    if !can_run(name) {
        return;
    }
    let program = std::env::current_exe().expect("this program has a path");
    for (who, code) in [("owner", 101), ("other", 3)] {
        let test = format!("--exact live::ends::{name} --nocapture --test-threads=1");
        let command = format!("{WHO_PANICS}={who} '{}' {test}", program.display());
        let seen = Seen::command(&command, SIZE);
        seen.wait_until("the other screen", |_| seen.told("alternate_on") == "1");
        assert!(!seen.screen().contains(BEFORE), "the view has a screen of its own");
        seen.keys(&["x"]);
        let screen = seen.assert_restored(code);
        assert!(screen.contains("words of the one who panics"), "{who}:\n{screen}");
    }
}

fn panic_with_a_terminal(who: &str) {
    let terminal = tui::Terminal::open().expect("there is a terminal");
    let key = terminal.input(Duration::from_secs(60)).expect("the terminal is there");
    assert!(key.is_some(), "somebody has pressed a key");
    if who == "owner" {
        panic!("words of the one who panics");
    }
    let ended = std::thread::spawn(|| panic!("words of the one who panics")).join();
    assert!(ended.is_err(), "it has panicked");
    // The guard does not run: what gives the terminal back is the panic.
    std::process::exit(3);
}

/// Check the driver itself: nothing runs on when a terminal is dropped.
#[test]
fn terminal_of_the_tests_takes_its_program_with_it() {
    if !can_run("terminal_of_the_tests_takes_its_program_with_it") {
        return;
    }
    let shelves = Shelves::start();
    let seen = Seen::attach(&[shelves.pid()], &OFTEN);
    let process = PathBuf::from(format!("/proc/{}", seen.tracer()));
    assert!(process.exists(), "the tracer runs");
    let Seen { terminal, directory } = seen;
    drop::<Terminal>(terminal);
    crate::harness::eventually("the tracer has ended with its terminal", || !process.exists());
    drop(directory);
}
