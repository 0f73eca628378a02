//! What each key does, and how the screens look: no screen may panic, whatever the size and the snapshot.

use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Cell;
use ratatui::crossterm::event::{
    Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::layout::Size;
use ratatui::style::{Color, Modifier};

use super::{App, Input, Request, Settings, Theme};
use crate::model::snapshot::{Dimension, Snapshot};
use crate::view::{frame, sample};

const SIZE: Size = Size { width: 80, height: 24 };

fn app(snapshot: Snapshot) -> App {
    let theme = Theme { colour: true };
    App::new(Arc::new(snapshot), Settings { theme, dimension: Dimension::InuseSpace, is_live: true })
}

/// The screen as text; `>` stands before a line that is selected.
fn drawn(app: &App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| app.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y: u16| {
        let mut text = String::new();
        let mut hidden = 0;
        for x in 0..width {
            // Behind a wide character stands a cell that is not seen.
            if hidden > 0 {
                hidden -= 1;
                continue;
            }
            text.push_str(buffer[(x, y)].symbol());
            hidden = frame::columns(buffer[(x, y)].symbol()).saturating_sub(1);
        }
        let whole = (0..width).all(|x| buffer[(x, y)].modifier.contains(Modifier::REVERSED));
        format!("{}{}", if whole { '>' } else { ' ' }, text.trim_end())
    };
    (0..height).map(|y| line(y).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// The same a minute later: a third of the sites has grown, one is new, one is gone.
fn later(snapshot: &Snapshot) -> Snapshot {
    let mut next = snapshot.clone();
    next.attached_seconds += 60.0;
    for site in next.sites.iter_mut().step_by(3) {
        site.inuse_bytes = site.inuse_bytes.map(|bytes| bytes / 10 * 11);
        site.inuse_objects = site.inuse_objects.map(|objects| objects / 10 * 11);
        site.alloc_bytes += 4096;
    }
    if next.sites.len() > 5 {
        next.sites[4].id = 999;
        next.sites[2].inuse_bytes = Some(0);
        next.sites[2].inuse_objects = Some(0);
        next.sites[1].inuse_bytes = next.sites[1].inuse_bytes.map(|bytes| bytes / 2);
        next.sites.remove(5);
    }
    next
}

fn samples() -> [Snapshot; 8] {
    [
        sample::busy(),
        sample::fleet(),
        sample::sample(),
        sample::two_targets(),
        sample::sampled(),
        sample::alloc_mode(),
        sample::empty(),
        wild(),
    ]
}

/// Numbers and names as bad as they get.
fn wild() -> Snapshot {
    let mut wild = sample::busy();
    for (at, site) in wild.sites.iter_mut().enumerate() {
        (site.inuse_bytes, site.alloc_bytes, site.alloc_objects) = (Some(u64::MAX), u64::MAX, u64::MAX);
        (site.thread, site.oldest_seconds) = (Some("挿\x1b[2J".repeat(at).into()), Some(f64::NAN));
        let mut frames = site.frames.to_vec();
        Arc::make_mut(&mut frames[1]).function = Some("ns<挿入, std::vector<int>>::".repeat(at * 20));
        site.frames = frames.into();
        if let Some(recent) = &mut site.recent {
            recent.trend = vec![u64::MAX; 100].into();
            (recent.growth_bytes, recent.alloc_bytes_per_second) = (Some(i64::MIN), f64::INFINITY);
        }
    }
    wild.quality.lost.insert("map_full".to_owned(), u64::MAX / 2);
    (wild.attached_seconds, wild.overhead.target_cpu_ratio) = (f64::NAN, Some(f64::NAN));
    wild.targets[0].comm = "\x1b]0;x\x07".repeat(50);
    wild
}

/// `<Enter>`, `<C-c>` and plain characters.
fn keys(text: &str) -> Vec<Input> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let name = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let (code, modifiers) = match name {
            Some((name, after)) => {
                rest = after;
                named(name)
            }
            None => {
                rest = &rest[c.len_utf8()..];
                (KeyCode::Char(c), KeyModifiers::NONE)
            }
        };
        keys.push(Event::Key(KeyEvent::new(code, modifiers)));
    }
    keys
}

fn named(name: &str) -> (KeyCode, KeyModifiers) {
    let code = match name {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" => KeyCode::Tab,
        "BackTab" => KeyCode::BackTab,
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "PgDn" => KeyCode::PageDown,
        "Space" => KeyCode::Char(' '),
        "BS" => KeyCode::Backspace,
        "C-u" => return (KeyCode::Char('u'), KeyModifiers::CONTROL),
        "C-c" => return (KeyCode::Char('c'), KeyModifiers::CONTROL),
        "C-z" => return (KeyCode::Char('z'), KeyModifiers::CONTROL),
        _ => panic!("no such key: {name}"),
    };
    (code, KeyModifiers::NONE)
}

fn press(app: &mut App, text: &str) -> Option<Request> {
    keys(text).iter().map(|key| app.input(key, SIZE)).last().flatten()
}

#[test]
fn twenty_thousand_sites_are_one_list() {
    let mut app = app(sample::many(20_000));
    assert!(says(&app, "20,000 call sites"));
    press(&mut app, "G");
    let last = selected(&app);
    let mut next = app.snapshot().clone();
    next.sites.reverse();
    app.update(Arc::new(next));
    assert_eq!(selected(&app), last);
    press(&mut app, "/call_77(<Enter>mm");
    assert!(says(&app, "modules"));
}

/// The lines whose text says that something is so.
fn says(app: &App, text: &str) -> bool {
    drawn(app, SIZE.width, SIZE.height).contains(text)
}

/// After these keys, and a minute at each `later`.
fn seen(snapshot: Snapshot, pressed: &str, width: u16, height: u16) -> String {
    let mut app = app(snapshot);
    for word in pressed.split(' ') {
        match word {
            "later" => app.update(Arc::new(later(app.snapshot()))),
            word => keys(word).iter().for_each(|key| drop(app.input(key, Size { width, height }))),
        }
    }
    drawn(&app, width, height)
}

/// The selected line.
fn selected(app: &App) -> String {
    let text = drawn(app, SIZE.width, SIZE.height);
    text.lines().find(|line| line.starts_with('>')).unwrap_or_default().to_owned()
}

/// The tab of the current screen.
fn tab(app: &App) -> String {
    let mut terminal = Terminal::new(TestBackend::new(SIZE.width, SIZE.height)).unwrap();
    terminal.draw(|frame| app.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let cells = (0..SIZE.width).map(|x| &buffer[(x, 1)]);
    cells.filter(|cell| cell.modifier.contains(Modifier::REVERSED)).map(Cell::symbol).collect()
}

#[test]
fn each_key_changes_what_is_seen() {
    let check = |pressed: &str, expect: &str| {
        let mut app = app(sample::busy());
        assert_eq!(press(&mut app, pressed), None, "{pressed}");
        assert!(says(&app, expect), "{pressed}: no {expect:?} in\n{}", drawn(&app, 80, 24));
    };
    for (pressed, expect) in [
        ("", "▼IN USE"),
        ("s", "▼OBJECTS"),
        ("l", "▼OBJECTS"),
        ("sS", "▼IN USE"),
        ("S", "▲CALL SITE"),
        ("r", "▲IN USE"),
        ("rr", "▼IN USE"),
        ("vs", "▼GROWTH"),
        ("ssss", "▼OBJS/s"),
        ("SS", "▲ALLOCATOR"),
        ("sssssssss", "▼HIGH"),
        ("ssssssss", "▼OLDEST"),
        ("v", "by in-use objects"),
        ("vvv", "by allocations"),
        ("vvvv", "by in-use bytes"),
        ("m", "12 functions"),
        ("mm", "2 modules"),
        ("mmm", "12 call sites"),
        ("m<Enter>", "1 call site in shop::Sess"),
        ("m<Enter><Esc>", "12 functions"),
        ("<Enter>", "STACK of 5 frames"),
        ("<Enter><Esc>", "12 call sites"),
        ("m<Enter><Enter>", "STACK of 5 frames"),
        ("/json", "1 call site"),
        ("/json", "Enter keeps, Esc restores"),
        ("/JSON", "No call site matches /JSON/"),
        ("/json<Enter>", "filter /json/"),
        ("/json<Enter><Esc>", "12 call sites"),
        ("/json<Esc>", "12 call sites"),
        ("/json<Enter>/<C-u>zzz<Esc>", "filter /json/"),
        ("/a(", "no regular expression: taken literally"),
        ("/a(<Enter>", "no regular expression, so it is taken literally"),
        ("<Space>", "PAUSED"),
        ("d", "press b first"),
        ("b", " · CHANGES · "),
        ("bd", "▼IN USE"),
        ("5", "Press b"),
        ("5b", "No call site has changed"),
        ("?", "any key closes"),
        ("?x", "▼IN USE"),
        ("?q", "▼IN USE"),
        ("w", "write to: tracer-shopd-4242.svg"),
        ("w<BS><Enter>", "needs .svg"),
        ("w<BS><Enter>g", "Enter writes"),
        ("w<Esc>", "▼IN USE"),
    ] {
        check(pressed, expect);
    }
}

#[test]
fn tabs_are_reached_by_number_and_in_turn() {
    let check = |pressed: &str, expect: &str| {
        let mut app = app(sample::busy());
        press(&mut app, pressed);
        assert_eq!(tab(&app), expect, "{pressed}");
    };
    for (pressed, expect) in [
        ("2", " 2 Tree "),
        ("6", " 6 Quality "),
        ("7", " 1 Sites "),
        ("<Tab>", " 2 Tree "),
        ("<BackTab>", " 6 Quality "),
        ("6<Tab>", " 1 Sites "),
        ("5<BackTab><BackTab>", " 3 Flame "),
    ] {
        check(pressed, expect);
    }
}

#[test]
fn what_the_application_cannot_do_is_requested() {
    let check = |pressed: &str, expect: Option<Request>| {
        let mut app = app(sample::busy());
        assert_eq!(press(&mut app, pressed), expect, "{pressed}");
    };
    let path = |path: &str| Some(Request::Write(path.into()));
    for (pressed, expect) in [
        ("q", Some(Request::Quit)),
        ("<C-c>", Some(Request::Quit)),
        ("/a<C-c>", Some(Request::Quit)),
        ("?<C-c>", Some(Request::Quit)),
        ("?q", None),
        ("/q", None),
        ("<C-z>", Some(Request::Suspend)),
        ("w<Enter>", path("tracer-shopd-4242.svg")),
        ("w<C-u>out/a b.pb.gz<Enter>", path("out/a b.pb.gz")),
        ("w<C-u>a.png<Enter>", None),
        ("w<C-u>a.png<Enter><C-u>a.json<Enter>", path("a.json")),
        ("+", Some(Request::SampleBytes(64 << 10))),
        ("+=", Some(Request::SampleBytes(128 << 10))),
        ("++-", Some(Request::SampleBytes(64 << 10))),
        ("+-", Some(Request::SampleBytes(0))),
        ("-", None),
        ("M", Some(Request::Mouse(true))),
        ("MM", Some(Request::Mouse(false))),
    ] {
        check(pressed, expect);
    }
}

#[test]
fn a_saved_document_has_no_interval_to_change() {
    let theme = Theme { colour: false };
    let settings = Settings { theme, dimension: Dimension::InuseSpace, is_live: false };
    let mut app = App::new(Arc::new(sample::busy()), settings);
    assert_eq!(press(&mut app, "+"), None);
    assert!(says(&app, "a saved profile has no sampling interval to change"));
    assert!(says(&app, " · saved · "));
}

#[test]
fn an_error_of_the_caller_takes_the_interval_back() {
    let mut app = app(sample::busy());
    press(&mut app, "++");
    app.say("failed to change the sampling interval".to_owned(), true);
    assert!(says(&app, "failed to change"));
    assert_eq!(press(&mut app, "+"), Some(Request::SampleBytes(64 << 10)));
}

#[test]
fn keys_move_the_selection_which_stays_on_its_site() {
    let mut app = app(sample::busy());
    for (pressed, expect) in [
        ("", "SessionCache"),
        ("j", "Index::build"),
        ("r", "Index::build"),
        ("k", "Metrics::label"),
        ("rG", "xmlParseDocument"),
        ("ss", "xmlParseDocument"),
        ("g", "SessionCache"),
        ("<PgDn>", "xmlParseDocument"),
    ] {
        press(&mut app, pressed);
        assert!(selected(&app).contains(expect), "{pressed}: {}", selected(&app));
    }
    let mut next = app.snapshot().clone();
    next.sites.reverse();
    app.update(Arc::new(next));
    assert!(selected(&app).contains("xmlParseDocument"));
}

#[test]
fn the_mouse_selects_sorts_and_turns_pages() {
    let mut app = app(sample::busy());
    let mouse =
        |kind, column, row| Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE });
    let click = MouseEventKind::Down(MouseButton::Left);
    app.input(&mouse(click, 40, 5), SIZE);
    assert!(selected(&app).contains("Metrics::label"), "{}", selected(&app));
    app.input(&mouse(MouseEventKind::ScrollDown, 40, 5), SIZE);
    assert!(selected(&app).contains("Value::Value"), "{}", selected(&app));
    app.input(&mouse(click, 12, 2), SIZE);
    assert!(says(&app, "▼OBJECTS"));
    app.input(&mouse(click, 12, 2), SIZE);
    assert!(says(&app, "▲OBJECTS"));
    app.input(&mouse(click, 40, 1), SIZE);
    assert_eq!(tab(&app), " 5 Compare ");
}

