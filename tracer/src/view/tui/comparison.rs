//! Two releases, compared, on the terminal: the verdict, the totals, the call sites, and one of them in detail.

mod detail;
mod list;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::style::Style;

use super::action::{self, Action, Input};
use super::cells;
use super::chrome;
use super::list::List;
use super::screen::Hint;
use super::theme::Theme;
use crate::canary::{Comparison, Quantity, Verdict};
use crate::view::comparison::words;
use crate::view::frame;
use detail::Detail;

const HINTS: &[Hint] = &[("↑↓", "move"), ("Enter", "detail"), ("v", "bytes, objects, in use"), ("q", "quit")];
const DETAIL_HINTS: &[Hint] = &[("↑↓", "scroll"), ("Esc", "back"), ("q", "quit")];
/// What `v` goes through.
const QUANTITIES: [Quantity; 3] = [Quantity::AllocBytes, Quantity::AllocObjects, Quantity::InuseBytes];
/// Lines of reasons: more are in the other formats.
const REASON_LINES: usize = 3;

/// What the user wants and the screen cannot do itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComparisonWish {
    /// End.
    Quit,
    /// Give the terminal back, and stop.
    Suspend,
}

/// The screen: what the user has chosen, and how that and the comparison become text.
pub struct ComparisonScreen<'a> {
    comparison: &'a Comparison,
    theme: Theme,
    quantity: Quantity,
    list: List<usize>,
    detail: Option<Detail>,
}

/// Where things stand.
struct Layout {
    head: Rect,
    totals: Rect,
    sites: Rect,
    hints: Rect,
}

impl<'a> ComparisonScreen<'a> {
    /// Begins with the list.
    #[must_use]
    pub fn new(comparison: &'a Comparison, theme: Theme) -> Self {
        Self { comparison, theme, quantity: Quantity::AllocBytes, list: List::default(), detail: None }
    }

    /// Does what a key asks for, on a terminal of this size.
    pub fn input(&mut self, input: &Input, size: Size) -> Option<ComparisonWish> {
        let layout = self.layout(Rect::from(size));
        match action::of(input)? {
            Action::Quit => return Some(ComparisonWish::Quit),
            Action::Suspend => return Some(ComparisonWish::Suspend),
            Action::Back => self.detail = None,
            action if self.detail.is_some() => {
                let (comparison, theme) = (self.comparison, self.theme);
                if let Some(detail) = &mut self.detail {
                    detail.act(action, comparison, theme, area_below(layout.head, Rect::from(size)));
                }
            }
            Action::Dimension => self.next_quantity(),
            Action::Open => self.detail = self.selected().map(Detail::new),
            action => {
                let keys = self.keys();
                self.list.act(action, &keys, list::body(layout.sites));
            }
        }
        None
    }

    fn next_quantity(&mut self) {
        let at = QUANTITIES.iter().position(|quantity| *quantity == self.quantity).unwrap_or(0);
        let following = QUANTITIES.iter().cycle().skip(at + 1).take(QUANTITIES.len());
        let is_known =
            |quantity: &&Quantity| self.comparison.totals.iter().any(|row| row.quantity == **quantity);
        self.quantity = following.copied().find(|quantity| is_known(&quantity)).unwrap_or(self.quantity);
    }

    fn keys(&self) -> Vec<usize> {
        (0..self.comparison.sites.len() + usize::from(self.comparison.rest.is_some())).collect()
    }

    fn selected(&self) -> Option<usize> {
        let keys = self.keys();
        keys.get(self.list.index(&keys)).copied()
    }

    /// Draws everything.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let buffer = frame.buffer_mut();
        if chrome::Layout::of(area).is_none() {
            chrome::too_small(area, buffer);
            return;
        }
        let layout = self.layout(area);
        self.head(layout.head, buffer);
        if let Some(detail) = &self.detail {
            detail.draw(self.comparison, self.theme, area_below(layout.head, area), buffer);
            chrome::hints(DETAIL_HINTS, self.theme, layout.hints, buffer);
            return;
        }
        self.totals(layout.totals, buffer);
        let keys = self.keys();
        let place = list::Place { selected: self.list.index(&keys), list: &self.list, keys: &keys };
        list::draw(self.comparison, self.quantity, self.theme, &place, layout.sites, buffer);
        chrome::hints(HINTS, self.theme, layout.hints, buffer);
    }

    fn layout(&self, area: Rect) -> Layout {
        let reasons = self.reasons(area).len() as u16;
        let row = |y: u16, height: u16| Rect::new(area.x, y, area.width, height).intersection(area);
        let head = row(area.y, reasons + 2);
        let totals = row(head.bottom(), self.comparison.totals.len() as u16 + 3);
        let hints = row(area.bottom().saturating_sub(1), 1);
        let sites = row(totals.bottom(), hints.y.saturating_sub(totals.bottom()));
        Layout { head, totals, sites, hints }
    }

    fn reasons(&self, area: Rect) -> Vec<String> {
        let text = self.comparison.decision.reasons.join("; ");
        let mut lines = cells::wrap(&frame::printable(&text), usize::from(area.width));
        if lines.len() > REASON_LINES {
            lines.truncate(REASON_LINES);
            if let Some(last) = lines.last_mut() {
                last.push('…');
            }
        }
        lines
    }

    fn head(&self, area: Rect, buffer: &mut Buffer) {
        let (theme, decision) = (self.theme, &self.comparison.decision);
        let style = match decision.verdict {
            Verdict::Better | Verdict::Same => theme.good(),
            Verdict::Worse if decision.is_beyond => theme.bad(),
            Verdict::Worse | Verdict::NotEnoughData => theme.warning(),
        };
        let verdict = words::verdict(self.comparison).to_uppercase();
        let (base, canary) = (&self.comparison.base, &self.comparison.canary);
        let sides = format!("  {} ({}) against {} ({})", canary.name, canary.units, base.name, base.units);
        let pieces = [
            (verdict, style.patch(theme.strong())),
            (format!(" ({})", words::gate(self.comparison)), Style::new()),
            (frame::printable(&sides), theme.faint()),
        ];
        cells::put_all(buffer, area, area.x, area.y, &pieces);
        for (line, y) in self.reasons(area).iter().zip(area.y + 1..) {
            cells::put(buffer, area, area.x, y, line, Style::new());
        }
    }

    fn totals(&self, area: Rect, buffer: &mut Buffer) {
        let theme = self.theme;
        list::total_header(area, theme, buffer);
        for (row, y) in self.comparison.totals.iter().zip(area.y + 1..) {
            list::total(row, self.comparison.per, theme, Rect { y, height: 1, ..area }, buffer);
        }
        let y = area.y + 1 + self.comparison.totals.len() as u16;
        let line = Rect { y, height: 1, ..area }.intersection(area);
        list::mean_size(&self.comparison.mean_size, line, buffer);
    }
}

/// Between the head and the line of hints.
fn area_below(head: Rect, area: Rect) -> Rect {
    let height = area.bottom().saturating_sub(head.bottom()).saturating_sub(1);
    Rect { y: head.bottom(), height, ..area }
}
