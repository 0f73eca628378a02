//! A line that is typed: a filter, or the name of a file.

use std::path::{Path, PathBuf};

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEventKind};
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use tui_input::backend::crossterm::EventHandler;
use tui_input::{Input as Line, InputRequest};

use super::action::Input;
use super::cells;
use super::filter::Filter;
use super::theme::Theme;
use crate::model::snapshot::Snapshot;
use crate::view::{Format, frame};

/// What is asked for.
pub(super) enum Purpose {
    /// With what was searched for before.
    Filter(Option<Filter>),
    Write,
}

/// What a key did.
pub(super) enum Typed {
    /// There is more to come.
    More,
    /// Not that, after all.
    Cancel,
    /// That is it.
    Done,
}

/// The line and what it is for.
pub(super) struct Prompt {
    pub(super) purpose: Purpose,
    line: Line,
    /// Why what was typed will not do.
    refusal: Option<String>,
}

impl Prompt {
    /// Begins with the filter that there is.
    pub(super) fn filter(now: Option<&Filter>) -> Self {
        let text = now.map_or_else(String::new, |filter| filter.text.clone());
        Self { purpose: Purpose::Filter(now.cloned()), line: Line::new(text), refusal: None }
    }

    /// Begins with a name that says what will be in the file.
    pub(super) fn write(snapshot: &Snapshot) -> Self {
        Self { purpose: Purpose::Write, line: Line::new(file_name(snapshot)), refusal: None }
    }

    pub(super) fn text(&self) -> &str {
        self.line.value()
    }

    /// The file to write; if its name does not say how, that is said.
    pub(super) fn path(&mut self) -> Option<PathBuf> {
        let path = Path::new(self.text().trim());
        if Format::from_suffix(path).is_some() {
            return Some(path.to_owned());
        }
        self.refusal = Some("needs .svg .pb.gz .json .folded .txt".to_owned());
        None
    }

    pub(super) fn input(&mut self, input: &Input) -> Typed {
        self.refusal = None;
        match input {
            Input::Key(key) if key.kind != KeyEventKind::Release && key.code == KeyCode::Enter => Typed::Done,
            Input::Key(key) if key.kind != KeyEventKind::Release && key.code == KeyCode::Esc => Typed::Cancel,
            Input::Paste(text) => {
                for c in text.chars().filter(|c| !c.is_control()) {
                    self.line.handle(InputRequest::InsertChar(c));
                }
                Typed::More
            }
            _ => {
                self.line.handle_event(input);
                Typed::More
            }
        }
    }

    /// Draws the line; says where the cursor is.
    pub(super) fn draw(&self, area: Rect, theme: Theme, buffer: &mut Buffer) -> Position {
        let title = match self.purpose {
            Purpose::Filter(_) => "/",
            Purpose::Write => "write to: ",
        };
        let x = cells::put(buffer, area, area.x, area.y, title, theme.accent());
        let room = usize::from(area.right().saturating_sub(x + 1));
        let scroll = self.line.visual_scroll(room);
        // What is scrolled out to the left.
        let hidden = frame::start(self.text(), scroll).len();
        let shown = frame::start(&self.text()[hidden..], room);
        let end = cells::put(buffer, area, x, area.y, shown, theme.strong());
        let literal = matches!(self.purpose, Purpose::Filter(_))
            && Filter::new(self.text()).is_some_and(|filter| filter.is_literal);
        let (remark, style) = match &self.refusal {
            Some(refusal) => (refusal.as_str(), theme.bad()),
            None if literal => ("no regular expression: taken literally", theme.warning()),
            None if matches!(self.purpose, Purpose::Filter(_)) => {
                ("Enter keeps, Esc restores", theme.faint())
            }
            None => ("Enter writes, Esc does not", theme.faint()),
        };
        let remark = cells::cut(remark, usize::from(area.right().saturating_sub(end + 3)));
        cells::put(buffer, area, end + 3, area.y, &remark, style);
        cells::put(buffer, area, end, area.y, " ", Style::new());
        let cursor = self.line.visual_cursor().saturating_sub(frame::columns(&self.text()[..hidden]));
        Position { x: (x + cursor as u16).min(area.right().saturating_sub(1)), y: area.y }
    }
}

/// `tracer-leaky-4242.svg`.
fn file_name(snapshot: &Snapshot) -> String {
    let target = match snapshot.targets.as_slice() {
        [target] if target.pid == 0 => format!("-{}", target.comm),
        [target] => format!("-{}-{}", target.comm, target.pid),
        _ => String::new(),
    };
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    format!("tracer{}.svg", target.chars().map(plain).collect::<String>())
}