#[test]
fn a_paused_picture_stands_still() {
    let mut app = app(sample::busy());
    press(&mut app, "<Space>");
    let before = drawn(&app, 80, 24);
    app.update(Arc::new(later(app.snapshot())));
    assert_eq!(app.snapshot().attached_seconds, 612.0);
    let after = drawn(&app, 80, 24);
    let content = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(content(&before), content(&after));
    assert!(drawn(&app, 160, 24).contains("PAUSED for 1m 0s"), "{after}");
    press(&mut app, "<Space>");
    assert_eq!(app.snapshot().attached_seconds, 672.0);
    assert!(!says(&app, "PAUSED"));
}

#[test]
fn several_processes_are_a_list_first() {
    let mut app = app(sample::fleet());
    for (pressed, expect) in [
        ("", "Processes"),
        ("", "all"),
        ("<Enter>", "22 call sites"),
        ("<Enter>", "STACK"),
        ("<Esc>", "22 call sites"),
        ("<Esc>", "Processes"),
        ("jj<Enter>", "5 call sites"),
        ("", "shopd 4343"),
        ("/xml<Enter>", "filter"),
        ("<Esc>", "5 call sites"),
        ("<Esc>", "Processes"),
        ("/worker", "512"),
        ("<Enter>j<Enter>", "worker 512 · ENDED: exited"),
        ("<Esc>1", "1 Sites"),
    ] {
        press(&mut app, pressed);
        assert!(says(&app, expect), "{pressed}: no {expect:?} in\n{}", drawn(&app, 80, 24));
    }
}

