//! The screens of the live view, drawn from documents of real runs (`cargo xtask record`): what stands where, at two sizes.
//!
//! After a new recording all pictures change: look at each of them.

use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Size;
use tracer::model::snapshot::{Dimension, Mode, Snapshot, Verdict};
use tracer::view::tui::{App, Settings, Theme};
use tracer::view::{frame, json};
use unicode_width::UnicodeWidthStr;

use crate::data;

const LEAKY: &str = "live-leaky";
const EARLIER: &str = "live-leaky-earlier";
const SAMPLED: &str = "live-sampled";
const REDIS: &str = "alloc-redis";
const SEVERAL: &str = "live-several";
const THREADS: &str = "live-threads";
const DOCUMENTS: [&str; 6] = [LEAKY, EARLIER, SAMPLED, REDIS, SEVERAL, THREADS];

/// The smallest usual terminal, and half a large screen.
const SIZES: [(u16, u16); 2] = [(80, 24), (160, 50)];

fn document(name: &str) -> Arc<Snapshot> {
    let bytes = std::fs::read(data(&format!("{name}.json"))).expect("the document is kept beside the tests");
    Arc::new(json::read(&mut bytes.as_slice()).expect("a document of this schema"))
}

fn app(snapshot: Arc<Snapshot>) -> App {
    let dimension = match snapshot.mode {
        Mode::Live => Dimension::InuseSpace,
        Mode::Alloc => Dimension::AllocSpace,
    };
    App::new(snapshot, Settings { theme: Theme { colour: true }, dimension, is_live: true })
}

/// Types keys, a blank between them.
fn press(app: &mut App, keys: &str, size: (u16, u16)) {
    for key in keys.split_whitespace() {
        let code = match key {
            "Enter" => KeyCode::Enter,
            "Esc" => KeyCode::Esc,
            "Up" => KeyCode::Up,
            "Down" => KeyCode::Down,
            "Space" => KeyCode::Char(' '),
            key => KeyCode::Char(key.chars().next().expect("a key has a name")),
        };
        app.input(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)), Size::new(size.0, size.1));
    }
}

/// What stands on the screen, without blanks at the ends of lines.
fn drawn(app: &App, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal in memory");
    terminal.draw(|frame| app.draw(frame)).expect("a terminal in memory");
    let buffer = terminal.backend().buffer();
    let line = |y: u16| {
        let mut text = String::new();
        let mut x = 0;
        while x < width {
            let symbol = buffer[(x, y)].symbol();
            text.push_str(symbol);
            // A wide character hides the cell behind it.
            x += (frame::columns(symbol) as u16).max(1);
        }
        text.trim_end().to_owned()
    };
    (0..height).map(line).collect::<Vec<_>>().join("\n")
}

/// The screen at both sizes, one below the other.
fn both(open: impl Fn() -> App, keys: &str) -> String {
    let one = |size: (u16, u16)| {
        let mut app = open();
        press(&mut app, keys, size);
        format!(
            "{:=^width$}\n{}\n",
            format!(" {}x{} ", size.0, size.1),
            drawn(&app, size),
            width = usize::from(size.0)
        )
    };
    SIZES.map(one).join("\n")
}

/// The leaky service half a minute after its baseline.
fn compared() -> App {
    let mut app = app(document(EARLIER));
    press(&mut app, "b", SIZES[0]);
    app.update(document(LEAKY));
    app
}

/// Check that the documents are of what their names say, so that the pictures show that.
#[test]
fn documents_are_of_the_runs_that_they_are_named_after() {
    for (name, mode, verdict, processes) in [
        (LEAKY, Mode::Live, Verdict::Exact, 1),
        (EARLIER, Mode::Live, Verdict::Exact, 1),
        (SAMPLED, Mode::Live, Verdict::Sampled, 1),
        (REDIS, Mode::Alloc, Verdict::Exact, 1),
        (SEVERAL, Mode::Live, Verdict::Exact, 3),
        (THREADS, Mode::Live, Verdict::Exact, 1),
    ] {
        let document = document(name);
        assert_eq!((document.mode, document.quality.verdict), (mode, verdict), "{name}");
        assert_eq!(document.targets.len(), processes, "{name}");
        assert!(document.sites.iter().any(|site| site.recent.is_some()), "{name} has trends");
        assert!(document.targets.iter().all(|target| target.timeline.is_some()), "{name} has timelines");
    }
    let [leaky, earlier] = [LEAKY, EARLIER].map(document);
    assert_eq!(leaky.started_at, earlier.started_at, "the same run");
    assert!(leaky.attached_seconds > 60.0, "its minute is full");
    let ended = document(SEVERAL).targets.iter().filter(|target| target.ended.is_some()).count();
    assert_eq!(ended, 1, "one of several has ended");
    let threads = document(THREADS);
    let functions = || {
        threads.sites.iter().flat_map(|site| site.frames.iter()).filter_map(|frame| frame.function.as_deref())
    };
    assert!(functions().any(|name| name.len() > 2000), "a long name");
    assert!(functions().any(|name| name.contains("キャッシュ")), "a name that is not English");
}

