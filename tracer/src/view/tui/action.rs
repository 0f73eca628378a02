//! What a key or the mouse means.

use ratatui::crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
};

/// What came from the terminal.
pub type Input = Event;

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To the line above.
    Up,
    /// To the line below.
    Down,
    /// To the column, box or level on the left.
    Left,
    /// To the one on the right.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first line.
    Top,
    /// To the last line.
    Bottom,
    /// Look into what is selected.
    Open,
    /// Out of it.
    Back,
    /// Type a filter.
    Filter,
    /// The next thing that the filter finds.
    NextMatch,
    /// The one before.
    PreviousMatch,
    /// Sort by the next column.
    Sort,
    /// Sort by the column before.
    SortBack,
    /// Turn the order around.
    Reverse,
    /// Group by function, by module, not.
    Group,
    /// The next of pprof's four numbers.
    Dimension,
    /// Turn the tree around: from the start of the thread, or from the allocation.
    Turn,
    /// Hold the picture still, or let it go on.
    Pause,
    /// The next screen.
    NextScreen,
    /// The one before.
    PreviousScreen,
    /// The screen of a number, from 1.
    Screen(usize),
    /// Compare with this moment from now on.
    Baseline,
    /// Show differences since the baseline, or numbers.
    Difference,
    /// Write a file.
    Write,
    /// Longer between samples.
    Coarser,
    /// Shorter between samples.
    Finer,
    /// Use the mouse, or leave it to the terminal.
    Mouse,
    /// What the keys do.
    Help,
    /// End.
    Quit,
    /// Stop, as any program does on Ctrl-Z.
    Suspend,
    /// The mouse pressed there.
    Click {
        /// From the left, 0 is the first.
        column: u16,
        /// From the top.
        row: u16,
    },
    /// The wheel.
    ScrollUp,
    /// The wheel.
    ScrollDown,
}

/// One key, what it does, and how help names it.
const KEYS: &[(KeyCode, Action)] = &[
    (KeyCode::Up, Action::Up),
    (KeyCode::Char('k'), Action::Up),
    (KeyCode::Down, Action::Down),
    (KeyCode::Char('j'), Action::Down),
    (KeyCode::Left, Action::Left),
    (KeyCode::Char('h'), Action::Left),
    (KeyCode::Right, Action::Right),
    (KeyCode::Char('l'), Action::Right),
    (KeyCode::PageUp, Action::PageUp),
    (KeyCode::PageDown, Action::PageDown),
    (KeyCode::Home, Action::Top),
    (KeyCode::Char('g'), Action::Top),
    (KeyCode::End, Action::Bottom),
    (KeyCode::Char('G'), Action::Bottom),
    (KeyCode::Enter, Action::Open),
    (KeyCode::Esc, Action::Back),
    (KeyCode::Char('/'), Action::Filter),
    (KeyCode::Char('n'), Action::NextMatch),
    (KeyCode::Char('N'), Action::PreviousMatch),
    (KeyCode::Char('s'), Action::Sort),
    (KeyCode::Char('S'), Action::SortBack),
    (KeyCode::Char('r'), Action::Reverse),
    (KeyCode::Char('m'), Action::Group),
    (KeyCode::Char('v'), Action::Dimension),
    (KeyCode::Char('t'), Action::Turn),
    (KeyCode::Char(' '), Action::Pause),
    (KeyCode::Tab, Action::NextScreen),
    (KeyCode::BackTab, Action::PreviousScreen),
    (KeyCode::Char('b'), Action::Baseline),
    (KeyCode::Char('d'), Action::Difference),
    (KeyCode::Char('w'), Action::Write),
    (KeyCode::Char('+'), Action::Coarser),
    (KeyCode::Char('='), Action::Coarser),
    (KeyCode::Char('-'), Action::Finer),
    (KeyCode::Char('M'), Action::Mouse),
    (KeyCode::Char('?'), Action::Help),
    (KeyCode::F(1), Action::Help),
    (KeyCode::Char('q'), Action::Quit),
];

/// What an event asks for; `None` for what means nothing.
#[must_use]
pub(super) fn of(event: &Event) -> Option<Action> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => of_key(*key),
        Event::Mouse(mouse) => match mouse.kind {
            MouseEventKind::Down(MouseButton::Left) => {
                Some(Action::Click { column: mouse.column, row: mouse.row })
            }
            MouseEventKind::ScrollUp => Some(Action::ScrollUp),
            MouseEventKind::ScrollDown => Some(Action::ScrollDown),
            _ => None,
        },
        _ => None,
    }
}

fn of_key(key: KeyEvent) -> Option<Action> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Action::Quit),
            KeyCode::Char('z') => Some(Action::Suspend),
            KeyCode::Char('f') => Some(Action::PageDown),
            KeyCode::Char('b') => Some(Action::PageUp),
            _ => None,
        };
    }
    match key.code {
        KeyCode::Char(digit @ '1'..='9') => digit.to_digit(10).map(|digit| Action::Screen(digit as usize)),
        code => KEYS.iter().find(|(known, _)| *known == code).map(|&(_, action)| action),
    }
}