#[test]
fn loss_is_said_in_words() {
    let mut app = app(sample::two_targets());
    press(&mut app, "<Enter>");
    assert!(drawn(&app, 160, 24).contains("LOSSY 1,234 lost, 1 not probed"));
    assert!(says(&app, "LOSSY 1,23"));
    assert!(drawn(&app, 44, 12).contains("LOSSY 1,235"), "{}", drawn(&app, 44, 12));
}

#[test]
fn the_status_line_drops_what_matters_least() {
    let mut snapshot = sample::sampled();
    snapshot.targets[0].ended = Some("exited".to_owned());
    snapshot.quality.pending_symbols = 1234;
    let mut app = app(snapshot);
    press(&mut app, "<Space>b");
    app.update(Arc::new(later(app.snapshot())));
    let check = |width, expect: &str| {
        let text = drawn(&app, width, 24);
        assert_eq!(text.lines().next().unwrap_or_default().trim(), expect, "{width}");
    };
    for (width, expect) in [
        (
            160,
            "leaky 4242 · ENDED: exited · PAUSED for 1m 0s · CHANGES · live · a sample every 512 KiB · cost 0.2% · \
             loss 0 · sampled · reading 1,234 names · 10.0s",
        ),
        (
            125,
            "leaky 4242 · ENDED: exited · PAUSED for 1m 0s · CHANGES · live · 1 in 512 KiB · cost 0.2% · loss 0 · \
             sampled · 1,234 names",
        ),
        (80, "leaky 4242 · ENDED · PAUSED · CHANGES · live · 1 in 512 KiB · cost 0.2% · loss 0"),
        (60, "leaky 4242 · ENDED · PAUSED · CHANGES · cost 0.2% · loss 0"),
        (40, "leaky 4242 · ENDED · PAUSED · CHANGES"),
    ] {
        check(width, expect);
    }
}

