//! The live view in a real terminal, on real processes whose numbers are known; and what stands in its place where there
//! is no terminal.

mod documents;
mod ends;
mod keys;
mod looks;
mod piped;
mod screens;
mod several;
mod sites;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tracer::model::snapshot::{CallSite, Snapshot};

use crate::fixtures::{fixture, source};
use crate::harness::{Target, kernel_or_skip, skip};
use crate::inspect::descendants_of;
use crate::tmux::Terminal;

/// A key is answered at once and a number is seen within an interval; more is a hang.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the screen shows before the view is opened.
const BEFORE: &str = "what stood here before";
/// Columns and rows with room for all that the tests ask for.
const SIZE: (u16, u16) = (120, 30);
/// A view that is ready: the status line has it.
const OPEN: &str = " · loss ";
/// New numbers come so fast that no test waits for them.
const OFTEN: [&str; 2] = ["--interval", "200ms"];

/// Whether this can be tested here; says `SKIP` if not.
fn can_run(name: &str) -> bool {
    let tmux = Command::new("tmux").arg("-V").stdout(Stdio::null()).status();
    if !tmux.is_ok_and(|status| status.success()) {
        skip(name, "there is no tmux: package tmux");
        return false;
    }
    kernel_or_skip(name)
}

/// A terminal in which the tracer runs, below a shell that says how it ended and what the terminal is like then.
struct Seen {
    terminal: Terminal,
    // Dropped after the terminal: its socket is in there.
    directory: TempDir,
}

impl Seen {
    /// Runs a command line of the shell; afterwards the shell waits for ever.
    fn command(command: &str, (columns, rows): (u16, u16)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let script = format!(
            "cd '{}'; unset NO_COLOR; echo '{BEFORE}'; {command}; echo \"ended with $?\"; stty -a; exec cat",
            directory.path().display()
        );
        let terminal = Terminal::start(directory.path().join("socket"), columns, rows, &script);
        Self { terminal: terminal.expect("tmux starts"), directory }
    }

    /// `tracer attach` with its view open.
    fn attach(pids: &[u32], options: &[&str]) -> Self {
        Self::attach_at(SIZE, pids, options)
    }

    /// The same in a terminal of another size.
    fn attach_at(size: (u16, u16), pids: &[u32], options: &[&str]) -> Self {
        let seen = Self::command(&format!("{} attach {}", program(), arguments(pids, options)), size);
        seen.wait(OPEN);
        seen
    }

    fn keys(&self, keys: &[&str]) {
        self.terminal.keys(keys).expect("tmux types");
    }

    fn text(&self, text: &str) {
        self.terminal.keys(&["-l", text]).expect("tmux types");
    }

