//! Screen 4: one process, or all of them as one: how much, since when, how fast, of which sizes, and for how long.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::action::Action;
use super::marks::{self, put};
use super::picture::Picture;
use super::screen::{Hint, Screen};
use super::scroll::Scroll;
use sum::Sum;

mod bars;
mod charts;
mod sum;
mod words;

/// What the user has chosen.
#[derive(Debug, Default)]
pub(super) struct Process {
    scroll: Scroll,
}

/// A part of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panel {
    Memory,
    Rate,
    Sizes,
    Lifetimes,
    Pauses,
    Functions,
    Allocators,
}

/// Panels beside each other.
struct Row {
    panels: Vec<Panel>,
    height: u16,
}

/// A chart of less says nothing, one of more says nothing more.
const CHART_LINES: (u16, u16) = (9, 28);
/// A panel of less has no room for its numbers.
const PANEL_COLUMNS_MIN: u16 = 37;

impl Screen for Process {
    fn act(&mut self, action: Action, picture: &Picture<'_>, area: Rect) -> bool {
        let sum = Sum::of(picture);
        let header = words::header(&sum, picture, usize::from(area.width)).len() as u16;
        let height =
            header + 1 + rows(&sum, picture, area, header).iter().map(|row| row.height + 1).sum::<u16>();
        self.scroll.act(action, usize::from(height), usize::from(area.height))
    }

    fn draw(&self, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
        let sum = Sum::of(picture);
        let header = words::header(&sum, picture, usize::from(area.width));
        let rows = rows(&sum, picture, area, header.len() as u16);
        let height = header.len() as u16 + 1 + rows.iter().map(|row| row.height + 1).sum::<u16>();
        // Drawn as a whole, so that charts can be cut by the edge of the screen.
        let mut whole = Buffer::empty(Rect::new(0, 0, area.width, height));
        let full = whole.area;
        for (row, (text, ink)) in header.iter().enumerate() {
            put(&mut whole, full, 1, row as u16, text, marks::ink(*ink, picture));
        }
        let mut y = header.len() as u16 + 1;
        for row in &rows {
            let count = row.panels.len() as u16;
            for (at, panel) in (0..).zip(&row.panels) {
                let (left, right) = (area.width * at / count, area.width * (at + 1) / count);
                let gap = u16::from(at + 1 < count) * 2;
                let place = Rect {
                    x: left + 1,
                    y,
                    width: (right - left).saturating_sub(gap + 1),
                    height: row.height,
                };
                panel.draw(&sum, picture, place.intersection(full), &mut whole);
            }
            y += row.height + 1;
        }
        let first = self.scroll.first(usize::from(height), usize::from(area.height)) as u16;
        let shown = area.intersection(*buffer.area());
        for row in 0..shown.height.min(height - first) {
            for column in 0..shown.width {
                buffer[(shown.x + column, shown.y + row)] = whole[(column, first + row)].clone();
            }
        }
        self.scroll.draw(usize::from(height) - 1, picture, area, buffer);
    }

    fn hints(&self) -> &'static [Hint] {
        &[("↑↓", "scroll"), ("Tab", "next screen"), ("w", "write"), ("?", "help"), ("q", "quit")]
    }
}

/// The panels that there is something to say in, as the width allows.
fn rows(sum: &Sum<'_>, picture: &Picture<'_>, area: Rect, header: u16) -> Vec<Row> {
    use Panel::{Allocators, Functions, Lifetimes, Memory, Pauses, Rate, Sizes};
    let columns = match area.width / PANEL_COLUMNS_MIN {
        0 | 1 => 1,
        2..6 => 2,
        _ => 3,
    };
    let panels = match columns {
        3 => [Memory, Rate, Sizes, Functions, Allocators, Lifetimes, Pauses],
        _ => [Memory, Rate, Sizes, Lifetimes, Pauses, Functions, Allocators],
    };
    let width = area.width / columns;
    let panels: Vec<Panel> =
        panels.into_iter().filter(|panel| panel.lines(sum, picture, width) > 0).collect();
    let mut rows: Vec<Row> = panels
        .chunks(usize::from(columns))
        .map(|panels| Row {
            panels: panels.to_vec(),
            height: panels.iter().map(|panel| panel.lines(sum, picture, width)).max().unwrap_or(0),
        })
        .collect();
    let used = header + 1 + rows.iter().map(|row| row.height + 1).sum::<u16>();
    let charts = rows.iter().filter(|row| row.has_chart()).count() as u16;
    if sum.points.is_empty() || charts == 0 {
        return rows;
    }
    let more = area.height.saturating_sub(used) / charts;
    for row in rows.iter_mut().filter(|row| row.has_chart()) {
        row.height = (row.height + more).min(row.height.max(CHART_LINES.1));
    }
    rows
}

impl Row {
    fn has_chart(&self) -> bool {
        self.panels.iter().any(|panel| matches!(panel, Panel::Memory | Panel::Rate))
    }
}

impl Panel {
    /// Its title included; 0 if there is nothing to say.
    fn lines(self, sum: &Sum<'_>, picture: &Picture<'_>, width: u16) -> u16 {
        let lines = match self {
            Self::Memory if !picture.is_live() => return 0,
            Self::Memory | Self::Rate if sum.points.is_empty() => 2,
            Self::Memory | Self::Rate => return CHART_LINES.0,
            Self::Sizes => bars::sizes(sum).len(),
            Self::Lifetimes => bars::lifetimes(sum).len(),
            Self::Pauses => bars::pauses(sum).len(),
            Self::Functions => words::functions(sum).len(),
            Self::Allocators => words::allocators(sum, usize::from(width)).len(),
        };
        if lines == 0 { 0 } else { lines as u16 + 1 }
    }

    fn draw(self, sum: &Sum<'_>, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = picture.theme;
        let (title, rest) = match self {
            Self::Memory => (charts::memory_legend(sum), ""),
            Self::Rate => (charts::rate_legend(sum), ""),
            Self::Sizes => ("SIZES".to_owned(), "of allocations"),
            Self::Lifetimes => ("LIFETIMES".to_owned(), "of freed blocks"),
            Self::Pauses => ("GC PAUSES".to_owned(), "of cycles"),
            Self::Functions => ("CALLS".to_owned(), ""),
            Self::Allocators => ("ALLOCATORS".to_owned(), ""),
        };
        put(buffer, area, 0, 0, &title, theme.strong());
        put(buffer, area, title.chars().count() as u16 + 1, 0, rest, theme.faint());
        let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        let lines = match self {
            Self::Memory | Self::Rate if sum.points.is_empty() => {
                put(buffer, below, 0, 0, "no timeline in this document:", theme.faint());
                put(buffer, below, 0, 1, "it was looked at only once", theme.faint());
                return;
            }
            Self::Memory => return charts::memory(sum, picture, below, buffer),
            Self::Rate => return charts::rate(sum, picture, below, buffer),
            Self::Sizes => return bars::draw(&bars::sizes(sum), picture, below, buffer),
            Self::Lifetimes => return bars::draw(&bars::lifetimes(sum), picture, below, buffer),
            Self::Pauses => return bars::draw(&bars::pauses(sum), picture, below, buffer),
            Self::Functions => words::functions(sum),
            Self::Allocators => words::allocators(sum, usize::from(area.width)),
        };
        for (row, (text, ink)) in (0..below.height).zip(&lines) {
            put(buffer, below, 0, row, text, marks::ink(*ink, picture));
        }
    }
}

#[cfg(test)]
mod tests;