#[test]
fn without_colour_everything_is_in_the_terminals_own() {
    let theme = Theme { colour: false };
    for snapshot in samples() {
        let settings = Settings { theme, dimension: Dimension::InuseSpace, is_live: true };
        let mut app = App::new(Arc::new(snapshot), settings);
        for pressed in ["", "<Enter>", "<Enter>", "b5", "?", "x/a["] {
            press(&mut app, pressed);
            let mut terminal = Terminal::new(TestBackend::new(120, 40)).unwrap();
            terminal.draw(|frame| app.draw(frame)).unwrap();
            let cells = &terminal.backend().buffer().content;
            assert!(cells.iter().all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset)), "{pressed}");
        }
    }
}

#[test]
fn nothing_panics_at_any_size() {
    for snapshot in samples() {
        let mut app = app(snapshot);
        let next = Arc::new(later(app.snapshot()));
        for pressed in [
            "",
            "<Enter>",
            "<Enter>",
            "<Esc>m<Enter>",
            "<Esc>b",
            "5<Enter>",
            "<Esc>?",
            "x/a",
            "<Esc>w",
            "<Esc>1",
        ] {
            for (width, height) in
                [(1, 1), (2, 30), (200, 2), (39, 9), (40, 10), (41, 11), (79, 23), (300, 100)]
            {
                let size = Size { width, height };
                drawn(&app, width, height);
                for key in keys("jG<PgDn>gsrhl") {
                    if !pressed.starts_with("<Esc>w") && !pressed.starts_with("x/") {
                        app.input(&key, size);
                    }
                }
                drawn(&app, width, height);
            }
            press(&mut app, pressed);
            app.update(Arc::clone(&next));
        }
    }
}

