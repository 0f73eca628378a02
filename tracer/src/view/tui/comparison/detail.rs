//! One call site of a comparison: every quantity on both sides, how it was matched, its stack.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::list;
use crate::canary::{Comparison, Row, SiteChange};
use crate::units::Count;
use crate::view::comparison::words;
use crate::view::frame;
use crate::view::tui::action::Action;
use crate::view::tui::cells;
use crate::view::tui::theme::Theme;

/// A call site, and how far it is scrolled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detail {
    at: usize,
    first: usize,
}

impl Detail {
    pub(super) const fn new(at: usize) -> Self {
        Self { at, first: 0 }
    }

    /// Scrolls.
    pub(super) fn act(&mut self, action: Action, comparison: &Comparison, theme: Theme, area: Rect) {
        let lines = self.lines(comparison, theme, area.width).len();
        let height = usize::from(area.height).max(1);
        let last = lines.saturating_sub(height);
        self.first = match action {
            Action::Up | Action::ScrollUp => self.first.saturating_sub(1),
            Action::Down | Action::ScrollDown => self.first.saturating_add(1),
            Action::PageUp => self.first.saturating_sub(height),
            Action::PageDown => self.first.saturating_add(height),
            Action::Top => 0,
            Action::Bottom => last,
            _ => self.first,
        }
        .min(last);
    }

    /// Draws what has room.
    pub(super) fn draw(&self, comparison: &Comparison, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let lines = self.lines(comparison, theme, area.width);
        for (y, (text, style)) in (area.top()..area.bottom()).zip(lines.iter().skip(self.first)) {
            cells::put(buffer, area, area.x, y, text, *style);
        }
    }

    fn lines(&self, comparison: &Comparison, theme: Theme, width: u16) -> Vec<(String, Style)> {
        let Some(site) = comparison.sites.get(self.at).or(comparison.rest.as_ref()) else {
            return Vec::new();
        };
        let width = usize::from(width);
        let plain = |text: String| (text, Style::new());
        let mut lines: Vec<(String, Style)> = cells::wrap(&frame::printable(&site.name), width)
            .into_iter()
            .map(|line| (line, theme.strong()))
            .collect();
        let share = site
            .share
            .map_or_else(String::new, |share| format!("; {} of the base's bytes", words::percent(share)));
        let about = format!(
            "{}{share}; it moved all bytes by {}",
            words::matched_sentence(site.matched),
            words::weight(site)
        );
        lines.extend(cells::wrap(&about, width).into_iter().map(plain));
        lines.push(plain(String::new()));
        for row in &site.rows {
            lines.extend(row_lines(row, comparison, theme));
        }
        let (change, interval) = words::mean_size_change(&site.mean_size);
        let size = words::mean_size(&site.mean_size);
        lines.push(plain(format!("mean size    {size}, change {change} ({interval})")));
        let [base, canary] = site.samples.map(Count);
        lines.push(plain(format!("samples      {base} of the base, {canary} of the canary")));
        lines.push(plain(String::new()));
        lines.extend(stack(site, theme, width));
        lines
    }
}

fn row_lines(row: &Row, comparison: &Comparison, theme: Theme) -> Vec<(String, Style)> {
    let per = words::per(row.quantity, comparison.per);
    let mut lines = vec![
        (format!("{} per {per}", words::quantity(row.quantity)), theme.strong()),
        (format!("  base       {}", words::cost(row.quantity, &row.base)), Style::new()),
        (format!("  canary     {}", words::cost(row.quantity, &row.canary)), Style::new()),
    ];
    let Some(change) = &row.change else { return lines };
    let mark = words::mark(row);
    let said = if mark.is_empty() { "not significant" } else { mark };
    let text = format!(
        "  change     {} ({}), {said}: p {:.1e}, all tests together {:.1e}",
        words::estimate(row),
        words::interval(row),
        change.p_value,
        change.adjusted_p_value
    );
    lines.push((text, list::style(Some(row), theme)));
    lines.push((format!("  detectable {}", words::detectable(row)), Style::new()));
    lines
}

fn stack(site: &SiteChange, theme: Theme, width: usize) -> Vec<(String, Style)> {
    let mut lines = vec![("CALL STACK, the caller of the allocator first".to_owned(), theme.faint())];
    lines.extend(site.frames.iter().map(|frame| (frame::line(frame, width), Style::new())));
    if site.frames.is_empty() {
        lines.push(("none".to_owned(), Style::new()));
    }
    lines
}
