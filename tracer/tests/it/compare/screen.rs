//! A comparison on the terminal: what stands where, and what the keys do.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Size;
use tracer::canary::Comparison;
use tracer::view::comparison::json;
use tracer::view::tui::{ComparisonScreen, ComparisonWish, Theme};

use crate::data;

fn comparison() -> Comparison {
    let bytes = std::fs::read(data("comparison.json")).expect("the document is kept beside the tests");
    json::read(&bytes).expect("a document of this schema")
}

fn press(screen: &mut ComparisonScreen<'_>, key: KeyCode, size: (u16, u16)) -> Option<ComparisonWish> {
    screen.input(&Event::Key(KeyEvent::new(key, KeyModifiers::NONE)), Size::new(size.0, size.1))
}

/// What stands on the screen, without blanks at the ends of lines.
fn drawn(screen: &ComparisonScreen<'_>, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal in memory");
    terminal.draw(|frame| screen.draw(frame)).expect("a terminal in memory");
    let buffer = terminal.backend().buffer().clone();
    let line = |y: u16| {
        let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        line.trim_end().to_owned()
    };
    (0..height).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_list_has_the_verdict_the_totals_and_the_sites() {
    let comparison = comparison();
    let screen = ComparisonScreen::new(&comparison, Theme { colour: true });
    for size in [(80, 24), (140, 20)] {
        insta::assert_snapshot!(format!("comparison_list_{}", size.0), drawn(&screen, size));
    }
}

#[test]
fn a_site_has_its_rows_of_both_sides_and_its_stack() {
    let comparison = comparison();
    let mut screen = ComparisonScreen::new(&comparison, Theme { colour: true });
    let size = (100, 40);
    press(&mut screen, KeyCode::Down, size);
    press(&mut screen, KeyCode::Enter, size);
    insta::assert_snapshot!("comparison_detail", drawn(&screen, size));
    press(&mut screen, KeyCode::Esc, size);
    assert!(drawn(&screen, size).contains("CALL SITE by bytes allocated"));
}

#[test]
fn keys_move_change_the_quantity_and_quit() {
    let comparison = comparison();
    let mut screen = ComparisonScreen::new(&comparison, Theme { colour: true });
    let size = (120, 30);
    assert_eq!(press(&mut screen, KeyCode::Char('v'), size), None);
    assert!(drawn(&screen, size).contains("CALL SITE by objects allocated"));
    press(&mut screen, KeyCode::Char('v'), size);
    assert!(drawn(&screen, size).contains("CALL SITE by bytes in use"));
    press(&mut screen, KeyCode::Char('v'), size);
    assert!(drawn(&screen, size).contains("CALL SITE by bytes allocated"));
    // The last line is what was too small to be tested; it has no stack.
    press(&mut screen, KeyCode::End, size);
    press(&mut screen, KeyCode::Enter, size);
    let detail = drawn(&screen, size);
    assert!(detail.contains("CALL STACK") && detail.contains("\nnone"), "{detail}");
    assert_eq!(press(&mut screen, KeyCode::Char('q'), size), Some(ComparisonWish::Quit));
}

#[test]
fn any_terminal_and_any_comparison_can_be_drawn() {
    let mut empty = comparison();
    (empty.sites, empty.rest, empty.totals) = (Vec::new(), None, Vec::new());
    empty.decision.reasons = vec!["a long reason ".repeat(60)];
    for comparison in [comparison(), empty] {
        for size in [(1, 1), (20, 5), (80, 8), (80, 24), (300, 100)] {
            let mut screen = ComparisonScreen::new(&comparison, Theme { colour: false });
            for key in [
                KeyCode::Down,
                KeyCode::Enter,
                KeyCode::End,
                KeyCode::Esc,
                KeyCode::Char('v'),
                KeyCode::PageDown,
            ] {
                press(&mut screen, key, size);
                drawn(&screen, size);
            }
        }
    }
}