#[test]
fn a_small_terminal_says_so() {
    let app = app(sample::busy());
    insta::assert_snapshot!(drawn(&app, 20, 4), @"
     terminal too small:
     needs 80x24
    ");
}

#[test]
fn control_characters_of_the_target_do_not_reach_the_terminal() {
    let mut app = app(wild());
    for pressed in ["", "<Enter>", "5b", "?"] {
        press(&mut app, pressed);
        let text = drawn(&app, 300, 100);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{pressed}: {text:?}");
    }
}

#[test]
fn call_sites_show_what_keeps_and_what_allocates() {
    insta::assert_snapshot!(seen(sample::busy(), "", 80, 24), @"
     shopd 4242 · live · every allocation · cost 0.2% · loss 0 · exact · 10m 12s
      1 Sites  2 Tree  3 Flame  4 Process  5 Compare  6 Quality
      ▼IN USE  OBJECTS    GROWTH  ALLOC/s HIGH  CALL SITE
    >1.20 GiB  201,344  +240 MiB 4.20 MiB fat   shop::SessionCache::insert(…) (:118)
      384 MiB       12     0 B      0 B   fat   shop::catalog::Index::build(…) (:402)
     73.6 MiB    2.41M  +720 KiB 12.0 KiB many  shop::Metrics::label(…) (:57)
     4.70 MiB    1,204 -4.00 KiB 50.0 MiB       parse_request (src/http.c:88)
     2.86 MiB      731 +4.00 KiB  200 KiB       sqlite3_step [shopd]
     1.00 MiB    8,192 +1.00 KiB 30.0 MiB       json::Value::Value(…) (:1021)
      640 KiB      640 +64.0 KiB 1.00 KiB       キャッシュ::挿入する(文字列) (:7)
     96.0 KiB        3     0 B      0 B         SSL_CTX_new [shopd]
     71.0 KiB        1     0 B      0 B         shop::main_loop() (src/main.cpp:240)
     16.0 KiB       16     0 B      0 B         tls_thread_init (src/thread.c:14)
      512 B          2     0 B    800 KiB       shop::Log::format<…>(…) (log.h:33)
        0 B          0 -2.00 MiB 2.00 MiB       xmlParseDocument [libxml2.so.2]







     1.66 GiB    2.62M  +239 MiB 87.2 MiB       12 call sites
     ↑↓ move  Enter detail  / filter  s sort  r reverse  m group  ? help  q quit
    ");
    insta::assert_snapshot!(seen(sample::busy(), "", 160, 50), @"
     shopd 4242 · live · every allocation · cost 0.2% · loss 0 · exact · 10m 12s
      1 Sites  2 Tree  3 Flame  4 Process  5 Compare  6 Quality
      ▼IN USE  OBJECTS    GROWTH MINUTE      ALLOC/s   OBJS/s  ALLOCATED   ALLOCS  AVERAGE   OLDEST HIGH  ALLOCATOR  CALL SITE
    >1.20 GiB  201,344  +240 MiB ▁▂▂▃▄▅▅▆▇█ 4.20 MiB      688   3.66 GiB  614,144 6.25 KiB  10m 11s fat   glibc      shop::SessionCache::insert(…) (:118)
      384 MiB       12     0 B   ▄▄▄▄▄▄▄▄▄▄    0 B          0    384 MiB       12 32.0 MiB    5m 5s fat   glibc      shop::catalog::Index::build(…) (index.cpp:402)
     73.6 MiB    2.41M  +720 KiB ▄▄▄▄▄▄▄▄▅▅ 12.0 KiB      384   80.6 MiB    2.64M   32 B     2m 32s many  glibc      shop::Metrics::label(…) (metrics.cpp:57)
     4.70 MiB    1,204 -4.00 KiB ▄▄▄▄▄▄▄▄▄▄ 50.0 MiB   12,800   29.3 GiB    7.68M 4.00 KiB   3m 23s       glibc      parse_request (src/http.c:88)
     2.86 MiB      731 +4.00 KiB ▄▄▄▄▄▄▄▄▄▄  200 KiB       50    120 MiB   30,731 4.00 KiB    55.5s       glibc      sqlite3_step [shopd]
     1.00 MiB    8,192 +1.00 KiB ▄▄▄▄▄▄▄▄▄▄ 30.0 MiB  245,760   17.6 GiB     147M  128 B      2m 2s       glibc      json::Value::Value(…) (value.cpp:1021)
      640 KiB      640 +64.0 KiB ▁▂▂▃▄▅▅▆▇█ 1.00 KiB      1.0   1.21 MiB    1,240 1.00 KiB   1m 41s       glibc      キャッシュ::挿入する(文字列) (キャッシュ.cpp:7)
     96.0 KiB        3     0 B   ▄▄▄▄▄▄▄▄▄▄    0 B          0   96.0 KiB        3 32.0 KiB   1m 27s       glibc      SSL_CTX_new [shopd]
     71.0 KiB        1     0 B   ▄▄▄▄▄▄▄▄▄▄    0 B          0   71.0 KiB        1 71.0 KiB    50.9s       glibc      shop::main_loop() (src/main.cpp:240)
     16.0 KiB       16     0 B   ▄▄▄▄▄▄▄▄▄▄    0 B          0   16.0 KiB       16 1.00 KiB    1m 1s       glibc      tls_thread_init (src/thread.c:14)
      512 B          2     0 B   ▄▄▄▄▄▄▄▄▄▄  800 KiB    3,200    469 MiB    1.92M  256 B      1m 7s       glibc      shop::Log::format<…>(…) (log.h:33)
        0 B          0 -2.00 MiB █▇▆▅▅▄▃▂▂▁ 2.00 MiB       40   1.17 GiB   24,000    -            -       glibc      xmlParseDocument [libxml2.so.2]

































     1.66 GiB    2.62M  +239 MiB            87.2 MiB  262,923   52.7 GiB     160M                                    12 call sites
     ↑↓ move  Enter detail  / filter  s sort  r reverse  m group  b baseline  w write  ? help  q quit
    ");
}

#[test]
fn estimates_carry_their_error_also_as_changes() {
    insta::assert_snapshot!(seen(sample::sampled(), "", 80, 12), @"
     leaky 4242 · live · 1 in 512 KiB · cost 0.2% · loss 0 · sampled · 10.0s
      1 Sites  2 Tree  3 Flame  4 Process  5 Compare  6 Quality
      ▼IN USE      ±  OBJECTS   MEAN/s  AVERAGE HIGH  CALL SITE
    >12.0 MiB  ±25%     2,000 1.24 MiB 6.14 KiB both  Cache::insert(…) (cache.cpp:42)
      640 B    ±25%*       10 6.25 KiB   64 B         parse_request (src/http.c:88)





     12.0 MiB           2,010 1.25 MiB                2 call sites
     ↑↓ move  Enter detail  / filter  s sort  r reverse  m group  ? help  q quit
    ");
    insta::assert_snapshot!(seen(sample::sampled(), "b later j", 80, 12), @"
     leaky 4242 · CHANGES in 1m 0s · live · 1 in 512 KiB · cost 0.2% · loss 0
      1 Sites  2 Tree  3 Flame  4 Process  5 Compare  6 Quality
       ▼IN USE          ±  OBJECTS   MEAN/s HIGH     CALL SITE
     +1.20 MiB  ±4.24 MiB     +200  181 KiB both     Cache::insert(…) (cache.cpp:42)
    >    0 B     ±226 B          0  914 B            parse_request (src/http.c:88)





     +1.20 MiB                +200  182 KiB          2 call sites
     ↑↓ move  Enter detail  / filter  s sort  r reverse  m group  ? help  q quit
    ");
}

#[test]
fn mode_alloc_shows_what_is_allocated() {
    insta::assert_snapshot!(seen(sample::alloc_mode(), "", 80, 12), @"
     leaky 4242 · alloc · every allocation · cost 0.2% · loss 0 · exact · 10.0s
      1 Sites  2 Tree  3 Flame  4 Process  5 Compare  6 Quality
     ▼ALLOCATED   ALLOCS   MEAN/s  AVERAGE HIGH  CALL SITE
    >  12.4 MiB    2,100 1.24 MiB 6.04 KiB both  Cache::insert(…) (cache.cpp:42)
       62.5 KiB    1,000 6.25 KiB   64 B   many  parse_request (src/http.c:88)





       12.5 MiB    3,100 1.25 MiB                2 call sites
     ↑↓ move  Enter detail  / filter  s sort  r reverse  m group  ? help  q quit
    ");
}

#[test]
fn groups_are_sums_of_their_sites() {
    insta::assert_snapshot!(seen(sample::busy(), "mm", 80, 10), @"
     shopd 4242 · live · every allocation · cost 0.2% · loss 0 · exact · 10m 12s
      1 Sites  2 Tree  3 Flame  4 Process  5 Compare  6 Quality
      ▼IN USE  OBJECTS    GROWTH  ALLOC/s HIGH   SITES MODULE
    >1.66 GiB    2.62M  +241 MiB 85.2 MiB both      11 shopd
        0 B          0 -2.00 MiB 2.00 MiB            1 libxml2.so.2



     1.66 GiB    2.62M  +239 MiB 87.2 MiB              2 modules
     ↑↓ move  Enter detail  / filter  s sort  r reverse  m group  ? help  q quit
    ");
    insta::assert_snapshot!(seen(sample::busy(), "mm <Enter>", 80, 18), @"
     shopd 4242 · live · every allocation · cost 0.2% · loss 0 · exact · 10m 12s
      1 Sites  2 Tree  3 Flame  4 Process  5 Compare  6 Quality
      ▼IN USE  OBJECTS    GROWTH  ALLOC/s HIGH  CALL SITE
    >1.20 GiB  201,344  +240 MiB 4.20 MiB fat   shop::SessionCache::insert(…) (:118)
      384 MiB       12     0 B      0 B   fat   shop::catalog::Index::build(…) (:402)
     73.6 MiB    2.41M  +720 KiB 12.0 KiB many  shop::Metrics::label(…) (:57)
     4.70 MiB    1,204 -4.00 KiB 50.0 MiB       parse_request (src/http.c:88)
     2.86 MiB      731 +4.00 KiB  200 KiB       sqlite3_step [shopd]
     1.00 MiB    8,192 +1.00 KiB 30.0 MiB       json::Value::Value(…) (:1021)
      640 KiB      640 +64.0 KiB 1.00 KiB       キャッシュ::挿入する(文字列) (:7)
     96.0 KiB        3     0 B      0 B         SSL_CTX_new [shopd]
     71.0 KiB        1     0 B      0 B         shop::main_loop() (src/main.cpp:240)
     16.0 KiB       16     0 B      0 B         tls_thread_init (src/thread.c:14)
      512 B          2     0 B    800 KiB       shop::Log::format<…>(…) (log.h:33)


     1.66 GiB    2.62M  +241 MiB 85.2 MiB       11 call sites in shopd, Esc leaves
     ↑↓ move  Enter detail  / filter  s sort  r reverse  m group  ? help  q quit
    ");
}

#[test]
fn a_detail_has_every_frame_and_every_number() {
    insta::assert_snapshot!(seen(sample::sampled(), "<Enter>", 80, 40), @"
     leaky 4242 · live · 1 in 512 KiB · cost 0.2% · loss 0 · sampled · 10.0s
      1 Sites  2 Tree  3 Flame  4 Process  5 Compare  6 Quality
     Cache::insert(std::string const&)
     process 4242 leaky · allocator glibc

     in-use bytes     12.0 MiB ± 3.00 MiB (25%), 95% within 6.00–24.0 MiB
     in-use objects   2,000 ± 500 (25%), 95% within 1,000–4,000
     allocated bytes  12.4 MiB ± 1.55 MiB (12%), 95% within 6.20–24.8 MiB
     allocations      2,100 ± 263 (12%), 95% within 1,050–4,200
     freed            100 objects
     average size     6.14 KiB in use, 6.04 KiB allocated
     oldest block     9.8s
     samples          80, 60 in use

     STACK of 7 frames, the allocation first
       0 operator new(unsigned long)
           /usr/lib/x86_64-linux-gnu/libstdc++.so.6
       1 std::vector<std::string, std::allocator<std::string>
         >::push_back(std::string const&)
           /usr/include/c++/12/bits/stl_vector.h:1287 · /srv/leaky/bin/leaky ·
           inlined
       2 Cache::insert(std::string const&)
           /srv/leaky/src/cache.cpp:42 · /srv/leaky/bin/leaky
       3 libplugin.so+0x1a30
           /srv/leaky/lib/libplugin.so · no symbol
       4 main
           /srv/leaky/src/main.cpp:12 · /srv/leaky/bin/leaky
       5 __libc_start_call_main
           /usr/lib/x86_64-linux-gnu/libc.so.6
       6 _start
           /srv/leaky/bin/leaky








     Esc back  ↑↓ scroll  g G top, bottom  w write  ? help  q quit
    ");
}

#[test]
fn a_detail_has_rates_and_a_trend() {
    insta::assert_snapshot!(seen(sample::busy(), "<Enter>", 160, 50), @"
     shopd 4242 · live · every allocation · cost 0.2% · loss 0 · exact · 10m 12s
      1 Sites  2 Tree  3 Flame  4 Process  5 Compare  6 Quality
     shop::SessionCache::insert(std::string const&, shop::Session&&)
     process 4242 shopd · allocator glibc

     in-use bytes     1.20 GiB (1,288,490,188 bytes)
     in-use objects   201,344
     allocated bytes  3.66 GiB (3,930,901,588 bytes)
     allocations      614,144
     freed            412,800 objects
     average size     6.25 KiB in use, 6.25 KiB allocated
     oldest block     10m 11s

     allocates now    4.20 MiB/s, 688 objects/s
     growth           +240 MiB in use within the last minute
     last 60 s                                                                            ▃▃▃▃▅▅▅▅████ 1.20 GiB
                                                                          ▁▁▁▁▃▃▃▃▆▆▆▆████████████████
                                                              ▂▂▂▂▄▄▄▄▆▆▆▆████████████████████████████
                                                  ▂▂▂▂▅▅▅▅▇▇▇▇████████████████████████████████████████
                                      ▃▃▃▃▅▅▅▅████████████████████████████████████████████████████████
                      ▁▁▁▁▃▃▃▃▆▆▆▆████████████████████████████████████████████████████████████████████ 989 MiB

     STACK of 5 frames, the allocation first
       0 operator new(unsigned long)
           /usr/lib/x86_64-linux-gnu/libstdc++.so.6
       1 shop::SessionCache::insert(std::string const&, shop::Session&&)
           /srv/shop/src/session_cache.cpp:118 · /srv/shop/bin/shopd
       2 main
           /srv/leaky/src/main.cpp:12 · /srv/leaky/bin/leaky
       3 __libc_start_call_main
           /usr/lib/x86_64-linux-gnu/libc.so.6
       4 _start
           /srv/leaky/bin/leaky
















     Esc back  ↑↓ scroll  g G top, bottom  w write  ? help  q quit
    ");
}

#[test]
fn comparing_needs_a_baseline() {
    insta::assert_snapshot!(seen(sample::busy(), "5", 80, 24), @"
     shopd 4242 · live · every allocation · cost 0.2% · loss 0 · exact · 10m 12s
      1 Sites  2 Tree  3 Flame  4 Process  5 Compare  6 Quality







         Nothing to compare with yet. Press b: this moment becomes the baseline,
         and this screen shows which call sites have grown or shrunk since, in
         bytes and in objects. d shows the differences on the other screens, too.











     ↑↓ move  Enter detail  b new baseline  / filter  s sort  ? help  q quit
    ");
}

#[test]
fn a_comparison_says_what_became_of_each_site() {
    insta::assert_snapshot!(seen(sample::busy(), "b later 5", 80, 24), @"
     shopd 4242 · CHANGES in 1m 0s · live · every allocation · cost 0.2% · loss 0
      1 Sites  2 Tree  3 Flame  4 Process  5 Compare  6 Quality
     in-use bytes in 1m 0s: 1 new · 4 grown · 1 shrunk · 3 gone · 4 same
       BEFORE      NOW   ▼CHANGE      %  OBJECTS WHAT   CALL SITE
    >1.20 GiB 1.32 GiB  +123 MiB   +10%  +20,130 grown  shop::SessionCache::insert(…)
        0 B   2.86 MiB +2.86 MiB      -     +731 new    sqlite3_step [shopd]
     4.70 MiB 5.17 MiB  +482 KiB   +10%     +116 grown  parse_request (src/http.c:88)
      640 KiB  704 KiB +64.0 KiB   +10%      +64 grown  キャッシュ::挿入する(…) (:7)
     16.0 KiB 17.6 KiB +1.60 KiB   +10%       -5 grown  tls_thread_init (thread.c:14)
     1.00 MiB    0 B   -1.00 MiB  -100%   -8,192 gone   json::Value::Value(…) (:1021)
     2.86 MiB    0 B   -2.86 MiB  -100%     -731 gone   sqlite3_step [shopd]
     73.6 MiB    0 B   -73.6 MiB  -100%   -2.41M gone   shop::Metrics::label(…) (:57)
      384 MiB  192 MiB  -192 MiB   -50%        0 shrunk …op::catalog::Index::build(…)









     1.66 GiB 1.52 GiB  -143 MiB    -8%   -2.40M        all call sites
     ↑↓ move  Enter detail  b new baseline  / filter  s sort  ? help  q quit
    ");
    insta::assert_snapshot!(seen(sample::busy(), "b later 5", 160, 50), @"
     shopd 4242 · CHANGES in 1m 0s · live · every allocation · cost 0.2% · loss 0 · exact · 11m 12s
      1 Sites  2 Tree  3 Flame  4 Process  5 Compare  6 Quality
     in-use bytes in 1m 0s: 1 new · 4 grown · 1 shrunk · 3 gone · 4 same
       BEFORE       NOW    ▼CHANGE       %   OBJECTS  WHAT    CALL SITE
    >1.20 GiB  1.32 GiB   +123 MiB    +10%   +20,130  grown   shop::SessionCache::insert(std::string const&, shop::Session&&) (src/session_cache.cpp:118)
        0 B    2.86 MiB  +2.86 MiB       -      +731  new     sqlite3_step [shopd]
     4.70 MiB  5.17 MiB   +482 KiB    +10%      +116  grown   parse_request (src/http.c:88)
      640 KiB   704 KiB  +64.0 KiB    +10%       +64  grown   キャッシュ::挿入する(文字列) (src/キャッシュ.cpp:7)
     16.0 KiB  17.6 KiB  +1.60 KiB    +10%        -5  grown   tls_thread_init (src/thread.c:14)
     1.00 MiB     0 B    -1.00 MiB   -100%    -8,192  gone    json::Value::Value(json::Value const&) (json/value.cpp:1021)
     2.86 MiB     0 B    -2.86 MiB   -100%      -731  gone    sqlite3_step [shopd]
     73.6 MiB     0 B    -73.6 MiB   -100%    -2.41M  gone    shop::Metrics::label(std::string_view) (src/metrics.cpp:57)
      384 MiB   192 MiB   -192 MiB    -50%         0  shrunk  shop::catalog::Index::build(std::vector<shop::catalog::Item, std::allocator<…>> const&) (index.cpp:402)



































     1.66 GiB  1.52 GiB   -143 MiB     -8%    -2.40M          all call sites
     ↑↓ move  Enter detail  b new baseline  / filter  s sort  r reverse  w write  ? help  q quit
    ");
}

#[test]
fn processes_are_listed_with_their_sum() {
    insta::assert_snapshot!(seen(sample::fleet(), "", 80, 24), @"
     3 processes · 1 ENDED · live · every allocation · cost 0.2% · loss 0 · exact
      Processes
          PID   IN USE    GROWTH  ALLOC/s RESIDENT TREND      PROCESS
    >     all 1.82 GiB  +106 MiB  257 MiB 2.09 GiB            all 3 processes
         4242 1.66 GiB  +102 MiB 85.8 MiB 2.00 GiB ▁▂▂▃▄▅▅▆▇█ shopd
         4343 82.7 MiB +4.07 MiB 85.8 MiB 48.0 MiB ▁▂▂▃▄▅▅▆▇█ shopd
          512 82.7 MiB  +492 KiB 85.8 MiB 48.0 MiB ▁▂▂▃▄▅▅▆▇█ worker  ENDED: exited
















     ↑↓ move  Enter look into  / filter  Space pause  w write  ? help  q quit
    ");
    insta::assert_snapshot!(seen(sample::fleet(), "", 160, 50), @"
     3 processes · 1 ENDED · live · every allocation · cost 0.2% · loss 0 · exact · 10m 12s
      Processes
          PID    IN USE     GROWTH   ALLOC/s  RESIDENT  TREND       PROCESS
    >     all  1.82 GiB   +106 MiB   257 MiB  2.09 GiB              all 3 processes
         4242  1.66 GiB   +102 MiB  85.8 MiB  2.00 GiB  ▁▂▂▃▄▅▅▆▇█  shopd
         4343  82.7 MiB  +4.07 MiB  85.8 MiB  48.0 MiB  ▁▂▂▃▄▅▅▆▇█  shopd
          512  82.7 MiB   +492 KiB  85.8 MiB  48.0 MiB  ▁▂▂▃▄▅▅▆▇█  worker  ENDED: exited










































     ↑↓ move  Enter look into  / filter  Space pause  w write  ? help  q quit
    ");
}

#[test]
fn losses_stay_in_sight() {
    insta::assert_snapshot!(seen(sample::two_targets(), "<Enter>", 80, 12), @"
     2 processes · 1 ENDED · live · every allocation · cost 0.2% · LOSSY 1,235
      1 Sites  2 Tree  3 Flame  4 Process  5 Compare  6 Quality
      ▼IN USE  OBJECTS   MEAN/s HIGH  PROCESS        CALL SITE
    >12.0 MiB    2,000 1.24 MiB both  4242 leaky     Cache::insert(…) (cache.cpp:42)
     12.0 MiB    2,000 1.24 MiB both  4343 leaky-2   Cache::insert(…) (cache.cpp:42)
      640 B         10 6.25 KiB       4242 leaky     parse_request (src/http.c:88)
      640 B         10 6.25 KiB       4343 leaky-2   [no stack: the stack's memory c…



     24.0 MiB    4,020 2.49 MiB                      4 call sites
     ↑↓ move  Enter detail  / filter  s sort  r reverse  m group  ? help  q quit
    ");
}

#[test]
fn nothing_to_see_is_explained() {
    insta::assert_snapshot!(seen(sample::empty(), "", 80, 12), @"
     leaky 4242 · live · every allocation · cost ? · loss 0 · exact · 10.0s
      1 Sites  2 Tree  3 Flame  4 Process  5 Compare  6 Quality



                                Nothing was allocated yet.





     ↑↓ move  Enter detail  / filter  s sort  r reverse  m group  ? help  q quit
    ");
}

#[test]
fn help_fits_the_smallest_usual_terminal() {
    insta::assert_snapshot!(seen(sample::busy(), "?", 80, 24), @"
     ┌ Keys ────────────────────────────────────────────────────────────────────────┐
     │ MOVE                                     DO                                  │
     │ ↑ ↓ k j    line                          Space      hold still, go on        │
     │ PgUp PgDn  page                          w          write a file             │
     │ g G        first, last line              + -        longer, shorter sampling │
     │ ← → h l    column, level or box          M          mouse: click, wheel      │
     │ Enter      look into it                  Ctrl-Z     stop; fg goes on         │
     │ Esc        back, then clear the filter   q Ctrl-C   quit                     │
     │ 1-6 Tab    screen                                                            │
     │                                          READ                                │
     │ CHOOSE                                   HIGH       the sites that make 80%  │
     │ /          filter: text or regex           fat      of the bytes             │
     │ n N        next, previous match            many     of the objects           │
     │ s S        sort by next, previous          both     of bytes and objects     │
     │ r          reverse the order             GROWTH     in use, last minute      │
     │ m          by function, module, thread   MINUTE     its shape, lowest to     │
     │ v          in use, allocated; objects               highest; under 10% flat  │
     │ t          tree from the other end       MEAN       of the whole time        │
     │                                          ±          one standard error       │
     │ COMPARE                                    *        of under 30 samples      │
     │ b          this moment is the baseline                                       │
     │ d          changes or numbers                                                │
     │                                                                              │
     └ any key closes ──────────────────────────────────────────────────────────────┘
    ");
}