/// Check each screen of the live view at a usual size and at a large one.
#[test]
fn screens_of_a_leaking_service() {
    for (name, keys) in [
        ("sites", ""),
        ("sites_by_function", "m"),
        ("detail", "Enter"),
        ("tree", "2"),
        ("tree_from_the_allocation", "2 t"),
        ("flame", "3"),
        ("process", "4"),
        ("compare_without_a_baseline", "5"),
        ("quality", "6"),
        ("help", "?"),
        ("filter", "/ s e s s i o n"),
        ("write", "w"),
    ] {
        insta::assert_snapshot!(format!("leaky_{name}"), both(|| app(document(LEAKY)), keys));
    }
}

/// Check what each screen says of changes.
#[test]
fn screens_of_changes_since_a_baseline() {
    for (name, keys) in [("sites", "d d"), ("tree", "2"), ("flame", "3"), ("process", "4"), ("compare", "5")]
    {
        insta::assert_snapshot!(format!("changes_{name}"), both(compared, keys));
    }
}

/// Check what becomes of the screens where numbers are estimates.
#[test]
fn screens_of_a_sampled_service() {
    for (name, keys) in
        [("sites", ""), ("detail", "Enter"), ("tree", "2"), ("process", "4"), ("quality", "6")]
    {
        insta::assert_snapshot!(format!("sampled_{name}"), both(|| app(document(SAMPLED)), keys));
    }
}

/// Check what mode `alloc` shows of a program that somebody else has built.
#[test]
fn screens_of_allocations_of_redis() {
    for (name, keys) in [("sites", ""), ("tree", "2"), ("flame", "3"), ("process", "4"), ("detail", "Enter")]
    {
        insta::assert_snapshot!(format!("redis_{name}"), both(|| app(document(REDIS)), keys));
    }
}

/// Check the list of processes, one of which has ended, and all of them as one.
#[test]
fn screens_of_several_processes() {
    for (name, keys) in [
        ("list", ""),
        ("all_sites", "Enter"),
        ("one_process", "Down Enter 4"),
        ("ended_sites", "G Enter"),
        ("quality", "Enter 6"),
    ] {
        insta::assert_snapshot!(format!("several_{name}"), both(|| app(document(SEVERAL)), keys));
    }
}

/// Check names of 2,000 characters and of another script, told apart by thread.
#[test]
fn screens_of_threads_with_long_names() {
    for (name, keys) in
        [("sites", ""), ("by_thread", "m m m"), ("detail", "Enter"), ("tree", "2"), ("flame", "3")]
    {
        insta::assert_snapshot!(format!("threads_{name}"), both(|| app(document(THREADS)), keys));
    }
}

/// Check that every document can be drawn on every screen at every size, and never speaks to the terminal itself.
#[test]
fn every_document_is_drawn_on_every_screen_at_every_size() {
    let screens = [
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "1 Enter",
        "1 m",
        "1 m Enter",
        "2 t",
        "1 ?",
        "1 /",
        "1 w",
        "Esc Esc Esc",
    ];
    for name in DOCUMENTS {
        for size in [(80, 24), (160, 50), (300, 100), (40, 10), (1, 1)] {
            for keys in screens {
                for before in ["", "b"] {
                    let mut app = app(document(name));
                    press(&mut app, before, size);
                    press(&mut app, keys, size);
                    let screen = drawn(&app, size);
                    let at = format!("{name}, {size:?}, keys {before} {keys}:\n{screen}");
                    assert!(!screen.contains(|c: char| c.is_control() && c != '\n'), "{at}");
                    let columns = screen.lines().map(UnicodeWidthStr::width).max().unwrap_or(0);
                    assert!(columns <= usize::from(size.0), "{columns} columns: {at}");
                }
            }
        }
    }
}