    /// Waits for a text; the screen then.
    fn wait(&self, text: &str) -> String {
        self.terminal.wait_for(text, PATIENCE).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits for a screen that is as wanted; the screen.
    fn wait_until(&self, what: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        self.terminal.wait_until(what, PATIENCE, is_wanted).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits for a line with all of these words, in this order; its words.
    fn wait_row(&self, words: &[&str]) -> Vec<String> {
        let screen =
            self.wait_until(&format!("a line with {words:?}"), |screen| row(screen, words).is_some());
        let row = row(&screen, words).expect("just found");
        row.split_whitespace().map(str::to_owned).collect()
    }

    fn screen(&self) -> String {
        self.terminal.screen().expect("tmux shows its screen")
    }

    /// The screen with the escape sequences of its looks, and the blanks at the ends of lines, which may have one.
    fn coloured(&self) -> String {
        self.terminal.tmux(&["capture-pane", "-p", "-e", "-N"]).expect("tmux shows its screen")
    }

    fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.terminal.tmux(&["resize-window", "-x", &columns, "-y", &rows]).expect("tmux resizes");
    }

    /// What tmux knows of the terminal by this name.
    fn told(&self, name: &str) -> String {
        let told = self.terminal.tmux(&["display-message", "-p", &format!("#{{{name}}}")]);
        told.expect("tmux answers").trim().to_owned()
    }

    /// The tracer's pid.
    fn tracer(&self) -> u32 {
        let shell = self.told("pane_pid").parse().expect("a pid");
        let below = descendants_of(shell);
        *below.first().unwrap_or_else(|| panic!("the shell runs nothing: {}", self.screen()))
    }

    /// That the tracer has ended with this code, its last words are on the screen and the terminal is as it was before.
    fn assert_restored(&self, code: i32) -> String {
        let is_told = |screen: &str| {
            screen.rsplit_once("ended with").is_some_and(|(_, after)| after.contains("-extproc"))
        };
        let screen = self.wait_until("what stty says at the end", is_told);
        for text in [BEFORE, &format!("ended with {code}")] {
            assert!(screen.contains(text), "{text:?} is on the screen:\n{screen}");
        }
        let words: Vec<&str> = screen.split_whitespace().collect();
        for setting in ["icanon", "echo", "isig", "icrnl", "opost"] {
            assert!(words.contains(&setting), "the terminal has {setting}:\n{screen}");
        }
        let modes = ["alternate_on", "cursor_flag", "mouse_any_flag"].map(|name| self.told(name));
        assert_eq!(modes, ["0", "1", "0"], "alternate screen, cursor, mouse:\n{screen}");
        screen
    }

    /// Ends the view by its key.
    fn quit(&self) -> String {
        self.keys(&["q"]);
        let screen = self.assert_restored(0);
        assert!(screen.contains("tracer: traced "), "a summary is on the screen:\n{screen}");
        screen
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Has the view write a file beside the terminal; waits until it says so.
    fn write(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        self.keys(&["w", "C-u"]);
        self.text(name);
        self.keys(&["Enter"]);
        self.wait(&format!("wrote {} (", path.display()));
        path
    }

    /// The same as a document that is read back.
    fn document(&self, name: &str) -> Snapshot {
        read_document(&self.write(name))
    }
}

/// The program under test as the shell wants it.
fn program() -> String {
    format!("'{}'", env!("CARGO_BIN_EXE_tracer"))
}

fn arguments(pids: &[u32], options: &[&str]) -> String {
    let pids = pids.iter().map(|pid| format!("--pid {pid}"));
    pids.chain(options.iter().map(ToString::to_string)).collect::<Vec<_>>().join(" ")
}

fn read_document(path: &Path) -> Snapshot {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    tracer::view::json::read(&mut bytes.as_slice()).expect("the document is one")
}

/// The first line that has these words, in this order and beside each other.
fn row<'a>(screen: &'a str, words: &[&str]) -> Option<&'a str> {
    let has = |line: &str| {
        let found: Vec<&str> = line.split_whitespace().collect();
        found.windows(words.len()).any(|window| window == words)
    };
    screen.lines().find(|line| has(line))
}

/// The names in the order in which they stand on the screen, one a line.
fn order<'a>(screen: &str, names: &[&'a str]) -> Vec<&'a str> {
    screen.lines().filter_map(|line| names.iter().copied().find(|name| line.contains(name))).collect()
}

/// The site whose block was asked for by this function; there must be one only.
fn site_of<'a>(snapshot: &'a Snapshot, function: &str) -> &'a CallSite {
    let is_it = |site: &&CallSite| site.frames[0].function.as_deref() == Some(function);
    let mut found = snapshot.sites.iter().filter(is_it);
    let site = found.next().unwrap_or_else(|| panic!("no site of {function}: {:?}", snapshot.sites));
    assert!(found.next().is_none(), "one site of {function}");
    site
}

/// `file.c:12`, the line of a fixture that has this text.
fn place(file: &str, text: &str) -> String {
    let lines = fs::read_to_string(source(file)).expect("a fixture's source");
    let number = lines.lines().position(|line| line.contains(text)).expect("the line is there") + 1;
    format!("{file}:{number}")
}

/// A process that keeps what it is told to.
struct Shelves(Target);

/// What the tests have it keep, and what that is on the screen: bytes, objects, function.
const KEPT: [(&str, [&str; 3], &str); 3] = [
    ("fat 4 1048576", ["4.00", "MiB", "4"], "fat_shelf"),
    ("middle 10 10000", ["97.7", "KiB", "10"], "middle_shelf"),
    ("full 3000 32", ["93.8", "KiB", "3,000"], "full_shelf"),
];

/// All of that.
const KEPT_OBJECTS: u64 = 3014;

impl Shelves {
    fn start() -> Self {
        Self(Target::start(&fixture("shelves"), &[]))
    }

    /// Under a view that is open and shows what it keeps.
    fn shown(options: &[&str]) -> (Self, Seen) {
        let mut shelves = Self::start();
        let seen = Seen::attach(&[shelves.pid()], &[&OFTEN[..], options].concat());
        shelves.fill();
        // Numbers are there at once, names when they have been read.
        let is_there = |screen: &str| {
            KEPT.iter().all(|(_, numbers, name)| row(screen, numbers).is_some_and(|row| row.contains(name)))
        };
        seen.wait_until("all that is kept", is_there);
        (shelves, seen)
    }

    fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Keeps what is in [`KEPT`].
    fn fill(&mut self) {
        for (command, ..) in KEPT {
            self.obey(command);
        }
    }

    fn obey(&mut self, command: &str) {
        self.0.command(command);
        assert_eq!(self.0.next_line(), "done", "{command}");
    }
}
